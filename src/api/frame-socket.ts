/** A socket that speaks frames, with back-pressure both ways. */
import type { Socket } from 'node:net';
import { encodeFrame, encodeJsonFrame, FRAME, frameDecoder, type Frame, type FrameType } from '../lib/frames.ts';
import { JsonError, parseJsonStrict } from '../lib/json-strict.ts';
import { BerthError } from '../model/errors.ts';
import type { Clock } from '../control/clock.ts';
import { drained } from './drained.ts';

/** What may wait for whoever takes the frames; beyond it the client waits. */
const MAX_WAITING_FRAMES = 256;
const MAX_WAITING_BYTES = 1024 * 1024;
/** Nobody hears a client hang up while nothing is read from it: it is spoken to instead. */
const ALIVE_EVERY_MS = 5_000;
/** How long a client may take to hang up after it was told the end. */
const LINGER_MS = 5_000;

export class FrameSocket {
  readonly #socket: Socket;
  readonly #clock: Clock;
  readonly #decoder = frameDecoder();
  readonly #waiting: Frame[] = [];
  #waitingBytes = 0;
  #wake: (() => void) | undefined;
  #stopAsking: (() => void) | undefined;
  #ended = false;
  #told = false;
  readonly closed: Promise<void>;

  constructor(socket: Socket, head: Uint8Array, clock: Clock) {
    this.#socket = socket;
    this.#clock = clock;
    socket.setTimeout(0);
    this.closed = new Promise((resolve) => { socket.once('close', () => resolve()); });
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    // The end of input is a frame. Whoever closes their side has gone: a socket cannot tell half from whole.
    socket.once('end', () => socket.destroy());
    socket.once('close', () => this.#finish());
    if (head.length > 0) this.#take(head);
  }

  #take(chunk: Uint8Array): void {
    if (this.#told) return;
    try {
      for (const frame of this.#decoder.push(chunk)) {
        this.#waiting.push({ type: frame.type, payload: frame.payload.slice() });
        this.#waitingBytes += frame.payload.length;
      }
    } catch {
      this.#socket.destroy();
      return;
    }
    if (this.#isFull(1)) this.#pause();
    this.#wake?.();
  }

  #pause(): void {
    this.#socket.pause();
    this.#stopAsking ??= this.#clock.after(ALIVE_EVERY_MS, () => {
      this.#stopAsking = undefined;
      // Output of no bytes means nothing; writing it to whoever has gone ends the connection.
      if (!this.#socket.destroyed && !this.#socket.writableNeedDrain && !this.#told) this.#socket.write(encodeFrame(FRAME.stdout));
      if (!this.#socket.destroyed && this.#socket.isPaused()) this.#pause();
    });
  }

  #resume(): void {
    this.#stopAsking?.();
    this.#stopAsking = undefined;
    this.#socket.resume();
  }

  #isFull(part: number): boolean {
    return this.#waiting.length > MAX_WAITING_FRAMES * part || this.#waitingBytes > MAX_WAITING_BYTES * part;
  }

  #finish(): void {
    this.#ended = true;
    this.#stopAsking?.();
    this.#wake?.();
  }

  get isClosed(): boolean {
    return this.#socket.destroyed;
  }

  /** Frames as they come; ends with the connection. */
  async *frames(): AsyncGenerator<Frame> {
    for (;;) {
      if (this.#ended) return;
      const frame = this.#waiting.shift();
      if (frame !== undefined) {
        this.#waitingBytes -= frame.payload.length;
        if (!this.#isFull(0.5)) this.#resume();
        yield frame;
      } else await new Promise<void>((resolve) => { this.#wake = resolve; });
    }
  }

  /** The first frame: the request as strict JSON. */
  async request(timeoutMs: number): Promise<unknown> {
    const cancel = this.#clock.after(timeoutMs, () => this.#socket.destroy());
    try {
      const { value: frame } = await this.frames().next();
      if (frame === undefined) throw new BerthError('invalid', 'The connection ended before its request.');
      if (frame.type !== FRAME.request) throw new BerthError('invalid', 'The first frame must be the request.');
      return parseJsonStrict(frame.payload);
    } catch (error) {
      if (error instanceof JsonError) throw new BerthError('invalid', `The request is not acceptable JSON: ${error.message}`, { fields: [{ path: error.path, message: error.message }] });
      throw error;
    } finally {
      cancel();
    }
  }

  /** Resolves when there is room for more. */
  async send(type: FrameType, payload: Uint8Array): Promise<void> {
    if (this.#socket.destroyed || this.#socket.writableEnded) return;
    if (!this.#socket.write(encodeFrame(type, payload))) await drained(this.#socket);
  }

  sendJson(type: FrameType, value: unknown): void {
    if (!this.#socket.destroyed && !this.#socket.writableEnded) this.#socket.write(encodeJsonFrame(type, value));
  }

  fail(problem: unknown): void {
    this.sendJson(FRAME.error, problem);
    this.end();
  }

  /** Nothing more is said, and nothing more is heard; a client that stays on the line is cut off. */
  end(): void {
    if (this.#told) return;
    this.#told = true;
    if (this.#socket.destroyed) return;
    this.#socket.end();
    this.#resume();
    const cancel = this.#clock.after(LINGER_MS, () => this.#socket.destroy());
    void this.closed.then(cancel);
  }
}
