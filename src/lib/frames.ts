/**
 * The wire format of raw streams between daemon and client: u8 type, u32 big-endian payload length, payload.
 * Types marked JSON carry one JSON document as UTF-8.
 */

export const FRAME = {
  stdin: 0, stdout: 1, stderr: 2,
  /** JSON {rows, columns} */
  resize: 3,
  /** JSON {signal} */
  signal: 4,
  /** JSON: what was started */
  started: 5,
  /** JSON {exitCode, reason} */
  exit: 6,
  /** JSON: a problem (RFC 9457) */
  error: 7,
  stdinEnd: 8,
  /** JSON: the first frame of a client */
  request: 9,
} as const;

export interface Frame {
  readonly type: number;
  readonly payload: Uint8Array;
}

export const MAX_FRAME_BYTES = 1024 * 1024;
const HEAD_BYTES = 5;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Head and payload in one buffer. RangeError over 1 MiB: split stream data before. */
export function encodeFrame(type: number, payload: Uint8Array): Uint8Array {
  if (payload.length > MAX_FRAME_BYTES) throw new RangeError(`a frame holds at most ${MAX_FRAME_BYTES} bytes`);
  const frame = new Uint8Array(HEAD_BYTES + payload.length);
  frame[0] = type;
  new DataView(frame.buffer).setUint32(1, payload.length);
  frame.set(payload, HEAD_BYTES);
  return frame;
}

export function encodeJsonFrame(type: number, value: unknown): Uint8Array {
  return encodeFrame(type, encoder.encode(JSON.stringify(value)));
}

export function decodeText(payload: Uint8Array): string {
  return decoder.decode(payload);
}

const EMPTY = new Uint8Array(0);

/** Takes bytes as they arrive, gives whole frames. A payload over 1 MiB is an error at once, before it is buffered. */
export class FrameDecoder {
  #rest: Uint8Array = EMPTY;

  /** Frames may share memory with `chunk`: use them before the next call, or copy. */
  push(chunk: Uint8Array): Frame[] {
    let bytes = chunk;
    if (this.#rest.length > 0) {
      bytes = new Uint8Array(this.#rest.length + chunk.length);
      bytes.set(this.#rest);
      bytes.set(chunk, this.#rest.length);
    }
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const frames: Frame[] = [];
    let at = 0;
    while (bytes.length - at >= HEAD_BYTES) {
      const length = view.getUint32(at + 1);
      if (length > MAX_FRAME_BYTES) throw new RangeError(`a frame of ${length} bytes is over the limit`);
      if (bytes.length - at - HEAD_BYTES < length) break;
      frames.push({ type: bytes[at]!, payload: bytes.subarray(at + HEAD_BYTES, at + HEAD_BYTES + length) });
      at += HEAD_BYTES + length;
    }
    this.#rest = at === bytes.length ? EMPTY : bytes.slice(at);
    return frames;
  }

  /** Bytes of a frame that is not whole yet. */
  get pendingBytes(): number {
    return this.#rest.length;
  }
}
