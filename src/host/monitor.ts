/**
 * The door to conmon, the monitor of every form: parent of a unit's first process, drain of its output, writer of its
 * exit record. It is started with any program that speaks the OCI runtime's `create` verb:
 *   PROGRAM [ARGS…] create --bundle DIR --pid-file DIR/pid [--console-socket SOCKET] ID
 * The program must write the pid of the unit's first process into the pid file, leave that process behind as a child of
 * the monitor (a subreaper) and end with 0; its standard output and error become
 * the unit's where no terminal is asked. conmon reads them only after `create`: a process that ends before that may lose its
 * last words. conmon ignores SIGPIPE and its children inherit that: the program should set it back.
 *
 * Files in `dir` (0700, the OCI bundle too): `pid` first process, `monitor.pid`, `attach` SEQPACKET socket, `ctl` and
 * `winsz` FIFOs, `oom` when the kernel killed for memory, `monitor.err` what conmon complained about.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { terminalSafeLine } from '../lib/terminal-safe.ts';
import { BerthError } from '../model/errors.ts';
import { findProcess, identify, type ProcessIdentity } from './process.ts';
import { PLAIN_ENV } from './run.ts';

export interface MonitorPlan {
  /** Path of conmon. */
  readonly conmon: string;
  /** Name of the exit file; [0-9a-z-]. */
  readonly id: string;
  /** Absolute; exists, 0700, holds `config.json` (conmon wants a bundle; `{}` will do for what is not OCI). */
  readonly dir: string;
  /** What conmon runs as “the runtime”. */
  readonly program: string;
  /** Arguments before the verb `create`. They show in `ps`: no secrets. */
  readonly programArgs: readonly string[];
  /** Exit files of all units land here: `EXITDIR/ID`. */
  readonly exitDir: string;
  /** Made by conmon where missing; format k8s-file. See monitor-log.ts for how it stays bounded. */
  readonly logFile: string;
  /** conmon starts the log anew when it would grow over this many bytes. */
  readonly logSizeMaxBytes: number;
  /** The unit's standard streams are a terminal; the program gets --console-socket. */
  readonly terminal: boolean;
  /** A pipe as standard input, kept open for attach; else /dev/null. Without meaning with a terminal. */
  readonly stdin: boolean;
  /** Added to the environment of conmon and the program; no secrets. */
  readonly env?: Readonly<Record<string, string>> | undefined;
}

export interface StartedMonitor {
  readonly process: ProcessIdentity;
  readonly monitor: ProcessIdentity;
}

export interface MonitorStartOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  /** Runs `work`, which forks, in another mount namespace (mounts.ts). Default: here. Must be synchronous. */
  readonly around?: (<T>(work: () => T) => T) | undefined;
}

const MAX_SYNC_BYTES = 64 * 1024;

/** Asks conmon for the start: its argument vector, as data. conmon(8). */
export function monitorArguments(plan: MonitorPlan): readonly string[] {
  return [
    '--api-version', '1', '-c', plan.id, '-u', plan.id, '-n', plan.id,
    '-r', plan.program, ...plan.programArgs.flatMap((argument) => ['--runtime-arg', argument]),
    '-b', plan.dir, '-p', path.join(plan.dir, 'pid'), '-P', path.join(plan.dir, 'monitor.pid'), '-0', plan.dir,
    '-l', `k8s-file:${plan.logFile}`, '--log-size-max', String(plan.logSizeMaxBytes), '--no-sync-log',
    '--exit-dir', plan.exitDir, '--full-attach', '--log-level', 'error',
    // With a terminal -i would only make conmon close the terminal when a client lets go.
    ...(plan.terminal ? ['-t'] : plan.stdin ? ['-i'] : []),
  ];
}

/**
 * Starts the monitor and waits until the program's `create` is done. Errors: `internal` with the program's own words,
 * `timeout`, `unavailable` (no conmon). After an error something of it may still live: see `monitorIdentity`, `monitoredPid`.
 */
export async function startMonitor(plan: MonitorPlan, options: MonitorStartOptions): Promise<StartedMonitor> {
  if (plan.logFile.includes(':')) throw new BerthError('invalid', `The log path ${plan.logFile} has a colon, which conmon takes for a separator.`);
  const errors = fs.openSync(path.join(plan.dir, 'monitor.err'), 'w', 0o600);
  let child: ChildProcess;
  try {
    const fork = (): ChildProcess => spawn(plan.conmon, [...monitorArguments(plan)], {
      cwd: plan.dir,
      // UTC: log lines sort and compare whatever the host's zone.
      // Its console socket lies in TMPDIR: not where everybody may look.
      env: { ...PLAIN_ENV, TZ: 'UTC', TMPDIR: plan.dir, ...plan.env, _OCI_SYNCPIPE: '3' },
      stdio: ['ignore', 'ignore', errors, 'pipe'],
    });
    child = options.around === undefined ? fork() : options.around(fork);
  } finally {
    fs.closeSync(errors);
  }
  // conmon's first process writes the monitor's pid file and ends; the sync pipe speaks when `create` is done.
  const parentGone = new Promise<void>((resolve, reject) => {
    child.once('error', (cause: NodeJS.ErrnoException) => {
      reject(cause.code === 'ENOENT'
        ? new BerthError('unavailable', `${plan.conmon} is not installed.`, { hint: '`berth up` installs it.', cause })
        : new BerthError('internal', `Could not run ${plan.conmon}: ${cause.message}`, { cause }));
    });
    child.once('exit', () => { resolve(); });
  });
  const [message] = await withDeadline(Promise.all([readSync(child), parentGone]), child, options);
  const failure = (said: string): BerthError => new BerthError('internal', `The monitor of ${plan.id} could not start it: ${terminalSafeLine(said)}`, { details: { said } });
  if (message === undefined) throw failure(complaint(plan.dir) || 'conmon ended without a word.');
  if (message.data < 0) throw failure(message.message ?? (complaint(plan.dir) || `the runtime answered ${message.data}.`));
  // What ended at once has left its exit record already; start time 0 matches no process.
  return {
    process: identify(message.data) ?? { pid: message.data, startTicks: 0 },
    monitor: monitorIdentity(plan.dir) ?? { pid: readPid(path.join(plan.dir, 'monitor.pid')) ?? 0, startTicks: 0 },
  };
}

