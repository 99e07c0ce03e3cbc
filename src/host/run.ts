/** The one door to short-lived programs: no shell, an argv array, bounded output, a deadline, an empty environment. */
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import { BerthError } from '../model/errors.ts';
import { anonymousFile } from './libc.ts';

export interface RunOptions {
  readonly input?: string | Uint8Array | undefined;
  readonly timeoutMs?: number;
  readonly maxOutputBytes?: number;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly signal?: AbortSignal | undefined;
  /** Answer instead of throwing when the exit code is not 0. */
  readonly allowFailure?: boolean;
  /** How output becomes text; `latin1` keeps bytes. */
  readonly encoding?: 'utf8' | 'latin1';
}

export interface RunResult {
  /** 128 + signal when a signal ended it. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export const PLAIN_ENV: Readonly<Record<string, string>> = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  LC_ALL: 'C.UTF-8',
};

const DEFAULT_TIMEOUT_MS = 30_000;
const DEFAULT_MAX_OUTPUT_BYTES = 1024 * 1024;

export function run(file: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  const maxBytes = options.maxOutputBytes ?? DEFAULT_MAX_OUTPUT_BYTES;
  return new Promise((resolve, reject) => {
    // Node's own pipes are sockets, which a program that opens /dev/stdin (nft) cannot open: a file in memory it can.
    const input = options.input === undefined ? undefined : anonymousFile(options.input);
    const child = spawn(file, args, {
      cwd: options.cwd ?? '/',
      env: { ...PLAIN_ENV, ...options.env },
      stdio: [input ?? 'ignore', 'pipe', 'pipe'],
      ...(options.signal === undefined ? {} : { signal: options.signal, killSignal: 'SIGKILL' as const }),
    });
    if (input !== undefined) fs.closeSync(input);
    const chunks: Record<'stdout' | 'stderr', Buffer[]> = { stdout: [], stderr: [] };
    let bytes = 0;
    let problem: BerthError | undefined;
    const timer = setTimeout(() => {
      problem = new BerthError('timeout', `${file} did not finish within ${timeoutMs} ms.`);
      child.kill('SIGKILL');
    }, timeoutMs);
    for (const name of ['stdout', 'stderr'] as const) {
      child[name]!.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes <= maxBytes) chunks[name].push(chunk);
        else if (problem === undefined) {
          problem = new BerthError('exhausted', `${file} wrote more than ${maxBytes} bytes.`);
          child.kill('SIGKILL');
        }
      });
    }
    child.on('error', (cause: NodeJS.ErrnoException) => {
      clearTimeout(timer);
      if (cause.code === 'ENOENT') reject(new BerthError('unavailable', `${file} is not installed.`, { hint: '`berth doctor` lists what is missing; `berth up` installs it.', cause }));
      else reject(new BerthError('internal', `Could not run ${file}: ${cause.message}`, { cause }));
    });
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      if (problem !== undefined) return reject(problem);
      const stdout = Buffer.concat(chunks.stdout).toString(options.encoding ?? 'utf8');
      const stderr = Buffer.concat(chunks.stderr).toString('utf8');
      const exit = code ?? 128 + (signalNumber(signal) ?? 0);
      if (exit !== 0 && options.allowFailure !== true) {
        const said = stderr.trim().slice(-2000) || stdout.trim().slice(-2000);
        return reject(new BerthError('internal', `${file} ended with ${exit}: ${said}`, { details: { exitCode: exit } }));
      }
      return resolve({ code: exit, stdout, stderr });
    });
  });
}


/** glibc's SIGRTMIN: the kernel's is 32, two are the library's own. systemd(1) counts from it. */
const SIGRTMIN = 34;
const REAL_TIME = /^SIGRTMIN(?:\+(\d|[12]\d|30))?$/;

export function signalNumber(name: string | null | undefined): number | undefined {
  if (name === null || name === undefined) return undefined;
  const realTime = REAL_TIME.exec(name);
  return realTime === null ? (os.constants.signals as Record<string, number>)[name] : SIGRTMIN + Number(realTime[1] ?? 0);
}
