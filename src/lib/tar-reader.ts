/**
 * Reads tar archives as they arrive: ustar, PAX and GNU long names. It writes nothing and buffers nothing but headers,
 * which are bounded; numbers that are negative or malformed end the reading. Content that is not taken is skipped.
 */

export interface TarReadEntry {
  readonly path: string;
  readonly type: 'file' | 'hardlink' | 'symlink' | 'directory' | 'other';
  readonly sizeBytes: number;
  readonly link: string;
  /** Permission bits, those of set-user-id among them. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeSeconds: number;
  /** Once. */
  readonly content: AsyncIterable<Uint8Array>;
}

export interface TarReadLimits {
  readonly maxEntries?: number;
  /** Of one extended header. */
  readonly maxHeaderBytes?: number;
  /** An archive that stops before its end mark is refused: half of it is missing. */
  readonly whole?: boolean;
}

export class TarError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'TarError';
  }
}

const BLOCK = 512;
const TYPES: Readonly<Record<string, TarReadEntry['type']>> = { '0': 'file', '\0': 'file', '7': 'file', '1': 'hardlink', '2': 'symlink', '5': 'directory' };

/** Bytes by number, over chunks of any size. */
class ByteReader {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #rest: Uint8Array = new Uint8Array(0);

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#chunks = source[Symbol.asyncIterator]();
  }

  /** At most `most` bytes, at least one; undefined at the end. */
  async some(most: number): Promise<Uint8Array | undefined> {
    while (this.#rest.length === 0) {
      const next = await this.#chunks.next();
      if (next.done === true) return undefined;
      this.#rest = next.value;
    }
    const taken = this.#rest.subarray(0, most);
    this.#rest = this.#rest.subarray(taken.length);
    return taken;
  }

  /** Exactly `length` bytes; undefined when the source ends before the first. */
  async exactly(length: number): Promise<Buffer | undefined> {
    const all = Buffer.allocUnsafe(length);
    for (let at = 0; at < length; ) {
      const part = await this.some(length - at);
      if (part === undefined) {
        if (at === 0) return undefined;
        throw new TarError('The archive ends in the middle of an entry.');
      }
      all.set(part, at);
      at += part.length;
    }
    return all;
  }

  async close(): Promise<void> {
    await this.#chunks.return?.();
  }
}

export async function* readTar(source: AsyncIterable<Uint8Array>, { maxEntries = 100_000, maxHeaderBytes = 1024 * 1024, whole = false }: TarReadLimits = {}): AsyncGenerator<TarReadEntry> {
  const reader = new ByteReader(source);
  let extended: Record<string, string> = {};
  let entries = 0;
  try {
    for (;;) {
      const header = await reader.exactly(BLOCK);
      if (header === undefined && whole) throw new TarError('The archive ends before its end.');
      if (header === undefined) break;
      if (header.every((byte) => byte === 0)) {
        while (whole && (await reader.some(Number.MAX_SAFE_INTEGER)) !== undefined) { /* until the source says that it ended well */ }
        break;
      }
      checkSum(header);
      const flag = header.toString('latin1', 156, 157);
      const headerSize = number(header, 124, 12);
      if ('xgLK'.includes(flag)) {
        if (headerSize > maxHeaderBytes) throw new TarError(`An extended header has more than ${maxHeaderBytes} bytes.`);
        const body = headerSize === 0 ? Buffer.alloc(0) : await reader.exactly(headerSize);
        if (body === undefined) throw new TarError('The archive ends in the middle of an extended header.');
        await skip(reader, padding(headerSize));
        if (flag === 'x') extended = { ...extended, ...paxRecords(body) };
        else if (flag !== 'g') extended = { ...extended, [flag === 'L' ? 'path' : 'linkpath']: untilNul(body) };
        continue;
      }
      if (++entries > maxEntries) throw new TarError(`The archive has more than ${maxEntries} entries.`);
      const sizeBytes = extended['size'] === undefined ? headerSize : decimal(extended['size']);
      const type = TYPES[flag] ?? 'other';
      let left = type === 'file' || type === 'other' ? sizeBytes : 0;
      const pad = padding(left);
      const content = (async function* () {
        while (left > 0) {
          const part = await reader.some(left);
          if (part === undefined) throw new TarError('The archive ends in the middle of an entry.');
          left -= part.length;
          yield part;
        }
      })();
      yield { path: extended['path'] ?? plainName(header), type, sizeBytes: left, link: extended['linkpath'] ?? untilNul(header.subarray(157, 257)), ...attributes(header, extended), content };
      extended = {};
      await skip(reader, left + pad);
      left = 0;
    }
  } finally {
    await reader.close();
  }
}