/** The live monitor of the unit in `dir`; undefined when there is none. A pid that was reused is not taken for it. */
export function monitorIdentity(dir: string): ProcessIdentity | undefined {
  const pid = readPid(path.join(dir, 'monitor.pid'));
  if (pid === undefined) return undefined;
  const identity = identify(pid);
  if (identity === undefined) return undefined;
  try {
    const args = fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    return args[args.indexOf('-b') + 1] === dir ? identity : undefined;
  } catch {
    return undefined;
  }
}

/** The live monitor of the unit in `dir` whose pid file says something else, or nothing. Reads all of /proc. */
export function lostMonitor(dir: string): Promise<ProcessIdentity | undefined> {
  return findProcess((words) => words.includes('--exit-dir') && words[words.indexOf('-b') + 1] === dir);
}

/** Pid of the first process as the program wrote it; it may be long gone: compare start times. */
export function monitoredPid(dir: string): number | undefined {
  return readPid(path.join(dir, 'pid'));
}

/** Sets the size of the unit's terminal. Errors: `wrongState` when no monitor reads the FIFO. */
export function resizeMonitored(dir: string, size: { readonly rows: number; readonly columns: number }): void {
  const clamp = (cells: number): number => Math.min(1000, Math.max(1, Math.trunc(cells))); // conmon refuses more
  let fd: number;
  try {
    fd = fs.openSync(path.join(dir, 'winsz'), fs.constants.O_WRONLY | fs.constants.O_NONBLOCK | fs.constants.O_NOFOLLOW);
  } catch (cause) {
    throw new BerthError('wrongState', 'Nothing runs whose terminal could be resized.', { cause });
  }
  try {
    fs.writeSync(fd, `${clamp(size.rows)} ${clamp(size.columns)}\n`);
  } finally {
    fs.closeSync(fd);
  }
}

interface SyncMessage {
  readonly data: number;
  readonly message?: string | undefined;
}

function readSync(child: ChildProcess): Promise<SyncMessage | undefined> {
  const pipe = child.stdio[3] as import('node:net').Socket;
  return new Promise((resolve) => {
    let text = '';
    const finish = (): void => {
      pipe.destroy();
      resolve(parseSync(text));
    };
    pipe.setEncoding('utf8');
    pipe.on('data', (chunk: string) => {
      text += chunk;
      if (text.includes('\n') || text.length > MAX_SYNC_BYTES) finish();
    });
    pipe.on('error', finish);
    pipe.on('close', finish);
  });
}

function parseSync(text: string): SyncMessage | undefined {
  try {
    const value = JSON.parse(text) as { data?: unknown; pid?: unknown; message?: unknown };
    const data = value.data ?? value.pid;
    if (typeof data !== 'number' || !Number.isSafeInteger(data)) return undefined;
    return { data, message: typeof value.message === 'string' ? value.message.trim().slice(0, 2000) : undefined };
  } catch {
    return undefined;
  }
}

async function withDeadline<T>(work: Promise<T>, child: ChildProcess, options: MonitorStartOptions): Promise<T> {
  let stop: (() => void) | undefined;
  const limit = new Promise<never>((_, reject) => {
    const end = (error: unknown): void => {
      (child.stdio[3] as import('node:net').Socket | null)?.destroy();
      reject(error as Error);
    };
    const timer = setTimeout(() => { end(new BerthError('timeout', `The monitor did not report within ${options.timeoutMs} ms.`)); }, options.timeoutMs);
    const abort = (): void => { end(options.signal!.reason); };
    if (options.signal?.aborted === true) abort();
    options.signal?.addEventListener('abort', abort, { once: true });
    stop = () => {
      clearTimeout(timer);
      options.signal?.removeEventListener('abort', abort);
    };
  });
  try {
    return await Promise.race([work, limit]);
  } finally {
    stop?.();
    work.catch(() => undefined);
  }
}

function complaint(dir: string): string {
  try {
    const text = fs.readFileSync(path.join(dir, 'monitor.err'), 'utf8').slice(-2000);
    return text.replace(/\[conmon:[a-z]\]: /g, '').trim();
  } catch {
    return '';
  }
}

function readPid(file: string): number | undefined {
  try {
    const pid = Number(fs.readFileSync(file, 'latin1').trim());
    return Number.isSafeInteger(pid) && pid > 1 ? pid : undefined;
  } catch {
    return undefined;
  }
}
