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
  return encodeFrame(type, new TextEncoder().encode(JSON.stringify(value)));
}

/** The payload as JSON. Throws FrameError when it is none; what it says is still to be validated. */
export function jsonOfFrame(frame: Frame): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(frame.payload));
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

/** Payloads that came in one piece are not copied; one that comes in pieces is put together once. */
export function frameDecoder(maxBytes = MAX_FRAME_BYTES): FrameDecoder {
  const header = new Uint8Array(FRAME_HEADER_BYTES);
  let headerBytes = 0;
  let pieces: Uint8Array[] = [];
  let missing = 0;
  let broken: FrameError | undefined;

  function refuse(message: string): never {
    broken = new FrameError(message);
    pieces = [];
    throw broken;
  }

  function startPayload(): void {
    if (header[0]! > LAST_TYPE) refuse(`A frame has the unknown type ${header[0]}.`);
    missing = (header[1]! << 24 | header[2]! << 16 | header[3]! << 8 | header[4]!) >>> 0;
    if (missing > maxBytes) refuse(`A frame announces ${missing} bytes; at most ${maxBytes} are allowed.`);
  }

  function finish(): Frame {
    const payload = pieces.length === 1 ? pieces[0]! : join(pieces);
    pieces = [];
    headerBytes = 0;
    return { type: header[0] as FrameType, payload };
  }

  return {
    push(chunk) {
      if (broken !== undefined) throw broken;
      const frames: Frame[] = [];
      let at = 0;
      for (;;) {
        if (headerBytes < FRAME_HEADER_BYTES) {
          const part = chunk.subarray(at, at + FRAME_HEADER_BYTES - headerBytes);
          header.set(part, headerBytes);
          headerBytes += part.length;
          at += part.length;
          if (headerBytes < FRAME_HEADER_BYTES) return frames;
          startPayload();
        }
        const piece = chunk.subarray(at, at + missing);
        // A part is kept beyond this call, and the caller may use its chunk again (slice of a Buffer would share it).
        if (piece.length > 0) pieces.push(piece.length === missing ? piece : new Uint8Array(piece));
        missing -= piece.length;
        at += piece.length;
        if (missing > 0) return frames;
        frames.push(finish());
      }
    },
    end() {
      if (broken !== undefined) throw broken;
      if (headerBytes > 0) refuse('The stream ended within a frame.');
    },
  };
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
