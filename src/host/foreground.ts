/** Programs that a person watches: their output goes on as it comes, instead of being collected (run.ts does that). */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { BerthError } from '../model/errors.ts';
import { PLAIN_ENV, signalNumber } from './run.ts';

export interface ForegroundOptions {
  /** Added to the plain environment; `inheritEnv` starts from this process's own instead. */
  readonly env?: Readonly<Record<string, string>>;
  readonly inheritEnv?: boolean;
  readonly cwd?: string;
  /** Called for each line of standard output and standard error. Without it both are this process's own. */
  readonly onLine?: (line: string) => void;
  /** SIGTERM after that, SIGKILL five seconds later. Without it there is no deadline. */
  readonly timeoutMs?: number;
}

const KILL_DELAY_MS = 5000;

/** Resolves with the exit code (128 + signal), also when it is not 0. @throws BerthError `unavailable`: not installed. */
export function runInForeground(file: string, args: readonly string[], options: ForegroundOptions = {}): Promise<number> {
  return new Promise((resolve, reject) => {
    const { onLine } = options;
    const child = spawn(file, args, {
      cwd: options.cwd ?? '/',
      env: { ...(options.inheritEnv === true ? process.env : PLAIN_ENV), ...options.env },
      stdio: onLine === undefined ? 'inherit' : ['ignore', 'pipe', 'pipe'],
    });
    const timers: NodeJS.Timeout[] = [];
    if (options.timeoutMs !== undefined) {
      timers.push(setTimeout(() => child.kill('SIGTERM'), options.timeoutMs));
      timers.push(setTimeout(() => child.kill('SIGKILL'), options.timeoutMs + KILL_DELAY_MS));
    }
    if (onLine !== undefined) {
      for (const stream of [child.stdout!, child.stderr!]) createInterface({ input: stream, crlfDelay: Infinity }).on('line', onLine);
    }
    child.on('error', (cause: NodeJS.ErrnoException) => {
      timers.forEach(clearTimeout);
      reject(cause.code === 'ENOENT'
        ? new BerthError('unavailable', `${file} is not installed.`, { cause })
        : new BerthError('internal', `Could not run ${file}: ${cause.message}`, { cause }));
    });
    child.on('close', (code, signal) => {
      timers.forEach(clearTimeout);
      resolve(code ?? 128 + (signalNumber(signal) ?? 0));
    });
  });
}
