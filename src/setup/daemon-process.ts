/** Finds and ends the daemon of a root, however it was started: by systemd, by `up`, by hand, or dead already. */
import path from 'node:path';
import { isAlive, signalProcess, type ProcessIdentity } from '../host/process.ts';
import { listenersOf, runningPrograms, type RunningProgram } from '../host/socket-owner.ts';
import { DEFAULT_ROOT, DEFAULT_RUN } from './home.ts';

export interface Place {
  /** State: /var/lib/berth unless told otherwise. */
  readonly root: string;
  /** Runtime files: /run/berth. */
  readonly run: string;
}

export const DEFAULT_PLACE: Place = { root: DEFAULT_ROOT, run: DEFAULT_RUN };

export function socketOf(place: Place): string {
  return path.join(place.run, 'berth.sock');
}

/** The daemon's process by its socket, and by its words when it does not listen (yet, or any more). */
export function findDaemons(place: Place, programs: readonly RunningProgram[] = runningPrograms()): readonly ProcessIdentity[] {
  const found = new Map(listenersOf(socketOf(place)).map((one) => [one.pid, one]));
  for (const program of programs) if (isDaemonOf(program.args, place)) found.set(program.process.pid, program.process);
  return [...found.values()];
}

/** Keepers (native/keep.c) start a daemon again that ended: they go first. */
export function findKeepers(place: Place, programs: readonly RunningProgram[] = runningPrograms()): readonly ProcessIdentity[] {
  return programs.filter(({ args }) => path.basename(args[0] ?? '') === 'berth-native' && args[1] === 'keep' && placeIn(args, place)).map((one) => one.process);
}

function isDaemonOf(args: readonly string[], place: Place): boolean {
  const entry = args.findIndex((word) => /\/(src|dist)\/daemon(-[\w-]+)?\/main\.(ts|js)$/.test(word));
  return entry >= 1 && path.basename(args[0] ?? '') === 'node' && placeIn(args.slice(entry), place);
}

function placeIn(args: readonly string[], place: Place): boolean {
  const value = (flag: string, fallback: string): string => {
    const at = args.findIndex((word) => word === flag || word.startsWith(`${flag}=`));
    if (at < 0) return fallback;
    return path.resolve('/', args[at] === flag ? (args[at + 1] ?? fallback) : args[at]!.slice(flag.length + 1));
  };
  return value('--root', DEFAULT_ROOT) === place.root && value('--run', DEFAULT_RUN) === place.run;
}

const TERM_DEADLINE_MS = 30_000;
const KILL_DEADLINE_MS = 5000;

/** SIGTERM, then SIGKILL for those that do not end. Instances go on. Resolves when none of them lives. */
export async function endProcesses(processes: readonly ProcessIdentity[], termDeadlineMs = TERM_DEADLINE_MS): Promise<void> {
  for (const one of processes) {
    signalProcess(one, 'SIGTERM');
    signalProcess(one, 'SIGCONT'); // one that somebody stopped could not hear it
  }
  if (await allGone(processes, termDeadlineMs)) return;
  for (const one of processes) signalProcess(one, 'SIGKILL');
  await allGone(processes, KILL_DEADLINE_MS);
}

async function allGone(processes: readonly ProcessIdentity[], deadlineMs: number): Promise<boolean> {
  const end = performance.now() + deadlineMs;
  while (processes.some(isAlive)) {
    if (performance.now() > end) return false;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return true;
}
