/** Writes tar headers (POSIX.1-1988 ustar): deterministic, for small trees that are made by us. */

export interface TarEntry {
  /** Relative, no leading slash, at most 100 bytes; directories with or without a trailing slash. */
  readonly path: string;
  readonly type: 'file' | 'directory' | 'symlink' | 'hardlink';
  readonly mode: number;
  readonly uid?: number;
  readonly gid?: number;
  /** Of a link. */
  readonly target?: string;
  readonly data?: Uint8Array;
}

const BLOCK = 512;
const TYPE_FLAG = { file: '0', hardlink: '1', symlink: '2', directory: '5' } as const;
const encoder = new TextEncoder();

/** Header, data and padding of one entry. Time is 0: equal trees are equal bytes. */
export function tarEntry(entry: TarEntry): Uint8Array {
  const data = entry.data ?? new Uint8Array(0);
  const name = entry.type === 'directory' && !entry.path.endsWith('/') ? `${entry.path}/` : entry.path;
  const block = new Uint8Array(BLOCK + Math.ceil(data.length / BLOCK) * BLOCK);
  put(block, 0, 100, name);
  put(block, 100, 8, octal(entry.mode, 7));
  put(block, 108, 8, octal(entry.uid ?? 0, 7));
  put(block, 116, 8, octal(entry.gid ?? 0, 7));
  put(block, 124, 12, octal(data.length, 11));
  put(block, 136, 12, octal(0, 11));
  put(block, 148, 8, '        ');
  put(block, 156, 1, TYPE_FLAG[entry.type]);
  put(block, 157, 100, entry.target ?? '');
  put(block, 257, 8, 'ustar\u000000');
  let sum = 0;
  for (let i = 0; i < BLOCK; i++) sum += block[i]!;
  put(block, 148, 8, `${octal(sum, 6)}\0 `);
  block.set(data, BLOCK);
  return block;
}

/** The two empty blocks that end an archive. */
export function tarEnd(): Uint8Array {
  return new Uint8Array(2 * BLOCK);
}

function put(block: Uint8Array, at: number, length: number, text: string): void {
  const bytes = encoder.encode(text);
  if (bytes.length > length) throw new RangeError(`'${text}' is longer than ${length} bytes`);
  block.set(bytes, at);
}

function octal(number: number, digits: number): string {
  const text = number.toString(8);
  if (text.length > digits) throw new RangeError(`${number} has no ${digits} octal digits`);
  return text.padStart(digits, '0');
}
