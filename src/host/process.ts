/** Processes by identity: pid + start time, so that a reused pid is never taken for the one that is meant. */
import fs from 'node:fs';
import { closeDescriptor, openPidDescriptor, signalByDescriptor } from './libc.ts';
import { signalNumber } from './run.ts';

/** USER_HZ is 100 on all of Linux's architectures that we know. */
const TICK_MS = 10;

export interface ProcessIdentity {
  readonly pid: number;
  /** Field 22 of /proc/PID/stat (proc(5)): clock ticks since boot. */
  readonly startTicks: number;
}

/** undefined when there is no such process, or it is a zombie. */
export function identify(pid: number): ProcessIdentity | undefined {
  let stat: string;
  try {
    stat = fs.readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return undefined;
  }
  // The command name may hold spaces and parentheses: fields are counted from the last one.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  if (fields[0] === 'Z' || fields[0] === 'X') return undefined;
  return { pid, startTicks: Number(fields[19]) };
}

/**
 * The process whose command line `matches`; undefined when there is none. Reads all of /proc (20 ms for a thousand
 * processes): for what lost its pid file, not for every day.
 */
export async function findProcess(matches: (words: readonly string[]) => boolean): Promise<ProcessIdentity | undefined> {
  for (const entry of await fs.promises.readdir('/proc')) {
    const pid = Number(entry);
    if (!Number.isSafeInteger(pid) || pid <= 1) continue;
    const identity = identify(pid);
    const text = await fs.promises.readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (identity !== undefined && matches(text.split('\0'))) return identity;
  }
  return undefined;
}

/**
 * What a process got of the processors and what its threads waited for them (proc(5), sched-stats), in milliseconds since
 * it began; undefined when it is gone. A kernel without such figures has 0 for the waiting.
 */
export function processorTime(identity: ProcessIdentity): { readonly ranMs: number; readonly waitedMs: number } | undefined {
  try {
    const dir = `/proc/${identity.pid}`, stat = fs.readFileSync(`${dir}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (Number(fields[19]) !== identity.startTicks) return undefined;
    let waitedNs = 0;
    for (const thread of fs.readdirSync(`${dir}/task`)) waitedNs += threadWaitedNs(`${dir}/task/${thread}/schedstat`);
    return { ranMs: (Number(fields[11]) + Number(fields[12])) * TICK_MS, waitedMs: waitedNs / 1e6 };
  } catch {
    return undefined;
  }
}

function threadWaitedNs(file: string): number {
  try {
    return Number(fs.readFileSync(file, 'latin1').split(' ')[1]);
  } catch {
    return 0; // it ended, or the kernel keeps no such figures
  }
}

export function isAlive(identity: ProcessIdentity): boolean {
  return identify(identity.pid)?.startTicks === identity.startTicks;
}

/** Signals this very process; false when it is gone. The descriptor pins the pid between the check and the signal. */
export function signalProcess(identity: ProcessIdentity, signal: string): boolean {
  const number = signalNumber(signal);
  if (number === undefined) throw new TypeError(`unknown signal ${signal}`);
  let fd: number;
  try {
    fd = openPidDescriptor(identity.pid);
  } catch (error) {
    // EINVAL: it is gone, but its number still names the group or the session of what it left behind.
    if (['ESRCH', 'EINVAL'].includes((error as NodeJS.ErrnoException).code ?? '')) return false;
    throw error;
  }
  try {
    if (!isAlive(identity)) return false;
    signalByDescriptor(fd, number);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw error;
  } finally {
    closeDescriptor(fd);
  }
}
