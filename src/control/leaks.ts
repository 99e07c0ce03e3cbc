/** Everything on the host under this root's names that no object owns. Nothing is the right answer. */
import { objectId, type ObjectId } from '../model/ids.ts';
import type { Instance } from '../model/instance-status.ts';
import type { Network } from '../model/network.ts';
import type { Volume } from '../model/volume.ts';
import type { InstanceServices } from './instance/context.ts';

export async function findLeaks(services: InstanceServices): Promise<string[]> {
  const { registry } = services;
  const instances = registry.list<Instance>('Instance');
  const ids = new Set<ObjectId>(instances.map((instance) => objectId(instance.meta.id)));
  const disks = new Set<ObjectId>([...ids, ...registry.list<Volume>('Volume').map((volume) => objectId(volume.meta.id))]);
  const networks = new Set<ObjectId>(registry.list<Network>('Network').map((network) => objectId(network.meta.id)));
  const portIds = new Set([...instances.flatMap((instance) => instance.status.ports.map((port) => port.portId)), ...services.pool.portIds()]);
  // The runtimes share control groups and logs: what one of them has for itself is no stranger to the others.
  const runtimes = Object.values(services.runtimes), units = new Set([...ids, ...runtimes.flatMap((runtime) => runtime.ownUnits?.() ?? [])]);
  const found = await Promise.all([
    ...runtimes.map((runtime) => runtime.leftovers(units)),
    services.storage.leftovers(disks),
    services.network.leftovers({ networks, portIds }),
    claimLeaks(services, new Set([...ids])),
  ]);
  return found.flat().toSorted();
}

/** Claims whose owner is gone would keep an address or port for ever. */
async function claimLeaks(services: InstanceServices, ids: ReadonlySet<string>): Promise<string[]> {
  return ['address/', 'port/'].flatMap((prefix) => services.registry.claimKeys(prefix).filter((key) => !ids.has(services.registry.claimOwner(key) ?? '')).map((key) => `claim ${key}`));
}
