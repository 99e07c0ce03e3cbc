/** Users and groups of an instance. */
import type { Instance } from '../../model/instance-status.ts';
import { readAccounts, type Accounts } from '../image/accounts.ts';
import { idOf, imageOf, type InstanceServices } from './context.ts';

/** Those that were added inside count too, where the upper layer can be read from outside; else the image's. */
export async function accountsOf(services: InstanceServices, instance: Instance): Promise<Accounts> {
  const { status } = imageOf(services, instance);
  const upper = services.storage.rootPaths(idOf(instance), instance.status.form).upperDir;
  if (upper === undefined) return { passwd: status.passwd, group: status.group };
  return readAccounts(services, [...status.layers.map((layer) => services.content.layerPath(layer.diffId)), `${upper}/up`]);
}
