/**
 * Control groups, v1 (also hybrid) and v2 behind one interface. A unit's group is `berth-TAG/ID` in every hierarchy
 * that has a controller; the daemon makes and bounds it, the unit's processes join it by themselves (native/join.c).
 * Errors of the kernel come through as they are; EBUSY and ENODEV are dealt with here.
 */
import fs from 'node:fs';
import { ControlGroupsV1 } from './cgroup-v1.ts';
import { ControlGroupsV2 } from './cgroup-v2.ts';

export interface GroupLimits {
  readonly memoryBytes?: number | undefined;
  /** CPUs' worth of time; 0.5 is half of one. */
  readonly cpus?: number | undefined;
  /** 1–10000, 100 is normal (cgroup v2's scale). */
  readonly cpuWeight: number;
  readonly pids?: number | undefined;
}

export interface GroupStats {
  /** What is used and could not simply be dropped: usage without inactive file cache. */
  readonly memoryBytes: number;
  readonly memoryLimitBytes?: number | undefined;
  readonly cpuNanoseconds: number;
  readonly pids: number;
  readonly oomKills: number;
}

export interface ControlGroups extends Disposable {
  readonly version: 1 | 2;
  /** Mount point to take away from crun’s view: it refuses hosts that have both versions. */
  readonly hide: string | undefined;
  /** Idempotent: makes the group where missing, sets all limits. */
  create(id: string, limits: GroupLimits): void;
  /** Changes limits of a group in which little lives. Errors: `ENOENT` when there is none, `EBUSY` when it uses more. */
  update(id: string, limits: GroupLimits): void;
  /** The same off this thread, for a group that is used: the kernel may have to write memory back first. */
  updateLater(id: string, limits: GroupLimits): Promise<void>;
  /** Files to which a process writes 0 to move itself. */
  joinFiles(id: string): readonly string[];
  /**
   * Gives the unit a subtree of cgroup v2 to govern by itself, as an init wants it. `owner` is its root on the host; how
   * many groups it may make is bounded. The group of `create` must be there; its limits hold for the subtree too.
   */
  delegate(id: string, owner: number): void;
  /**
   * As `joinFiles`, for a unit with a subtree of its own: `first` for its first process, which becomes the root of what
   * it sees. `unified` is where cgroup v2 is mounted in the caller's namespace on hosts that have both versions.
   */
  joinDelegated(id: string, first: boolean, unified: string): readonly string[];
  /** File system that shows a unit the subtree which `delegate` gave it. */
  readonly delegatedType: 'cgroup' | 'cgroup2';
  /** Asks the kernel to freeze or thaw; `frozen` tells when it is done. */
  freeze(id: string, frozen: boolean): void;
  frozen(id: string): boolean;
  /** Kills everything in it, also where it is frozen. */
  kill(id: string): void;
  pids(id: string): readonly number[];
  /** How many processes are in it and how many may be; undefined: as many as they like. */
  room(id: string): { readonly pids: number; readonly limit: number } | undefined;
  oomKills(id: string): number;
  /** Keeps descriptors open between calls. undefined: no such group. */
  stats(id: string): GroupStats | undefined;
  /** False while processes are in it still. True when it is gone. */
  remove(id: string): boolean;
  /** Ids of all groups below this parent. */
  ids(): readonly string[];
  /** Takes the parent away when it is empty. */
  removeParent(): void;
}

/** `parent` is one name: `berth-TAG`. */
export function openControlGroups(parent: string): ControlGroups {
  const mounts = cgroupMounts();
  const v1 = mounts.filter((mount) => mount.type === 'cgroup');
  const v2 = mounts.find((mount) => mount.type === 'cgroup2');
  if (v1.length > 0) return new ControlGroupsV1(parent, v1, v2?.target);
  if (v2 === undefined) throw new Error('no control groups are mounted');
  return new ControlGroupsV2(parent, v2.target);
}

export interface CgroupMount {
  readonly type: 'cgroup' | 'cgroup2';
  readonly target: string;
  /** v1: controllers, or `name=…`. */
  readonly options: readonly string[];
}

/** Format of /proc/self/mountinfo: proc_pid_mountinfo(5). */
export function cgroupMounts(text: string = fs.readFileSync('/proc/self/mountinfo', 'utf8')): readonly CgroupMount[] {
  const found: CgroupMount[] = [];
  for (const line of text.split('\n')) {
    const [before, after] = line.split(' - ');
    if (before === undefined || after === undefined) continue;
    const [type, , options] = after.split(' ');
    if (type !== 'cgroup' && type !== 'cgroup2') continue;
    const fields = before.split(' ');
    if (fields[3] !== '/') continue; // a part of a hierarchy, as in a container
    found.push({ type, target: fields[4]!, options: (options ?? '').split(',') });
  }
  return found;
}
