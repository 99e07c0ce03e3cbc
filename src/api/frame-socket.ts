/** A socket that speaks frames, with back-pressure both ways. */
import type { Socket } from 'node:net';
import { encodeFrame, encodeJsonFrame, FRAME, frameDecoder, type Frame, type FrameType } from '../lib/frames.ts';
import { JsonError, parseJsonStrict } from '../lib/json-strict.ts';
import { BerthError } from '../model/errors.ts';
import type { Clock } from '../control/clock.ts';

const MAX_WAITING_FRAMES = 256;

export class FrameSocket {
  readonly #socket: Socket;
  readonly #decoder = frameDecoder();
  readonly #waiting: Frame[] = [];
  #wake: (() => void) | undefined;
  #ended = false;
  readonly closed: Promise<void>;

  constructor(socket: Socket, head: Uint8Array) {
    this.#socket = socket;
    socket.setTimeout(0);
    this.closed = new Promise((resolve) => { socket.once('close', () => resolve()); });
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.once('end', () => this.#finish());
    socket.once('close', () => this.#finish());
    if (head.length > 0) this.#take(head);
  }

  #take(chunk: Uint8Array): void {
    try {
      for (const frame of this.#decoder.push(chunk)) this.#waiting.push({ type: frame.type, payload: frame.payload.slice() });
    } catch {
      this.#socket.destroy();
      return;
    }
    if (this.#waiting.length > MAX_WAITING_FRAMES) this.#socket.pause();
    this.#wake?.();
  }

  #finish(): void {
    this.#ended = true;
    this.#wake?.();
  }

  get isClosed(): boolean {
    return this.#socket.destroyed;
  }

  /** Frames as they come; ends with the connection. */
  async *frames(): AsyncGenerator<Frame> {
    for (;;) {
      const frame = this.#waiting.shift();
      if (frame !== undefined) {
        if (this.#waiting.length < MAX_WAITING_FRAMES / 2) this.#socket.resume();
        yield frame;
      } else if (this.#ended) return;
      else await new Promise<void>((resolve) => { this.#wake = resolve; });
    }
  }

  /** The first frame: the request as strict JSON. */
  async request(clock: Clock, timeoutMs: number): Promise<unknown> {
    const cancel = clock.after(timeoutMs, () => this.#socket.destroy());
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
    if (this.#socket.write(encodeFrame(type, payload))) return;
    await Promise.race([new Promise<void>((resolve) => { this.#socket.once('drain', resolve); }), this.closed]);
  }

  sendJson(type: FrameType, value: unknown): void {
    if (!this.#socket.destroyed && !this.#socket.writableEnded) this.#socket.write(encodeJsonFrame(type, value));
  }

  fail(problem: unknown): void {
    this.sendJson(FRAME.error, problem);
    this.end();
  }

  end(): void {
    this.#socket.end();
  }
}
