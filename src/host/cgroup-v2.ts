/** Control groups v2, one hierarchy. Documentation/admin-guide/cgroup-v2.rst of the kernel. */
import fs from 'node:fs';
import path from 'node:path';
import type { ControlGroups, GroupLimits, GroupStats } from './cgroup.ts';
import {
  BESIDE, delegateGroup, groupNames, groupPids, groupsBelow, isGone, KeptFiles, keyedNumber, makeBeside, readGroupFile, removeGroup, writeGroupFile, writeGroupFiles, writeGroupFilesLater, type GroupWrite, pidsRoom,
} from './cgroup-files.ts';

const PERIOD_US = 100_000;
/** Below a delegated unit's group: what its init governs. */
const FIRST = 'init';
const CONTROLLERS = ['cpu', 'memory', 'pids', 'cpuset', 'io'] as const;
const NEEDED: readonly string[] = ['cpu', 'memory', 'pids'];
/** Order of the files whose descriptors are kept. */
const USAGE = 0, CPU = 1, PIDS = 2, EVENTS = 3, STAT = 4;

export class ControlGroupsV2 implements ControlGroups {
  readonly version = 2;
  readonly hide = undefined;
  readonly delegatedType = 'cgroup2';
  readonly #root: string;
  readonly #parent: string;
  readonly #kept = new Map<string, { files: KeptFiles; limitBytes: number | undefined }>();

  constructor(parent: string, root: string) {
    this.#root = root;
    this.#parent = path.join(root, parent);
  }

  create(id: string, limits: GroupLimits): void {
    try {
      fs.mkdirSync(this.#dir(id));
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code === 'ENOENT') {
        fs.mkdirSync(this.#parent, { recursive: true });
        this.#delegate(this.#root);
        this.#delegate(this.#parent);
        fs.mkdirSync(this.#dir(id));
      } else if (code !== 'EEXIST') throw error;
    }
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
    return [`${this.#dir(id)}/cgroup.procs`];
  }

  /**
   * The unit's own part is one level below its limits, which are not its to change.
   */
  delegate(id: string, owner: number): void {
    const dir = this.#dir(id);
    fs.mkdirSync(`${dir}/${FIRST}`, { recursive: true });
    this.#delegate(dir);
    delegateGroup(`${dir}/${FIRST}`, owner);
  }

  joinDelegated(id: string, first: boolean): readonly string[] {
    const own = `${this.#dir(id)}/${FIRST}`;
    if (!first) makeBeside(own);
    return [`${own}/${first ? '' : `${BESIDE}/`}cgroup.procs`];
  }

  freeze(id: string, frozen: boolean): void {
    writeGroupFile(`${this.#dir(id)}/cgroup.freeze`, frozen ? '1' : '0');
  }

  frozen(id: string): boolean {
    return keyedNumber(readGroupFile(`${this.#dir(id)}/cgroup.events`) ?? '', 'frozen') === 1;
  }

  kill(id: string): void {
    try {
      writeGroupFile(`${this.#dir(id)}/cgroup.kill`, '1'); // reaches frozen ones too; Linux 5.14
    } catch (error) {
      if (!isGone(error)) throw error;
    }
  }

  pids(id: string): readonly number[] {
    return [this.#dir(id), ...groupsBelow(this.#dir(id))].flatMap((dir) => groupPids(`${dir}/cgroup.procs`));
  }

  room(id: string): { readonly pids: number; readonly limit: number } | undefined {
    return pidsRoom((name) => `${this.#dir(id)}/${name}`);
  }

  oomKills(id: string): number {
    return keyedNumber(readGroupFile(`${this.#dir(id)}/memory.events`) ?? '', 'oom_kill');
  }

  stats(id: string): GroupStats | undefined {
    try {
      const kept = this.#kept.get(id) ?? this.#keep(id);
      const inactive = keyedNumber(kept.files.read(STAT), 'inactive_file');
      return {
        memoryBytes: Math.max(0, Number.parseInt(kept.files.read(USAGE), 10) - inactive),
        memoryLimitBytes: kept.limitBytes,
        cpuNanoseconds: keyedNumber(kept.files.read(CPU), 'usage_usec') * 1000,
        pids: Number.parseInt(kept.files.read(PIDS), 10),
        oomKills: keyedNumber(kept.files.read(EVENTS), 'oom_kill'),
      };
    } catch (error) {
      if (!isGone(error)) throw error;
      this.#drop(id);
      return undefined;
    }
  }

  remove(id: string): boolean {
    this.#drop(id);
    const dir = this.#dir(id);
    return removeGroup(dir) || [...groupsBelow(dir), dir].every((below) => removeGroup(below));
  }

  ids(): readonly string[] {
    return groupNames(this.#parent);
  }

  removeParent(): void {
    removeGroup(this.#parent);
  }

  [Symbol.dispose](): void {
    for (const id of [...this.#kept.keys()]) this.#drop(id);
  }

  #dir(id: string): string {
    return `${this.#parent}/${id}`;
  }

  /** Lets the children of `dir` have the controllers; those that the host keeps for itself and we can do without stay away. */
  #delegate(dir: string): void {
    for (const controller of CONTROLLERS) {
      try {
        writeGroupFile(`${dir}/cgroup.subtree_control`, `+${controller}`);
      } catch (error) {
        if (NEEDED.includes(controller)) throw error;
      }
    }
  }

  #note(id: string, limits: GroupLimits): void {
    const kept = this.#kept.get(id);
    if (kept !== undefined) kept.limitBytes = limits.memoryBytes;
  }

  #writes(id: string, limits: GroupLimits): readonly GroupWrite[] {
    const dir = this.#dir(id);
    const quota = limits.cpus === undefined ? 'max' : String(Math.max(1000, Math.round(limits.cpus * PERIOD_US)));
    const swap = `${dir}/memory.swap.max`; // only where the kernel counts swap; else there is nothing to forbid
    return [
      [`${dir}/memory.max`, limits.memoryBytes === undefined ? 'max' : String(limits.memoryBytes)],
      ...(fs.existsSync(swap) ? [[swap, limits.memoryBytes === undefined ? 'max' : '0'] as const] : []),
      [`${dir}/cpu.max`, `${quota} ${PERIOD_US}`],
      [`${dir}/cpu.weight`, String(Math.min(10_000, Math.max(1, Math.round(limits.cpuWeight))))],
      [`${dir}/pids.max`, limits.pids === undefined ? 'max' : String(limits.pids)],
    ];
  }

  #keep(id: string): { files: KeptFiles; limitBytes: number | undefined } {
    const dir = this.#dir(id);
    const files = new KeptFiles(['memory.current', 'cpu.stat', 'pids.current', 'memory.events', 'memory.stat'].map((name) => `${dir}/${name}`));
    const limit = readGroupFile(`${dir}/memory.max`);
    const kept = { files, limitBytes: limit === undefined || limit === 'max' ? undefined : Number(limit) };
    this.#kept.set(id, kept);
    return kept;
  }

  #drop(id: string): void {
    this.#kept.get(id)?.files.close();
    this.#kept.delete(id);
  }
}
