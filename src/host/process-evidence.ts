/**
 * What a unit's processes use and hold, from /proc and the files of their control group: read, never traced. Everything is
 * bounded, because a unit decides how many processes it has.
 */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { cgroupMounts } from './cgroup.ts';

export interface ProcessEvidence {
  /** Share of memory of the unit's own processes, shared pages counted by part (PSS). */
  readonly memoryBytes: number;
  /** The same of what watches it: its monitor and helpers. */
  readonly monitorMemoryBytes: number;
  /** The most that its control group ever used; undefined where the kernel does not keep it. */
  readonly memoryPeakBytes?: number | undefined;
  readonly cpuSeconds: number;
  readonly monitorCpuSeconds: number;
  readonly readBytes: number;
  readonly writtenBytes: number;
  readonly processes: number;
  /** Were there more processes than are looked at? Then the sums are too small. */
  readonly isPartial: boolean;
  /** TCP and UDP ports that somebody listens on, in the unit's own network. */
  readonly listeningPorts: readonly number[];
  /** User ids of the processes, as the host counts them. */
  readonly uids: readonly number[];
  /** Sockets that need NET_RAW are open. */
  readonly hasRawSockets: boolean;
}

export interface EvidenceOf {
  /** The unit's first process: of a container, or QEMU. */
  readonly pid: number;
  readonly monitorPid: number | undefined;
}

const MAX_PROCESSES = 256;
const MAX_PORTS = 1024;
const TICKS_PER_SECOND = 100;

/** @returns undefined when the first process is gone. */
export async function processEvidence({ pid, monitorPid }: EvidenceOf): Promise<ProcessEvidence | undefined> {
  const own = await tree(pid);
  if (own === undefined) return undefined;
  const all = monitorPid === undefined ? own : ((await tree(monitorPid)) ?? own);
  const others = all.pids.filter((one) => !own.pids.includes(one));
  const [ownUse, otherUse, memoryPeakBytes, sockets] = await Promise.all([useOf(own.pids), useOf(others), peakOf(pid), socketsOf(pid)]);
  return {
    memoryBytes: ownUse.pssBytes, monitorMemoryBytes: otherUse.pssBytes, ...(memoryPeakBytes === undefined ? {} : { memoryPeakBytes }),
    cpuSeconds: ownUse.cpuSeconds, monitorCpuSeconds: otherUse.cpuSeconds, readBytes: ownUse.readBytes, writtenBytes: ownUse.writtenBytes,
    processes: own.pids.length, isPartial: own.isPartial || all.isPartial, uids: ownUse.uids, ...sockets,
  };
}

interface Tree {
  readonly pids: readonly number[];
  readonly isPartial: boolean;
}

/** The process and all that descend from it; orphans in a pid namespace are children of its first process. */
async function tree(root: number): Promise<Tree | undefined> {
  if ((await text(`/proc/${root}/stat`)) === undefined) return undefined;
  const pids = [root];
  for (let at = 0; at < pids.length && pids.length < MAX_PROCESSES; at++) {
    const children = (await text(`/proc/${pids[at]!}/task/${pids[at]!}/children`)) ?? '';
    for (const child of children.split(' ')) if (child !== '') pids.push(Number(child));
  }
  return { pids: pids.slice(0, MAX_PROCESSES), isPartial: pids.length > MAX_PROCESSES };
}

interface Use {
  readonly pssBytes: number;
  readonly cpuSeconds: number;
  readonly readBytes: number;
  readonly writtenBytes: number;
  readonly uids: readonly number[];
}

async function useOf(pids: readonly number[]): Promise<Use> {
  let pssBytes = 0;
  let ticks = 0;
  let readBytes = 0;
  let writtenBytes = 0;
  const uids = new Set<number>();
  for (const pid of pids) {
    const [rollup, stat, io, status] = await Promise.all(['smaps_rollup', 'stat', 'io', 'status'].map((name) => text(`/proc/${pid}/${name}`)));
    pssBytes += numberIn(rollup, /^Pss:\s+(\d+) kB$/m) * 1024;
    // After the name, which may hold anything: utime and stime are the 14th and 15th field of all.
    const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ') ?? [];
    ticks += Number(fields[11] ?? 0) + Number(fields[12] ?? 0);
    readBytes += numberIn(io, /^read_bytes: (\d+)$/m);
    writtenBytes += numberIn(io, /^write_bytes: (\d+)$/m);
    const uid = /^Uid:\s+\d+\s+(\d+)/m.exec(status ?? '')?.[1];
    if (uid !== undefined) uids.add(Number(uid));
  }
  return { pssBytes, cpuSeconds: ticks / TICKS_PER_SECOND, readBytes, writtenBytes, uids: [...uids].toSorted((a, b) => a - b) };
}

/** memory.max_usage_in_bytes of v1, memory.peak of v2. */
async function peakOf(pid: number): Promise<number | undefined> {
  const lines = ((await text(`/proc/${pid}/cgroup`)) ?? '').split('\n');
  const mounts = cgroupMounts();
  for (const line of lines) {
    const [, controllers = '', group = ''] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (group.includes('..')) continue;
    const isV2 = controllers === '';
    if (!isV2 && !controllers.split(',').includes('memory')) continue;
    const mount = mounts.find((one) => (isV2 ? one.type === 'cgroup2' : one.type === 'cgroup' && one.target.endsWith('/memory')));
    const value = mount === undefined ? undefined : await text(path.join(mount.target, group, isV2 ? 'memory.peak' : 'memory.max_usage_in_bytes'));
    const bytes = Number(value?.trim());
    if (value !== undefined && Number.isSafeInteger(bytes)) return bytes;
  }
  return undefined;
}

const TCP_LISTEN = '0A';
/** Any UDP socket that is bound and not connected. */
const UDP_UNCONNECTED = '07';

async function socketsOf(pid: number): Promise<Pick<ProcessEvidence, 'listeningPorts' | 'hasRawSockets'>> {
  const ports = new Set<number>();
  for (const [name, state] of [['tcp', TCP_LISTEN], ['tcp6', TCP_LISTEN], ['udp', UDP_UNCONNECTED], ['udp6', UDP_UNCONNECTED]] as const) {
    for (const line of ((await text(`/proc/${pid}/net/${name}`)) ?? '').split('\n').slice(1)) {
      const fields = /^\s*\d+:\s+[0-9A-F]+:([0-9A-F]{4})\s+[0-9A-F]+:[0-9A-F]{4}\s+([0-9A-F]{2})\s/.exec(line);
      if (fields?.[2] === state && ports.size < MAX_PORTS) ports.add(Number.parseInt(fields[1]!, 16));
    }
  }
  const raw = await Promise.all(['raw', 'raw6', 'packet'].map((name) => text(`/proc/${pid}/net/${name}`)));
  ports.delete(0);
  return { listeningPorts: [...ports].toSorted((a, b) => a - b), hasRawSockets: raw.some((one) => (one ?? '').trim().split('\n').length > 1) };
}

function numberIn(source: string | undefined, pattern: RegExp): number {
  return Number(pattern.exec(source ?? '')?.[1] ?? 0);
}

/** Processes end while they are looked at. */
async function text(file: string): Promise<string | undefined> {
  return readFile(file, 'latin1').catch(() => undefined);
}
