/**
 * The wire format of raw streams between daemon and client (attach, exec, logs): frames of one byte type, four bytes
 * length (big-endian) and the payload. Plain Uint8Array, so that it runs in a browser too.
 */

export const FRAME = {
  /** client → daemon: bytes of standard input. */
  stdin: 0,
  /** daemon → client: bytes of standard output, or of the terminal. */
  stdout: 1,
  stderr: 2,
  /** client → daemon, JSON: `{ columns, rows }`. */
  resize: 3,
  /** client → daemon, JSON: `{ signal: "SIGINT" }`. */
  signal: 4,
  /** daemon → client, JSON: what was started. */
  started: 5,
  /** daemon → client, JSON: `{ exitCode, … }`; the last frame. */
  exit: 6,
  /** daemon → client, JSON: the error body; the last frame. */
  error: 7,
  /** client → daemon, empty: end of standard input. */
  stdinEnd: 8,
  /** client → daemon, JSON: what is asked; the first frame of a conversation. */
  request: 9,
} as const;

export type FrameType = (typeof FRAME)[keyof typeof FRAME];

export interface Frame {
  readonly type: FrameType;
  /** May lie in the chunk that was pushed: use it or copy it before that chunk is used again. */
  readonly payload: Uint8Array;
}

export const MAX_FRAME_BYTES = 1024 * 1024;
export const FRAME_HEADER_BYTES = 5;
const encoder = new TextEncoder();
const strictDecoder = new TextDecoder('utf-8', { fatal: true });
const LAST_TYPE = FRAME.request;

/** The other end does not speak this format, or speaks it to do harm: close the connection. */
export class FrameError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'FrameError';
  }
}

/** Only the five bytes before a payload, for writers that send header and payload without copying. */
export function frameHeader(type: FrameType, payloadBytes: number): Uint8Array {
  if (payloadBytes > MAX_FRAME_BYTES) throw new FrameError(`A frame may carry at most ${MAX_FRAME_BYTES} bytes.`);
  return Uint8Array.of(type, payloadBytes >>> 24, payloadBytes >>> 16, payloadBytes >>> 8, payloadBytes);
}

/** One frame. Throws FrameError for a payload over MAX_FRAME_BYTES; `encodeStream` cuts those. */
export function encodeFrame(type: FrameType, payload: Uint8Array = new Uint8Array(0)): Uint8Array {
  const frame = new Uint8Array(FRAME_HEADER_BYTES + payload.length);
  frame.set(frameHeader(type, payload.length));
  frame.set(payload, FRAME_HEADER_BYTES);
  return frame;
}

/** As many frames as the bytes need; none for no bytes. */
export function encodeStream(type: FrameType, bytes: Uint8Array): Uint8Array[] {
  const frames: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += MAX_FRAME_BYTES) frames.push(encodeFrame(type, bytes.subarray(at, at + MAX_FRAME_BYTES)));
  return frames;
}

export function encodeJsonFrame(type: FrameType, value: unknown): Uint8Array {
  return encodeFrame(type, encoder.encode(JSON.stringify(value)));
}

/** UTF-8 as text. Throws TypeError when it is not well-formed. */
export function decodeText(payload: Uint8Array): string {
  return strictDecoder.decode(payload);
}

/** The payload as JSON. Throws FrameError when it is none; what it says is still to be validated. */
export function jsonOfFrame(frame: Frame): unknown {
  try {
    return JSON.parse(decodeText(frame.payload));
  } catch {
    throw new FrameError('The payload of a frame is not valid JSON.');
  }
}

export interface FrameDecoder {
  /** The frames that are whole now. Throws FrameError for an unknown type or a payload that is too large, then always. */
  push(chunk: Uint8Array): Frame[];
  /** Throws FrameError when the stream ended within a frame. */
  end(): void;
}

class Decoder implements FrameDecoder {
  readonly #maxBytes: number;
  readonly #header = new Uint8Array(FRAME_HEADER_BYTES);
  #headerBytes = 0;
  #pieces: Uint8Array[] = [];
  #missing = 0;
  #broken: FrameError | undefined;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  push(chunk: Uint8Array): Frame[] {
    if (this.#broken !== undefined) throw this.#broken;
    const frames: Frame[] = [];
    let at = 0;
    for (;;) {
      if (this.#headerBytes < FRAME_HEADER_BYTES) {
        const part = chunk.subarray(at, at + FRAME_HEADER_BYTES - this.#headerBytes);
        this.#header.set(part, this.#headerBytes);
        this.#headerBytes += part.length;
        at += part.length;
        if (this.#headerBytes < FRAME_HEADER_BYTES) return frames;
        this.#startPayload();
      }
      const piece = chunk.subarray(at, at + this.#missing);
      // A part is kept beyond this call, and the caller may use its chunk again (slice of a Buffer would share it).
      if (piece.length > 0) this.#pieces.push(piece.length === this.#missing ? piece : new Uint8Array(piece));
      this.#missing -= piece.length;
      at += piece.length;
      if (this.#missing > 0) return frames;
      frames.push(this.#finish());
    }
  }

  end(): void {
    if (this.#broken !== undefined) throw this.#broken;
    if (this.#headerBytes > 0) this.#refuse('The stream ended within a frame.');
  }

  #startPayload(): void {
    const [type, a, b, c, d] = this.#header as unknown as [number, number, number, number, number];
    if (type > LAST_TYPE) this.#refuse(`A frame has the unknown type ${type}.`);
    this.#missing = (a << 24 | b << 16 | c << 8 | d) >>> 0;
    if (this.#missing > this.#maxBytes) this.#refuse(`A frame announces ${this.#missing} bytes; at most ${this.#maxBytes} are allowed.`);
  }

  #finish(): Frame {
    const payload = this.#pieces.length === 1 ? this.#pieces[0]! : join(this.#pieces);
    this.#pieces = [];
    this.#headerBytes = 0;
    return { type: this.#header[0] as FrameType, payload };
  }

  #refuse(message: string): never {
    this.#broken = new FrameError(message);
    this.#pieces = [];
    throw this.#broken;
  }
}

/** Payloads that came in one piece are not copied; one that comes in pieces is put together once. */
export function frameDecoder(maxBytes = MAX_FRAME_BYTES): FrameDecoder {
  return new Decoder(maxBytes);
}

function join(pieces: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
