/** Control groups v1, one hierarchy per controller. cgroup-v1 documents of the kernel (Documentation/admin-guide). */
import fs from 'node:fs';
import path from 'node:path';
import type { CgroupMount, ControlGroups, GroupLimits, GroupStats } from './cgroup.ts';
import {
  BESIDE, delegateGroup, groupNames, groupPids, groupsBelow, isGone, KeptFiles, keyedNumber, killPids, makeBeside, readGroupFile, removeGroup, writeGroupFile, writeGroupFiles, writeGroupFilesLater, type GroupWrite, pidsRoom,
} from './cgroup-files.ts';

const PERIOD_US = 100_000;
/** Above this a limit means none: the kernel rounds “no limit” to LONG_MAX in pages. */
const NO_LIMIT_BYTES = 2 ** 62;
/** Everything may be made (the user namespace forbids it anyway); opened only these. security.md A20. */
const DEVICES = [
  'c *:* m', 'b *:* m', 'c 1:3 rwm', 'c 1:5 rwm', 'c 1:7 rwm', 'c 1:8 rwm', 'c 1:9 rwm', 'c 5:0 rwm', 'c 5:1 rwm', 'c 5:2 rwm', 'c 136:* rwm',
];
/** Order of the files whose descriptors are kept. */
const USAGE = 0, CPU = 1, PIDS = 2, OOM = 3, STAT = 4;

export class ControlGroupsV1 implements ControlGroups {
  readonly version = 1;
  readonly hide: string | undefined;
  readonly delegatedType: 'cgroup' | 'cgroup2';
  readonly #parent: string;
  /** Controller or `name=…` → mount point. */
  readonly #hierarchies = new Map<string, string>();
  readonly #targets: readonly string[];
  /** Targets, and cgroup v2 beside them, where it has no controllers but gives an init its tree. */
  readonly #all: readonly string[];
  readonly #kept = new Map<string, { files: KeptFiles; limitBytes: number | undefined }>();

