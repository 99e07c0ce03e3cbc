/** instance.evidence: what was seen of a running instance, from its driver's counters and its processes. */
import { BerthError } from '../../model/errors.ts';
import type { InstanceEvidence } from '../../model/evidence.ts';
import type { Image } from '../../model/image.ts';
import { objectId } from '../../model/ids.ts';
import type { Instance } from '../../model/instance-status.ts';
import { timestamp } from '../clock.ts';
import { runtimeOf, type InstanceServices } from '../instance/context.ts';

const LOOKED_AT = ['running', 'paused'];

/** @throws BerthError `wrongState` when nothing runs. */
export async function instanceEvidence(services: InstanceServices, instance: Instance): Promise<InstanceEvidence> {
  const { meta, status } = instance;
  const { pid, monitorPid, startedAt } = status;
  if (!LOOKED_AT.includes(status.state) || pid === undefined) throw new BerthError('wrongState', `'${meta.name}' is ${status.state}: there is nothing to see of it.`, { hint: `Start it first: berth start ${meta.name}` });
  const id = objectId(meta.id);
  const [stats, seen, packages, diskBytes] = await Promise.all([
    runtimeOf(services, instance).stats([id]), services.processEvidence({ pid, monitorPid }), packagesOf(services, instance),
    services.storage.rootUsage(id).catch(() => undefined),
  ]);
  const counters = stats.get(id);
  if (seen === undefined) throw new BerthError('wrongState', `'${meta.name}' has just ended.`);
  const uptimeSeconds = Math.max(0.001, (services.clock.nowMs() - Date.parse(startedAt ?? timestamp(services.clock))) / 1000);
  const isVm = status.isolation === 'vm';
  const base = status.uidMap?.base;
  return {
    name: meta.name, project: meta.project, id: meta.id, form: status.form, takenAt: timestamp(services.clock), uptimeSeconds: rounded(uptimeSeconds),
    memoryBytes: seen.memoryBytes, monitorMemoryBytes: seen.monitorMemoryBytes, memoryPeakBytes: seen.memoryPeakBytes, groupMemoryBytes: counters?.memoryBytes, memoryLimitBytes: counters?.memoryLimitBytes,
    cpus: rounded((counters === undefined ? seen.cpuSeconds : counters.cpuNanoseconds / 1e9) / uptimeSeconds),
    readBytes: seen.readBytes, writtenBytes: seen.writtenBytes, isPartial: seen.isPartial, ...(packages === undefined ? {} : { packages }), ...(diskBytes === undefined ? {} : { diskBytes }),
    ...(isVm ? {} : {
      processes: counters?.pids ?? seen.processes, listeningPorts: seen.listeningPorts, capabilitiesUsed: traces(seen),
      ...(base === undefined ? {} : { root: seen.uids.includes(base) }),
    }),
  };
}

/** Where package managers list what is installed, and how an entry begins. */
const PACKAGE_LISTS = [['/var/lib/dpkg/status', /^Package: /gm], ['/lib/apk/db/installed', /^P:/gm]] as const;
/** Some three thousand packages; a larger list is not counted. */
const MAX_LIST_BYTES = 4 * 1024 * 1024;
const MAX_KNOWN = 256;
const known = new WeakMap<InstanceServices, Map<string, Promise<number | undefined>>>();

/** Of the image, whose layers never change: counted once. */
function packagesOf(services: InstanceServices, { meta, status }: Instance): Promise<number | undefined> {
  const counts = known.get(services) ?? new Map<string, Promise<number | undefined>>();
  known.set(services, counts);
  const there = counts.get(status.imageId);
  if (there !== undefined) return there;
  if (counts.size >= MAX_KNOWN) counts.clear();
  const counting = countPackages(services, services.registry.list<Image>('Image', meta.project).find((one) => one.status.digest === status.imageId)).catch(() => undefined);
  counts.set(status.imageId, counting);
  return counting;
}

async function countPackages(services: InstanceServices, image: Image | undefined): Promise<number | undefined> {
  if (image === undefined) return undefined;
  const layers = image.status.layers.map((layer) => services.content.layerPath(layer.diffId));
  for (const [file, entry] of PACKAGE_LISTS) {
    const bytes = await services.unpacker.readFile(layers, file, MAX_LIST_BYTES);
    if (bytes !== undefined) return Buffer.from(bytes).toString('latin1').match(entry)?.length ?? 0;
  }
  return undefined;
}

const PRIVILEGED_PORTS = 1024;

/** Ports below 1024 are open to all in Berth's networks, so they leave no trace of a capability. */
function traces(seen: { readonly hasRawSockets: boolean; readonly uids: readonly number[]; readonly listeningPorts: readonly number[] }): readonly string[] {
  return [...(seen.listeningPorts.some((port) => port < PRIVILEGED_PORTS) ? ['NET_BIND_SERVICE'] : []), ...(seen.hasRawSockets ? ['NET_RAW'] : []), ...(seen.uids.length > 1 ? ['SETUID'] : [])];
}

function rounded(value: number): number {
  return Math.round(value * 1e6) / 1e6;
}
