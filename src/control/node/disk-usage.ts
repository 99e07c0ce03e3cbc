/** system.df: what lies on this node's disk, and what of it would be free without what nothing uses. */
import { objectId } from '../../model/ids.ts';
import type { DiskUsage, DiskUsageRow } from '../../model/disk-usage.ts';
import type { Image } from '../../model/image.ts';
import type { Instance } from '../../model/instance-status.ts';
import type { Volume } from '../../model/volume.ts';
import { idOf, runtimeOf, type InstanceServices } from '../instance/context.ts';
import { contentOf, isInUse } from '../image/sweep.ts';

/** Sizes of trees are counted by programs: a few at a time. */
const AT_ONCE = 4;

export async function diskUsage(services: InstanceServices): Promise<DiskUsage> {
  const { registry } = services;
  const instances = registry.list<Instance>('Instance');
  const rows = [...(await imageRows(services)), await volumeRow(services, instances), await rootRow(services, instances), await logRow(services, instances), templateRow(services)];
  return { kind: 'DiskUsage', revision: registry.revision, items: rows };
}

async function imageRows(services: InstanceServices): Promise<readonly DiskUsageRow[]> {
  const images = services.registry.list<Image>('Image');
  const used = images.filter((image) => isInUse(services, image));
  const [all, active] = await Promise.all([services.content.usage(), services.content.usage(contentOf(used))]);
  const row = (what: DiskUsageRow['what'], count: number, inUse: number, bytes: number, usedBytes: number): DiskUsageRow => ({ what, count, active: inUse, bytes, reclaimableBytes: Math.max(0, bytes - usedBytes) });
  return [
    row('images', images.length, used.length, all.blobBytes + all.imageFileBytes + all.diskBytes, active.blobBytes + active.imageFileBytes + active.diskBytes),
    row('layers', all.layers, active.layers, all.layerBytes, active.layerBytes),
  ];
}

async function volumeRow({ registry, storage }: InstanceServices, instances: readonly Instance[]): Promise<DiskUsageRow> {
  const used = new Set(instances.flatMap((instance) => Object.values(instance.status.volumes)));
  return summed('volumes', registry.list<Volume>('Volume'), (volume) => used.has(volume.meta.id), (volume) => storage.volumeUsage(objectId(volume.meta.id)));
}

function rootRow({ storage }: InstanceServices, instances: readonly Instance[]): Promise<DiskUsageRow> {
  return summed('instances', instances, isUp, (instance) => storage.rootUsage(idOf(instance)));
}

function logRow(services: InstanceServices, instances: readonly Instance[]): Promise<DiskUsageRow> {
  return summed('logs', instances, isUp, async (instance) => services.fileBytes(await runtimeOf(services, instance).logFiles(idOf(instance))));
}

/** Made again when they are missed. */
function templateRow({ runtimes }: InstanceServices): DiskUsageRow {
  const usages = Object.values(runtimes).flatMap((runtime) => runtime.templateUsage?.() ?? []);
  const bytes = usages.reduce((sum, usage) => sum + usage.bytes, 0);
  return { what: 'templates', count: usages.reduce((sum, usage) => sum + usage.count, 0), active: 0, bytes, reclaimableBytes: bytes };
}

function isUp({ status }: Instance): boolean {
  return status.state !== 'stopped' && status.state !== 'failed';
}

async function summed<T>(what: DiskUsageRow['what'], all: readonly T[], isActive: (one: T) => boolean, bytesOf: (one: T) => Promise<number>): Promise<DiskUsageRow> {
  let bytes = 0;
  let reclaimableBytes = 0;
  let active = 0;
  for (let at = 0; at < all.length; at += AT_ONCE) {
    const some = all.slice(at, at + AT_ONCE);
    // What goes away while it is looked at takes nothing.
    const sizes = await Promise.all(some.map((one) => bytesOf(one).catch(() => 0)));
    for (const [index, one] of some.entries()) {
      bytes += sizes[index]!;
      if (isActive(one)) active++;
      else reclaimableBytes += sizes[index]!;
    }
  }
  return { what, count: all.length, active, bytes, reclaimableBytes };
}
