/** A process executed inside a guest, as the runtime contract wants it. Both directions have a window; nobody buffers without end. */
import { BerthError } from '../../../model/errors.ts';
import {
  badAnswer, encodeFields, encodeFrame, encodeWindow, FRAME, parseExit, parseGrant, STREAM_WINDOW_BYTES, type Frame,
} from '../../../model/agent-protocol.ts';
import type { ExecPlan, ExecSession, OutputChunk, TerminalSize } from '../driver.ts';
import { noMoreProcesses } from '../no-more-processes.ts';
import type { AgentLink, SessionSink } from './agent-link.ts';
import { execFields } from './guest-fields.ts';
import { linuxSignal } from './linux-numbers.ts';

const START_TIMEOUT_MS = 20_000;
const ANSWER_TIMEOUT_MS = 5_000;
const CHUNK_BYTES = 32 * 1024;
const KILLED = 137;
/** Pieces of output that wait for a reader; more are put together, so that a million bytes sent one by one cost a million bytes. */
const MAX_HELD = 1024;

/**
 * Errors of the agent: `wrongState`, `exhausted`, `timeout`. A program that is not there or cannot be executed is no error
 * but a process that says so and ends with 127 or 126, as in a shell.
 */
export async function startExec(link: AgentLink, plan: ExecPlan): Promise<ExecSession> {
  let session: GuestExec | undefined;
  try {
    await link.requestRaw(FRAME.exec, execFields(plan, STREAM_WINDOW_BYTES), START_TIMEOUT_MS, (number) => (session = new GuestExec(link, number, plan.stdin || plan.terminal)));
  } catch (error) {
    if (error instanceof BerthError && error.code === 'exhausted') throw noMoreProcesses(undefined, error);
    const exitCode = error instanceof BerthError ? error.details?.['exitCode'] : undefined;
    if (session === undefined || typeof exitCode !== 'number') throw error;
    session.refused((error as BerthError).message, exitCode);
  }
  return session!;
}

class GuestExec implements ExecSession, SessionSink {
  readonly exit: Promise<{ readonly exitCode: number }>;
  readonly output: AsyncIterable<OutputChunk>;
  readonly #link: AgentLink;
  readonly #number: number;
  readonly #held: OutputChunk[] = [];
  /** What the guest may still send. */
  #granted = STREAM_WINDOW_BYTES;
  #consumed = 0;
  /** What we may still send. */
  #credit = STREAM_WINDOW_BYTES;
  #inputEnded: boolean;
  #exited = false;
  #over = false;
  #wakeReader: (() => void) | undefined;
  readonly #wakeWriters: (() => void)[] = [];
  #settleExit!: (exit: { readonly exitCode: number }) => void;

  constructor(link: AgentLink, number: number, stdin: boolean) {
    this.#link = link;
    this.#number = number;
    this.#inputEnded = !stdin;
    this.exit = new Promise((resolve) => {
      this.#settleExit = resolve;
    });
    this.output = { [Symbol.asyncIterator]: () => ({ next: () => this.#next(), return: () => Promise.resolve({ done: true as const, value: undefined }) }) };
  }

  take(frame: Frame): void {
    switch (frame.type) {
      case FRAME.stdout:
      case FRAME.stderr:
        this.#granted -= frame.payload.length;
        if (this.#granted < 0) throw badAnswer('more output than was granted');
        // An empty one costs no window: a guest could send them for ever.
        if (!this.#over && frame.payload.length > 0) this.#hold({ stream: frame.type === FRAME.stdout ? 'stdout' : 'stderr', data: frame.payload });
        break;
      case FRAME.grant:
        this.#credit += parseGrant(frame.payload);
        if (this.#credit > STREAM_WINDOW_BYTES) throw badAnswer('a grant for what was not sent');
        for (const wake of this.#wakeWriters.splice(0)) wake();
        break;
      case FRAME.exit:
        this.#finish(parseExit(frame.payload));
        break;
      default:
        throw badAnswer(`a frame of type ${frame.type} in a session`);
    }
    this.#wakeReader?.();
  }

  /** It was never executed. */
  refused(message: string, exitCode: number): void {
    this.#held.push({ stream: 'stderr', data: new TextEncoder().encode(`${message}\n`) });
    this.#finish(exitCode);
  }

  /** The machine is gone, and the process with it. */
  lost(): void {
    this.#finish(KILLED);
    this.#wakeReader?.();
  }

  async write(data: Uint8Array): Promise<void> {
    for (let at = 0; at < data.length;) {
      while (this.#credit === 0 && !this.#inputEnded && !this.#exited) await new Promise<void>((resolve) => { this.#wakeWriters.push(resolve); });
      if (this.#inputEnded || this.#exited) throw new BerthError('wrongState', 'The process does not take input any more.');
      const chunk = data.subarray(at, at + Math.min(CHUNK_BYTES, this.#credit));
      this.#credit -= chunk.length;
      at += chunk.length;
      await this.#link.send(encodeFrame(FRAME.stdin, this.#number, chunk));
    }
  }

  async endInput(): Promise<void> {
    if (this.#inputEnded) return;
    this.#inputEnded = true;
    await this.#link.send(encodeFrame(FRAME.stdinEnd, this.#number));
  }

  async resize(size: TerminalSize): Promise<void> {
    await this.#link.send(encodeFrame(FRAME.resize, this.#number, encodeFields({ target: this.#number, rows: size.rows, columns: size.columns })));
  }

  async signal(signal: string): Promise<void> {
    await this.#link.request(FRAME.signal, { target: this.#number, signal: linuxSignal(signal) }, ANSWER_TIMEOUT_MS);
  }

  async close(): Promise<void> {
    if (this.#over) return;
    this.#over = true;
    this.#held.length = 0;
    this.#wakeReader?.();
    if (this.#exited) return;
    await this.#link.send(encodeFrame(FRAME.close, this.#number));
    this.#finish(KILLED);
  }

  #hold(chunk: OutputChunk): void {
    this.#held.push(chunk);
    if (this.#held.length <= MAX_HELD) return;
    // Between two streams there is no order, within one there is.
    const all = this.#held.splice(0);
    for (const stream of ['stdout', 'stderr'] as const) {
      const parts = all.filter((one) => one.stream === stream).map((one) => one.data);
      if (parts.length > 0) this.#held.push({ stream, data: Buffer.concat(parts) });
    }
  }

  #finish(exitCode: number): void {
    if (this.#exited) return;
    this.#exited = true;
    this.#link.forget(this.#number);
    for (const wake of this.#wakeWriters.splice(0)) wake();
    this.#settleExit({ exitCode });
  }

  async #next(): Promise<IteratorResult<OutputChunk>> {
    for (;;) {
      const chunk = this.#held.shift();
      if (chunk !== undefined) {
        this.#consumed += chunk.data.length;
        if (this.#consumed >= STREAM_WINDOW_BYTES / 4 && !this.#exited) {
          void this.#link.send(encodeWindow(this.#number, this.#consumed));
          this.#granted += this.#consumed;
          this.#consumed = 0;
        }
        return { done: false, value: chunk };
      }
      if (this.#exited || this.#over) return { done: true, value: undefined };
      await new Promise<void>((resolve) => {
        this.#wakeReader = () => {
          this.#wakeReader = undefined;
          resolve();
        };
      });
    }
  }
}
