/**
 * Ends test files that hang. node:test gives up a test that takes too long, yet waits for the file's process, and for
 * every process that still holds its output: one that nobody ends would hold up the whole run for ever.
 */
import fs from 'node:fs';
import path from 'node:path';
import { identify, signalProcess, type ProcessIdentity } from '../host/process.ts';

interface TestFile {
  readonly name: string;
  readonly process: ProcessIdentity;
  readonly outputs: readonly string[];
  readonly sinceMs: number;
}

export interface FileWatch extends Disposable {
  /** Looks once. Answers what was ended by it. */
  look(nowMs: number): readonly string[];
}

/** Watches the children of this process that run one of `files`. `fileMs` is how long one may take, with all that holds its output. */
export function watchFiles(files: readonly string[], fileMs: number): FileWatch {
  const seen = new Map<string, TestFile>();
  const look = (nowMs: number): readonly string[] => {
    for (const pid of childrenOf('self')) {
      const file = files.find((one) => argumentsOf(pid).includes(one));
      const process = identify(pid);
      if (file === undefined || process === undefined || seen.has(keyOf(process))) continue;
      seen.set(keyOf(process), { name: path.basename(file), process, outputs: outputsOf(pid), sinceMs: nowMs });
    }
    const ended: string[] = [];
    for (const [key, file] of seen) {
      if (nowMs - file.sinceMs < fileMs) continue;
      seen.delete(key);
      if (endAll(file)) ended.push(file.name);
    }
    return ended;
  };
  return { look, [Symbol.dispose]: () => seen.clear() };
}

/** Whether there was anything to end. */
function endAll({ process, outputs }: TestFile): boolean {
  const tree = new Set<number>();
  const gather = (pid: number): void => {
    if (tree.has(pid)) return;
    tree.add(pid);
    for (const child of childrenOf(pid)) gather(child);
  };
  if (identify(process.pid)?.startTicks === process.startTicks) gather(process.pid);
  for (const holder of holdersOf(outputs)) gather(holder);
  const identities = [...tree].map(identify).filter((one) => one !== undefined);
  return identities.map((one) => signalProcess(one, 'SIGKILL')).includes(true);
}

function keyOf({ pid, startTicks }: ProcessIdentity): string {
  return `${pid} ${startTicks}`;
}

function childrenOf(pid: number | 'self'): readonly number[] {
  return entries(`/proc/${pid}/task`).flatMap((thread) => read(`/proc/${pid}/task/${thread}/children`).split(' ').filter((word) => word !== '').map(Number));
}

function argumentsOf(pid: number): readonly string[] {
  return read(`/proc/${pid}/cmdline`).split('\0');
}

/** What node:test reads of it: its ends of two socket pairs, that nobody else has but those who inherited them. */
function outputsOf(pid: number): readonly string[] {
  return [1, 2].map((fd) => link(`/proc/${pid}/fd/${fd}`)).filter((one) => one.startsWith('socket:') || one.startsWith('pipe:'));
}

function holdersOf(outputs: readonly string[]): readonly number[] {
  const pids = entries('/proc').map(Number).filter((pid) => Number.isSafeInteger(pid) && pid !== process.pid);
  return pids.filter((pid) => entries(`/proc/${pid}/fd`).some((fd) => outputs.includes(link(`/proc/${pid}/fd/${fd}`))));
}

/** Processes end while they are looked at: nothing, then. */
function gone<T>(look: () => T, nothing: T): T {
  try {
    return look();
  } catch {
    return nothing;
  }
}

const read = (file: string): string => gone(() => fs.readFileSync(file, 'utf8'), '');
const link = (file: string): string => gone(() => fs.readlinkSync(file), '');
const entries = (directory: string): readonly string[] => gone(() => fs.readdirSync(directory), []);
