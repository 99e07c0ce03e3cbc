/**
 * Files in and out of a running unit, by our own program executed inside (native/os-copy-out.c, native/os-copy-in.c): the
 * host opens none of the instance's paths, and every link means what it means to the instance, with its rights and no
 * others. What the program says is the instance's word: an archive is hostile, an error is bounded text.
 */
import { BerthError, type ErrorCode } from '../../model/errors.ts';
import { terminalSafeLine } from '../../lib/terminal-safe.ts';
import type { CopyInRequest, CopyOutRequest, ExecInside, ExecPlan, ExecSession } from './driver.ts';
import { PROGRAM_INSIDE } from './program-inside.ts';

/** Of the rights of root inside: whose files they are is no obstacle, and nothing else. */
const CAPABILITIES = ['CAP_CHOWN', 'CAP_DAC_OVERRIDE', 'CAP_FOWNER', 'CAP_FSETID'];
const MAX_SAID_BYTES = 8 * 1024;
const MAX_TOLD = 1024;
const SAYABLE: ReadonlySet<string> = new Set<ErrorCode>(['invalid', 'notFound', 'forbidden', 'wrongState', 'exhausted', 'unsupported', 'unavailable']);

function copyPlan(args: readonly string[], stdin: boolean): ExecPlan {
  return {
    args: [PROGRAM_INSIDE, ...args], env: ['PATH=/'], cwd: '/', user: { uid: 0, gid: 0, additionalGids: [] },
    terminal: false, stdin, noNewPrivileges: true, capabilities: CAPABILITIES,
  };
}

/**
 * The archive as it is read; who stops reading ends the program. Errors before its first byte: `notFound`, `invalid`,
 * `wrongState`; after it: `unavailable`.
 */
export async function copyOutOf(exec: ExecInside, { path, followLink }: CopyOutRequest, signal?: AbortSignal): Promise<AsyncIterable<Uint8Array>> {
  const session = await exec(copyPlan(['copy-out', ...(followLink ? ['--follow'] : []), '--', path], false));
  session.exit.catch(() => undefined);
  const bytes = archiveBytes(session);
  using _abort = closedBy(signal, session);
  const first = await bytes.next();
  if (first.done === true) throw new BerthError('unavailable', 'The instance sent no archive.');
  return beginningWith(first.value, bytes);
}

/** Resolves when all of it is taken in. What was taken in before an error stays. */
export async function copyInto(exec: ExecInside, { path, extract, archive }: CopyInRequest, tar: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<void> {
  const session = await exec(copyPlan(['copy-in', ...(extract ? ['--extract'] : []), ...(archive ? ['--archive'] : []), '--', path], true));
  session.exit.catch(() => undefined);
  using _abort = closedBy(signal, session);
  const said = new Said();
  const output = (async () => { for await (const chunk of session.output) if (chunk.stream === 'stderr') said.hear(chunk.data); })();
  output.catch(() => undefined);
  const ended = output.then(() => undefined, () => undefined);
  try {
    const source = tar[Symbol.asyncIterator]();
    try {
      for (;;) {
        // A program that ended waits for no more input; neither may who sends it.
        const next = await Promise.race([source.next().catch(stoppedComing), ended]);
        if (next === undefined || next.done === true) break;
        const taken = await Promise.race([session.write(next.value).then(() => true, () => false), ended]);
        if (taken !== true) break;
      }
      await session.endInput().catch(() => undefined);
    } finally {
      // Not waited for: a source that gives nothing might not end either.
      void Promise.resolve(source.return?.()).catch(() => undefined);
    }
    await output;
    const { exitCode } = await session.exit;
    if (exitCode !== 0) throw said.error(exitCode);
  } finally {
    await session.close();
  }
}

function stoppedComing(cause: unknown): never {
  throw cause instanceof BerthError ? cause : new BerthError('unavailable', 'The archive stopped coming.', { cause });
}

/** A hostile instance may take and give nothing for ever: then who asked leaves. */
function closedBy(signal: AbortSignal | undefined, session: ExecSession): Disposable {
  const close = (): void => { void session.close(); };
  signal?.addEventListener('abort', close, { once: true });
  if (signal?.aborted === true) close();
  return { [Symbol.dispose]: () => { signal?.removeEventListener('abort', close); } };
}

/** Not a generator: one that nobody began to read would never let go. */
function archiveBytes(session: ExecSession): AsyncIterableIterator<Uint8Array, undefined> {
  const output = session.output[Symbol.asyncIterator]();
  const said = new Said();
  const end = async (): Promise<IteratorResult<Uint8Array, undefined>> => {
    await session.close();
    return { done: true, value: undefined };
  };
  return {
    [Symbol.asyncIterator]() { return this; },
    async next() {
      try {
        for (;;) {
          const next = await output.next();
          if (next.done === true) break;
          if (next.value.stream === 'stdout') return { done: false, value: next.value.data };
          said.hear(next.value.data);
        }
        const { exitCode } = await session.exit;
        if (exitCode !== 0) throw said.error(exitCode);
        return await end();
      } catch (error) {
        await end();
        throw error;
      }
    },
    return: end,
  };
}

function beginningWith(first: Uint8Array, rest: AsyncIterableIterator<Uint8Array, undefined>): AsyncIterable<Uint8Array> {
  let begun = false;
  const whole: AsyncIterableIterator<Uint8Array, undefined> = {
    [Symbol.asyncIterator]: () => whole,
    async next() {
      if (begun) return rest.next();
      begun = true;
      return { done: false, value: first };
    },
    return: () => rest.return!(),
  };
  return whole;
}

/** The beginning of what was written to standard error. */
class Said {
  #text = '';

  hear(data: Uint8Array): void {
    if (this.#text.length < MAX_SAID_BYTES) this.#text += Buffer.from(data).toString('utf8').slice(0, MAX_SAID_BYTES);
  }

  error(exitCode: number): BerthError {
    if (exitCode === 126 || exitCode === 127) return new BerthError('unsupported', 'This instance was started before files could be copied.', { hint: 'Restart it.' });
    const [, code = '', sentence = ''] = /^([a-zA-Z]{1,20}) ([^\n]+)/.exec(this.#text) ?? [];
    if (!SAYABLE.has(code)) return new BerthError('unavailable', `The copy ended inside the instance with ${exitCode}.`, { hint: 'Did the instance end, or run out of memory?' });
    return new BerthError(code as ErrorCode, terminalSafeLine(sentence.slice(0, MAX_TOLD)), code === 'notFound' ? { hint: 'Paths are those that the instance sees.' } : {});
  }
}
