/** A longer-running program whose output is wanted as it comes: an argv array, an empty environment, a deadline. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { BerthError } from '../model/errors.ts';
import { PLAIN_ENV } from './run.ts';

export interface ProgramOutputOptions {
  readonly timeoutMs: number;
  readonly env?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
  /** Lines of standard error; the last ones stand in the error when the program fails. */
  readonly onLine?: ((line: string) => void) | undefined;
}

const KEPT_LINES = 5;
const MAX_LINE = 500;
/** After SIGTERM the program may take away what it made; then its whole process group is killed. */
const GRACE_MS = 20_000;

/** Standard output in chunks. Leaving the loop early ends the program. */
export async function* programOutput(file: string, args: readonly string[], options: ProgramOutputOptions): AsyncGenerator<Uint8Array> {
  if (options.signal?.aborted === true) throw new BerthError('wrongState', `${file} was cancelled.`);
  const child = spawn(file, args, { cwd: '/', env: { ...PLAIN_ENV, ...options.env }, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  let problem: BerthError | undefined;
  let killer: NodeJS.Timeout | undefined;
  const signalGroup = (signal: NodeJS.Signals): void => {
    try {
      if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) process.kill(-child.pid, signal);
    } catch { /* it ended meanwhile */ }
  };
  const stop = (error: BerthError): void => {
    problem ??= error;
    signalGroup('SIGTERM');
    killer ??= setTimeout(() => signalGroup('SIGKILL'), GRACE_MS);
  };
  const timer = setTimeout(() => stop(new BerthError('timeout', `${file} did not finish within ${options.timeoutMs} ms.`)), options.timeoutMs);
  const onAbort = (): void => stop(new BerthError('wrongState', `${file} was cancelled.`));
  options.signal?.addEventListener('abort', onAbort);
  const said: string[] = [];
  createInterface({ input: child.stderr }).on('line', (line) => {
    const short = line.slice(0, MAX_LINE);
    said.push(short);
    if (said.length > KEPT_LINES) said.shift();
    options.onLine?.(short);
  });
  const ended = new Promise<number>((resolve) => {
    child.on('error', (cause: NodeJS.ErrnoException) => {
      problem ??= cause.code === 'ENOENT'
        ? new BerthError('unavailable', `${file} is not installed.`, { hint: '`berth doctor` lists what is missing; `berth up` installs it.', cause })
        : new BerthError('internal', `Could not run ${file}: ${cause.message}`, { cause });
      resolve(-1);
    });
    child.on('close', (code) => resolve(code ?? -1));
  });
  let whole = false;
  try {
    yield* child.stdout as AsyncIterable<Uint8Array>;
    whole = true;
  } finally {
    if (!whole) stop(new BerthError('wrongState', `${file} was left.`));
    const code = await ended;
    clearTimeout(timer);
    clearTimeout(killer);
    options.signal?.removeEventListener('abort', onAbort);
    if (whole && problem === undefined && code !== 0) problem = new BerthError('unavailable', `${file} ended with ${code}: ${said.join(' / ')}`);
  }
  if (problem !== undefined) throw problem;
}
