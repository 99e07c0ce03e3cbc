/**
 * One job of the native program, from start to report: constant arguments, an empty environment, descriptors instead of
 * paths, a deadline. A job that writes a product has it on descriptor 1 and its report on 4, else the report is on 1.
 */
import { spawn } from 'node:child_process';
import type { FileHandle } from 'node:fs/promises';
import { Readable, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { BerthError, ERROR_CODES, type ErrorCode } from '../model/errors.ts';
import { NATIVE_PROGRAM } from './native.ts';

export interface NativeJob {
  /** The job's name and its arguments; never text that came from an image. */
  readonly args: readonly string[];
  /** Descriptor 0: a file from its current position, or bytes as they arrive. */
  readonly input?: FileHandle | AsyncIterable<Uint8Array> | undefined;
  /** Descriptor 3. */
  readonly directory?: FileHandle | undefined;
  /** Gets the product; not ended here. */
  readonly output?: Writable | undefined;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  /** Tests hand in programs that were built without one of their guards. */
  readonly program?: string | undefined;
}

const MAX_REPORT_BYTES = 16 * 1024 * 1024;
const MAX_STDERR_BYTES = 4096;
const REPORT_FD_WITH_OUTPUT = 4;

interface Said {
  readonly report?: unknown;
  readonly error?: { readonly code: string; readonly rule: string; readonly message: string; readonly entry?: string };
}

/** The job's report. Errors carry what the job said: `details.rule` and `details.entry` name what was refused. */
export async function runNativeJob(job: NativeJob): Promise<unknown> {
  if (job.signal?.aborted === true) throw cancelled(job);
  const program = job.program ?? NATIVE_PROGRAM;
  const stream = job.input !== undefined && !isHandle(job.input) ? job.input : undefined;
  const child = spawn(program, job.args, {
    cwd: '/', env: {},
    stdio: [
      stream !== undefined ? 'pipe' : isHandle(job.input) ? job.input.fd : 'ignore', 'pipe', 'pipe',
      job.directory?.fd ?? 'ignore', ...(job.output === undefined ? [] : ['pipe' as const]),
    ],
  });
  let problem: BerthError | undefined;
  const stop = (error: BerthError): void => {
    problem ??= error;
    child.kill('SIGKILL');
  };
  const timer = setTimeout(() => stop(new BerthError('timeout', `The job ${job.args[0]!} did not finish within ${job.timeoutMs} ms.`)), job.timeoutMs);
  const onAbort = (): void => stop(cancelled(job));
  job.signal?.addEventListener('abort', onAbort);
  try {
    const reportPipe = job.output === undefined ? child.stdout! : (child.stdio as unknown as readonly Readable[])[REPORT_FD_WITH_OUTPUT]!;
    const ended = new Promise<number>((resolve, reject) => {
      child.on('error', (cause) => reject(new BerthError('unavailable', 'The native program cannot be started.', { hint: '`berth up` builds it.', cause })));
      child.on('close', (code) => resolve(code ?? -1));
    });
    const [code, report, stderr] = await Promise.all([
      ended,
      collect(reportPipe, MAX_REPORT_BYTES, () => stop(new BerthError('exhausted', 'The report of a job is too large.'))),
      collect(child.stderr!, MAX_STDERR_BYTES, () => undefined),
      stream === undefined ? undefined : feed(stream, child.stdin!, stop),
      job.output === undefined ? undefined : pipeline(child.stdout!, job.output, { end: false }).catch((cause: unknown) => stop(new BerthError('unavailable', 'Nobody takes what the job writes.', { cause }))),
    ]);
    if (problem !== undefined) throw problem;
    return understand(job, code, report, stderr);
  } finally {
    clearTimeout(timer);
    job.signal?.removeEventListener('abort', onAbort);
  }
}

function isHandle(input: NativeJob['input']): input is FileHandle {
  return input !== undefined && 'fd' in input;
}

function cancelled(job: NativeJob): BerthError {
  return new BerthError('wrongState', `The job ${job.args[0]!} was cancelled.`);
}

/** A job that has seen enough stops reading: that is its report's to explain. A source that fails ends the job. */
async function feed(source: AsyncIterable<Uint8Array>, target: Writable, stop: (error: BerthError) => void): Promise<void> {
  try {
    await pipeline(Readable.from(source, { objectMode: false }), target);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'EPIPE' || code === 'ECONNRESET' || code === 'ERR_STREAM_PREMATURE_CLOSE' || code === 'ERR_STREAM_DESTROYED') return;
    stop(error instanceof BerthError ? error : new BerthError('unavailable', 'The bytes stopped arriving.', { cause: error }));
  }
}

async function collect(stream: Readable, maxBytes: number, onTooMuch: () => void): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes <= maxBytes) chunks.push(chunk);
    else onTooMuch();
  }
  return Buffer.concat(chunks).toString('utf8');
}

const HINTS: Partial<Record<ErrorCode, string>> = {
  invalid: 'It was refused as a whole and nothing of it was kept. Build the image again without this entry.',
  exhausted: 'Free some space or raise the limit, then try again.',
};

function understand(job: NativeJob, code: number, text: string, stderr: string): unknown {
  let said: Said | undefined;
  try {
    said = JSON.parse(text) as Said;
  } catch {
    said = undefined;
  }
  if (code === 0 && said?.report !== undefined) return said.report;
  if (said?.error === undefined) throw new BerthError('internal', `The job ${job.args[0]!} ended with ${code} and no report. ${stderr.trim().slice(0, 500)}`);
  const { rule, message, entry } = said.error;
  const known = ERROR_CODES.find((one) => one === said.error!.code) ?? 'internal';
  throw new BerthError(known, entry === undefined ? message : `${message} Entry: ${shown(entry)}.`, {
    hint: HINTS[known], details: { rule, ...(entry === undefined ? {} : { entry: shown(entry) }) },
  });
}

function shown(entry: string): string {
  const plain = entry.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/gu, '?');
  return plain.length > 200 ? `${plain.slice(0, 199)}…` : plain;
}
