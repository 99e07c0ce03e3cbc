/** Lines and counted bytes out of a connection's chunks. */
import { connectionLost } from './unreachable.ts';

const DECODER = new TextDecoder();

export class ByteReader {
  readonly #source: () => Promise<Uint8Array | undefined>;
  #rest: Uint8Array | undefined;

  constructor(source: () => Promise<Uint8Array | undefined>) {
    this.#source = source;
  }

  /** The next bytes, at most `maxBytes`; undefined at the end. */
  async some(maxBytes = Infinity): Promise<Uint8Array | undefined> {
    const chunk = this.#rest ?? (await this.#source());
    this.#rest = undefined;
    if (chunk === undefined || chunk.length <= maxBytes) return chunk;
    this.#rest = chunk.subarray(maxBytes);
    return chunk.subarray(0, maxBytes);
  }

  /**
   * The text up to `end`, which is taken and not part of it; undefined when the stream ended before it began.
   * @throws BerthError `unavailable` when the stream ends before `end`, RangeError when there is none within `maxBytes`.
   */
  async until(end: Uint8Array, maxBytes: number): Promise<string | undefined> {
    let bytes: Uint8Array | undefined;
    let searched = 0;
    for (;;) {
      const chunk = await this.some();
      if (chunk === undefined) {
        if (bytes === undefined) return undefined;
        throw connectionLost();
      }
      bytes = bytes === undefined ? chunk : joined([bytes, chunk], bytes.length + chunk.length);
      const at = indexOfBytes(bytes, end, Math.max(0, searched - end.length + 1));
      if (at > maxBytes || (at < 0 && bytes.length > maxBytes)) throw new RangeError(`The daemon's answer has more than ${maxBytes} bytes where it should have fewer.`);
      if (at >= 0) {
        if (at + end.length < bytes.length) this.#rest = bytes.subarray(at + end.length);
        return DECODER.decode(bytes.subarray(0, at));
      }
      searched = bytes.length;
    }
  }
}

function indexOfBytes(bytes: Uint8Array, wanted: Uint8Array, from: number): number {
  for (let at = bytes.indexOf(wanted[0]!, from); at >= 0; at = bytes.indexOf(wanted[0]!, at + 1)) {
    let same = 1;
    while (same < wanted.length && bytes[at + same] === wanted[same]) same++;
    if (same === wanted.length) return at;
  }
  return -1;
}

export function joined(parts: readonly Uint8Array[], length: number): Uint8Array {
  if (parts.length === 1) return parts[0]!;
  const all = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
