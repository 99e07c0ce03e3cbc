/**
 * Ends what hangs in a test run. node:test gives up a test that takes too long, yet waits for its file's process, and for
 * every process that still holds the file's output: one that nobody ends would hold up the whole run for ever.
 */
import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { identify, signalProcess } from '../host/process.ts';

const MARK = 'BERTH_TEST_RUN';
/** USER_HZ, in which /proc counts: sysconf(_SC_CLK_TCK) on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

/** Marks all that is started from now on by this process, and by what it starts. */
export function markTestRun(): string {
  return (process.env[MARK] = randomUUID());
}

/** Ends each process of the run that is older than `limitMs`, with all that it started. Answers their names. */
export function endOverdue(mark: string, limitMs: number): readonly string[] {
  const uptimeMs = Number(read('/proc/uptime').split(' ')[0]) * 1000;
  const marked = entries('/proc').map(Number).filter((pid) => pid !== process.pid && Number.isSafeInteger(pid) && read(`/proc/${pid}/environ`).includes(`${MARK}=${mark}`));
  const overdue = marked.filter((pid) => uptimeMs - ((identify(pid)?.startTicks ?? Infinity) * 1000) / TICKS_PER_SECOND > limitMs);
  const names = overdue.map(nameOf);
  const tree = new Set<number>();
  for (const pid of overdue) gather(pid, tree);
  for (const one of [...tree].map(identify)) if (one !== undefined) signalProcess(one, 'SIGKILL');
  return names;
}

function gather(pid: number, tree: Set<number>): void {
  if (tree.has(pid)) return;
  tree.add(pid);
  for (const thread of entries(`/proc/${pid}/task`)) for (const child of read(`/proc/${pid}/task/${thread}/children`).split(' ')) if (child !== '') gather(Number(child), tree);
}

/** The test file, or what else is run. */
function nameOf(pid: number): string {
  const words = read(`/proc/${pid}/cmdline`).split('\0');
  const file = words.find((word) => /\.test\.\w+$/.test(word));
  return file === undefined ? words.slice(0, 3).join(' ').trim() : path.basename(file);
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
const entries = (directory: string): readonly string[] => gone(() => fs.readdirSync(directory), []);