function attributes(header: Buffer, extended: Readonly<Record<string, string>>): Pick<TarReadEntry, 'mode' | 'uid' | 'gid' | 'mtimeSeconds'> {
  const [uid, gid] = [extended['uid'], extended['gid']];
  const mtime = extended['mtime'] === undefined ? NaN : Number(extended['mtime']);
  return {
    mode: number(header, 100, 8) & 0o7777, uid: uid === undefined ? number(header, 108, 8) : decimal(uid), gid: gid === undefined ? number(header, 116, 8) : decimal(gid),
    mtimeSeconds: Number.isFinite(mtime) ? mtime : number(header, 136, 12),
  };
}

async function skip(reader: ByteReader, length: number): Promise<void> {
  for (let left = length; left > 0; ) {
    const part = await reader.some(left);
    if (part === undefined) throw new TarError('The archive ends in the middle of an entry.');
    left -= part.length;
  }
}

function padding(size: number): number {
  return (BLOCK - (size % BLOCK)) % BLOCK;
}

function checkSum(header: Buffer): void {
  let sum = 0;
  for (let at = 0; at < BLOCK; at++) sum += at >= 148 && at < 156 ? 0x20 : header[at]!;
  if (parseInt(header.toString('latin1', 148, 156).trim(), 8) !== sum) throw new TarError('A header has a wrong checksum: this is not a tar archive, or it is damaged.');
}

/** Octal digits, or GNU's base 256. */
function number(header: Buffer, offset: number, width: number): number {
  const first = header[offset]!;
  if ((first & 0x80) !== 0) {
    let value = 0n;
    for (const byte of header.subarray(offset + 1, offset + width)) value = (value << 8n) | BigInt(byte);
    if (first !== 0x80 || value > BigInt(Number.MAX_SAFE_INTEGER)) throw new TarError('A number is negative or too large.');
    return Number(value);
  }
  const text = untilNul(header.subarray(offset, offset + width)).trim();
  if (!/^[0-7]*$/.test(text)) throw new TarError('A number is malformed.');
  return text === '' ? 0 : parseInt(text, 8);
}

function decimal(text: string): number {
  const value = Number(text);
  if (!/^[0-9]{1,16}$/.test(text) || !Number.isSafeInteger(value)) throw new TarError('A PAX number is malformed.');
  return value;
}

/** "LENGTH KEY=VALUE\n", LENGTH counting all of it. */
function paxRecords(body: Buffer): Record<string, string> {
  const records: Record<string, string> = Object.create(null) as Record<string, string>;
  for (let at = 0; at < body.length; ) {
    const space = body.indexOf(0x20, at);
    const length = space < 0 ? 0 : decimal(body.toString('latin1', at, space));
    const equals = body.indexOf(0x3d, space);
    if (length === 0 || at + length > body.length || equals < 0 || equals >= at + length || body[at + length - 1] !== 0x0a) throw new TarError('A PAX header is malformed.');
    const key = body.toString('utf8', space + 1, equals);
    const value = body.toString('utf8', equals + 1, at + length - 1);
    if ((key === 'path' || key === 'linkpath') && value.includes('\0')) throw new TarError('A PAX path holds NUL.');
    if (['path', 'linkpath', 'size', 'uid', 'gid', 'mtime'].includes(key)) records[key] = value;
    at += length;
  }
  return records;
}

function plainName(header: Buffer): string {
  const name = untilNul(header.subarray(0, 100));
  const prefix = header.toString('latin1', 257, 265) === 'ustar\u000000' ? untilNul(header.subarray(345, 500)) : '';
  return prefix === '' ? name : `${prefix}/${name}`;
}

function untilNul(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return Buffer.from(end < 0 ? bytes : bytes.subarray(0, end)).toString('utf8');
}
