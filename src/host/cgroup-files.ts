/** Reading and writing the small files of control groups: synchronous, they live in the kernel's memory. */
import fs from 'node:fs';
import { BerthError } from '../model/errors.ts';

/** No O_CREAT: a missing file is an error, never a new one. */
export function writeGroupFile(file: string, value: string): void {
  const fd = fs.openSync(file, fs.constants.O_WRONLY);
  try {
    fs.writeSync(fd, value);
  } finally {
    fs.closeSync(fd);
  }
}

/** One file and what to write into it. */
export type GroupWrite = readonly [file: string, value: string];

export function writeGroupFiles(writes: readonly GroupWrite[]): void {
  for (const [file, value] of writes) writeGroupFile(file, value);
}

export async function writeGroupFilesLater(writes: readonly GroupWrite[]): Promise<void> {
  for (const [file, value] of writes) {
    const handle = await fs.promises.open(file, fs.constants.O_WRONLY);
    try {
      await handle.writeFile(value);
    } finally {
      await handle.close();
    }
  }
}

export function readGroupFile(file: string): string | undefined {
  try {
    return fs.readFileSync(file, 'latin1').trim();
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

export function isGone(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return code === 'ENOENT' || code === 'ENODEV' || code === 'ESRCH';
}

/** Value of `KEY NUMBER` lines. */
export function keyedNumber(text: string, key: string): number {
  const at = text.startsWith(`${key} `) ? 0 : text.indexOf(`\n${key} `) + 1;
  if (at === 0 && !text.startsWith(`${key} `)) return 0;
  return Number.parseInt(text.slice(at + key.length + 1), 10);
}

export function killPids(pids: readonly number[]): void {
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
}

export function groupPids(file: string): readonly number[] {
  return (readGroupFile(file) ?? '').split('\n').filter((line) => line !== '').map(Number).filter((pid) => pid > 1);
}

/** Of a `pids` group whose files these are; undefined: no limit, or no such group. */
export function pidsRoom(file: (name: string) => string): { readonly pids: number; readonly limit: number } | undefined {
  const limit = readGroupFile(file('pids.max')), pids = readGroupFile(file('pids.current'));
  return limit === undefined || limit === 'max' || pids === undefined ? undefined : { pids: Number(pids), limit: Number(limit) };
}

/** rmdir(2) of a group: false while something is in it. */
export function removeGroup(dir: string): boolean {
  try {
    fs.rmdirSync(dir);
    return true;
  } catch (error) {
    if (isGone(error)) return true;
    if ((error as NodeJS.ErrnoException).code === 'EBUSY') return false;
    throw error;
  }
}

/** More groups than any init needs; each is memory of the kernel that no limit of the unit counts on v1. */
const MOST_GROUPS = 4096, DEEPEST_GROUP = 64;
/** What the kernel lists in /sys/kernel/cgroup/delegate, less what an init of a container has no use for. */
const GOVERNED = ['', '/cgroup.procs', '/cgroup.threads', '/cgroup.subtree_control'];

/** Lets `owner` make groups below `dir` and move its processes there: cgroup-v2.rst, “Delegation”. */
export function delegateGroup(dir: string, owner: number): void {
  for (const name of GOVERNED) {
    try {
      fs.chownSync(`${dir}${name}`, owner, owner);
    } catch (error) {
      if (!isGone(error) || name === '' || name === '/cgroup.procs') throw error; // v1 has fewer of them
    }
  }
  for (const [name, value] of [['cgroup.max.descendants', MOST_GROUPS], ['cgroup.max.depth', DEEPEST_GROUP]] as const) {
    if (fs.existsSync(`${dir}/${name}`)) writeGroupFile(`${dir}/${name}`, String(value));
  }
}

/**
 * Where commands from outside run in a delegated group: not in its root, which may have no processes of its own, and where
 * an init that comes up would trip over one that it cannot see (crun's).
 */
export const BESIDE = 'berth-exec';

/** The unit may have taken it away: it is the master of its groups. */
export function makeBeside(dir: string): void {
  try {
    fs.mkdirSync(`${dir}/${BESIDE}`, { recursive: true });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EAGAIN') throw cause;
    throw new BerthError('exhausted', 'The system has made all the control groups that it may have: a command from outside has no place.', { hint: 'Remove some inside, by its console; or restart it.', cause });
  }
}

/** Names of the groups right below. */
export function groupNames(dir: string): readonly string[] {
  try {
    return fs.readdirSync(dir, { withFileTypes: true }).filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
}

/** Groups that the unit’s processes made below theirs. Deepest first. */
export function groupsBelow(dir: string): readonly string[] {
  return groupNames(dir).flatMap((name) => [...groupsBelow(`${dir}/${name}`), `${dir}/${name}`]);
}

/** Descriptors of statistics files, kept between readings: 1.7 ms for 500 units instead of 19. */
export class KeptFiles {
  readonly #fds: readonly number[];
  readonly #buffer = Buffer.allocUnsafe(8192);

  constructor(files: readonly string[]) {
    const fds: number[] = [];
    try {
      for (const file of files) fds.push(fs.openSync(file, 'r'));
    } catch (error) {
      for (const fd of fds) fs.closeSync(fd);
      throw error;
    }
    this.#fds = fds;
  }

  /** Throws ENODEV when the group is gone. */
  read(index: number): string {
    const length = fs.readSync(this.#fds[index]!, this.#buffer, 0, this.#buffer.length, 0);
    return this.#buffer.toString('latin1', 0, length);
  }

  close(): void {
    for (const fd of this.#fds) fs.closeSync(fd);
  }
}