  constructor(parent: string, mounts: readonly CgroupMount[], unified: string | undefined) {
    this.#parent = parent;
    this.hide = unified;
    this.delegatedType = unified === undefined ? 'cgroup' : 'cgroup2';
    for (const mount of mounts) for (const option of mount.options) if (!['rw', 'ro', 'clone_children', 'xattr'].includes(option)) this.#hierarchies.set(option, mount.target);
    this.#targets = [...new Set(mounts.map((mount) => mount.target))];
    this.#all = [...this.#targets, ...(unified === undefined ? [] : [unified])];
    for (const needed of ['memory', 'cpu', 'cpuacct', 'pids', 'freezer', 'devices']) {
      if (!this.#hierarchies.has(needed)) throw new Error(`the control group controller ${needed} is not mounted`);
    }
  }

  create(id: string, limits: GroupLimits): void {
    for (const target of this.#targets) {
      const parent = path.join(target, this.#parent), dir = path.join(parent, id);
      try {
        fs.mkdirSync(dir);
      } catch (error) {
        const code = (error as NodeJS.ErrnoException).code;
        if (code === 'ENOENT') {
          fs.mkdirSync(dir, { recursive: true });
          // A parent may have processes of its own nowhere else: it needs CPUs before its children can have any.
          if (target === this.#hierarchies.get('cpuset')) this.#inheritCpus(target, parent);
        } else if (code !== 'EEXIST') throw error;
      }
      if (target === this.#hierarchies.get('cpuset')) this.#inheritCpus(parent, dir);
    }
    writeGroupFile(this.#file('devices', id, 'devices.deny'), 'a');
    for (const rule of DEVICES) writeGroupFile(this.#file('devices', id, 'devices.allow'), rule);
    this.update(id, limits);
  }

  update(id: string, limits: GroupLimits): void {
    writeGroupFiles(this.#writes(id, limits));
    this.#note(id, limits);
  }

  async updateLater(id: string, limits: GroupLimits): Promise<void> {
    await writeGroupFilesLater(this.#writes(id, limits));
    this.#note(id, limits);
  }

  joinFiles(id: string): readonly string[] {
    return this.#targets.map((target) => path.join(target, this.#parent, id, 'tasks'));
  }

  delegate(id: string, owner: number): void {
    // Without cgroup v2 beside v1 an init manages its services in the named hierarchy.
    const dir = path.join(this.hide ?? this.#hierarchies.get('name=systemd') ?? this.#hierarchies.get('pids')!, this.#parent, id);
    fs.mkdirSync(dir, { recursive: true });
    delegateGroup(dir, owner);
  }

  joinDelegated(id: string, first: boolean, unified: string): readonly string[] {
    if (this.hide === undefined) return this.joinFiles(id);
    if (!first) makeBeside(path.join(this.hide, this.#parent, id));
    return [...this.joinFiles(id), path.join(unified, this.#parent, id, first ? '' : BESIDE, 'cgroup.procs')];
  }

  freeze(id: string, frozen: boolean): void {
    writeGroupFile(this.#file('freezer', id, 'freezer.state'), frozen ? 'FROZEN' : 'THAWED');
  }

  frozen(id: string): boolean {
    // FREEZING: writing FROZEN again makes the kernel look at what was forked meanwhile.
    const state = readGroupFile(this.#file('freezer', id, 'freezer.state'));
    if (state === 'FREEZING') this.freeze(id, true);
    return state === 'FROZEN';
  }

  kill(id: string): void {
    const dir = path.join(this.#hierarchies.get('pids')!, this.#parent, id);
    killPids([dir, ...groupsBelow(dir)].flatMap((one) => groupPids(`${one}/cgroup.procs`)));
    // One that was killed between joining the first hierarchy and the last is in the others only.
    if (!fs.existsSync(dir)) killPids(this.pids(id));
    try {
      this.freeze(id, false); // a frozen process does not die before it is thawed
    } catch (error) {
      if (!isGone(error)) throw error;
    }
  }

  pids(id: string): readonly number[] {
    const dirs = this.#all.map((target) => path.join(target, this.#parent, id));
    return [...new Set(dirs.flatMap((dir) => [dir, ...groupsBelow(dir)]).flatMap((dir) => groupPids(`${dir}/cgroup.procs`)))];
  }

  room(id: string): { readonly pids: number; readonly limit: number } | undefined {
    return pidsRoom((name) => this.#file('pids', id, name));
  }

  oomKills(id: string): number {
    return keyedNumber(readGroupFile(this.#file('memory', id, 'memory.oom_control')) ?? '', 'oom_kill');
  }

  stats(id: string): GroupStats | undefined {
    try {
      const kept = this.#kept.get(id) ?? this.#keep(id);
      const inactive = keyedNumber(kept.files.read(STAT), 'total_inactive_file');
      return {
        memoryBytes: Math.max(0, Number.parseInt(kept.files.read(USAGE), 10) - inactive),
        memoryLimitBytes: kept.limitBytes,
        cpuNanoseconds: Number.parseInt(kept.files.read(CPU), 10),
        pids: Number.parseInt(kept.files.read(PIDS), 10),
        oomKills: keyedNumber(kept.files.read(OOM), 'oom_kill'),
      };
    } catch (error) {
      if (!isGone(error)) throw error;
      this.#drop(id);
      return undefined;
    }
  }

  remove(id: string): boolean {
    this.#drop(id);
    let all = true;
    for (const target of this.#all) {
      const dir = path.join(target, this.#parent, id);
      if (removeGroup(dir)) continue;
      all = [...groupsBelow(dir), dir].every((below) => removeGroup(below)) && all;
    }
    return all;
  }

  ids(): readonly string[] {
    return [...new Set(this.#all.flatMap((target) => groupNames(path.join(target, this.#parent))))];
  }

  removeParent(): void {
    for (const target of this.#all) removeGroup(path.join(target, this.#parent));
  }

  [Symbol.dispose](): void {
    for (const id of [...this.#kept.keys()]) this.#drop(id);
  }

  #file(controller: string, id: string, name: string): string {
    return `${this.#hierarchies.get(controller)!}/${this.#parent}/${id}/${name}`;
  }

  #inheritCpus(from: string, to: string): void {
    for (const name of ['cpuset.cpus', 'cpuset.mems']) {
      if (readGroupFile(`${to}/${name}`) === '') writeGroupFile(`${to}/${name}`, readGroupFile(`${from}/${name}`)!);
    }
  }

  #note(id: string, limits: GroupLimits): void {
    const kept = this.#kept.get(id);
    if (kept !== undefined) kept.limitBytes = limits.memoryBytes;
  }

  #writes(id: string, limits: GroupLimits): readonly GroupWrite[] {
    const quota = limits.cpus === undefined ? -1 : Math.max(1000, Math.round(limits.cpus * PERIOD_US));
    return [
      ...this.#memoryWrites(id, limits.memoryBytes),
      [this.#file('cpu', id, 'cpu.cfs_period_us'), String(PERIOD_US)],
      [this.#file('cpu', id, 'cpu.cfs_quota_us'), String(quota)],
      [this.#file('cpu', id, 'cpu.shares'), String(Math.min(262_144, Math.max(2, Math.round(limits.cpuWeight * 10.24))))],
      [this.#file('pids', id, 'pids.max'), limits.pids === undefined ? 'max' : String(limits.pids)],
    ];
  }

  /** Memory and memory + swap must never cross: raising goes the other way round than lowering. Swap gets nothing. */
  #memoryWrites(id: string, bytes: number | undefined): readonly GroupWrite[] {
    const value = bytes === undefined ? '-1' : String(bytes);
    const plain: GroupWrite = [this.#file('memory', id, 'memory.limit_in_bytes'), value];
    const both: GroupWrite = [this.#file('memory', id, 'memory.memsw.limit_in_bytes'), value];
    const current = readGroupFile(both[0]);
    if (current === undefined) return [plain]; // the kernel does not count swap
    return bytes === undefined || bytes > Number(current) ? [both, plain] : [plain, both];
  }

  #keep(id: string): { files: KeptFiles; limitBytes: number | undefined } {
    const files = new KeptFiles([
      this.#file('memory', id, 'memory.usage_in_bytes'), this.#file('cpuacct', id, 'cpuacct.usage'),
      this.#file('pids', id, 'pids.current'), this.#file('memory', id, 'memory.oom_control'), this.#file('memory', id, 'memory.stat'),
    ]);
    const limit = Number(readGroupFile(this.#file('memory', id, 'memory.limit_in_bytes')));
    const kept = { files, limitBytes: limit < NO_LIMIT_BYTES ? limit : undefined };
    this.#kept.set(id, kept);
    return kept;
  }

  #drop(id: string): void {
    this.#kept.get(id)?.files.close();
    this.#kept.delete(id);
  }
}
