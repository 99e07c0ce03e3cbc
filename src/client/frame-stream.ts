/** Frames both ways over a connection that left HTTP. */
import { BerthError } from '../model/errors.ts';
import { encodeFrame, encodeJsonFrame, FRAME, FrameError, frameDecoder, jsonOfFrame, type Frame } from '../lib/frames.ts';
import type { HttpResponse } from './http-exchange.ts';
import { problemError } from './problem.ts';

/** Well under the largest frame, so that signals and sizes do not queue behind one long write. */
const MAX_CHUNK_BYTES = 64 * 1024;

export interface ExitFrame {
  readonly exitCode: number;
  readonly reason: string;
}

export class FrameStream {
  readonly #response: HttpResponse;

  constructor(response: HttpResponse) {
    this.#response = response;
  }

  request(value: unknown): Promise<void> {
    return this.#response.connection.write(encodeJsonFrame(FRAME.request, value));
  }

  async input(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; at += MAX_CHUNK_BYTES) {
      await this.#response.connection.write(encodeFrame(FRAME.stdin, bytes.subarray(at, at + MAX_CHUNK_BYTES)));
    }
  }

  endInput(): Promise<void> {
    return this.#response.connection.write(encodeFrame(FRAME.stdinEnd));
  }

  resize(size: { readonly rows: number; readonly columns: number }): Promise<void> {
    return this.#response.connection.write(encodeJsonFrame(FRAME.resize, size));
  }

  signal(name: string): Promise<void> {
    return this.#response.connection.write(encodeJsonFrame(FRAME.signal, { signal: name }));
  }

  /** Frames until the end of the connection. A payload is good until the next frame is asked for. @throws the error that an `error` frame carries. */
  frames(): AsyncGenerator<Frame> {
    return decodedFrames(this.#response);
  }

  close(): void {
    this.#response.connection.close();
  }
}

export async function* decodedFrames(response: Pick<HttpResponse, 'read'>): AsyncGenerator<Frame> {
  const decoder = frameDecoder();
  for (;;) {
    const chunk = await response.read();
    if (chunk === undefined) return unlessGarbled(() => decoder.end());
    for (const frame of unlessGarbled(() => decoder.push(chunk))) {
      if (frame.type === FRAME.error) throw problemError(frameJson(frame));
      yield frame;
    }
  }
}

export function frameJson(frame: Frame): unknown {
  return unlessGarbled(() => jsonOfFrame(frame));
}

function unlessGarbled<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof FrameError)) throw error;
    throw new BerthError('unavailable', 'The daemon’s stream is garbled.', { cause: error });
  }
}
