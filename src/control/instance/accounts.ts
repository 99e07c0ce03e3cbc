/** Users and groups of an instance, as its files say. */
import type { Instance } from '../../model/instance-status.ts';
import { idOf, imageOf, type InstanceServices } from './context.ts';

const MAX_BYTES = 1024 * 1024;

export interface Accounts {
  /** passwd(5). */
  readonly passwd: string | undefined;
  /** group(5). */
  readonly group: string | undefined;
}

/** Those that were added inside count too, where the upper layer can be read from outside; else the image's. */
export async function accountsOf(services: InstanceServices, instance: Instance): Promise<Accounts> {
  const image = imageOf(services, instance);
  const upper = services.storage.rootPaths(idOf(instance), instance.status.form).upperDir;
  if (upper === undefined) return { passwd: image.status.passwd, group: image.status.group };
  const layers = [...image.status.layers.map((layer) => services.content.layerPath(layer.diffId)), `${upper}/up`];
  const [passwd, group] = await Promise.all(['/etc/passwd', '/etc/group'].map((path) => services.unpacker.readFile(layers, path, MAX_BYTES)));
  const decode = (bytes: Uint8Array | undefined) => (bytes === undefined ? undefined : Buffer.from(bytes).toString('utf8'));
  return { passwd: decode(passwd), group: decode(group) };
}
