/** Lines and counted bytes out of a connection's chunks. */
import { connectionLost } from './unreachable.ts';

const NEWLINE = 10;
const RETURN = 13;

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
   * The next line as text, without its line end; undefined when the stream ended before it began.
   * @throws BerthError `unavailable` when the stream ends inside of a line, RangeError when it is longer than `maxBytes`.
   */
  async line(maxBytes: number): Promise<string | undefined> {
    const parts: Uint8Array[] = [];
    let length = 0;
    for (;;) {
      const chunk = await this.some();
      if (chunk === undefined) {
        if (length === 0) return undefined;
        throw connectionLost();
      }
      const at = chunk.indexOf(NEWLINE);
      length += at < 0 ? chunk.length : at;
      if (length > maxBytes) throw new RangeError(`A line of the daemon's answer is longer than ${maxBytes} bytes.`);
      if (at < 0) {
        parts.push(chunk);
        continue;
      }
      if (at + 1 < chunk.length) this.#rest = chunk.subarray(at + 1);
      parts.push(chunk.subarray(0, at));
      const line = joined(parts, length);
      return new TextDecoder().decode(line.at(-1) === RETURN ? line.subarray(0, -1) : line);
    }
  }
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
