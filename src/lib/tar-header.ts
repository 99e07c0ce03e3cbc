/** Tar headers as bytes: POSIX ustar, and PAX records for what does not fit into it. */

export type TarType = 'file' | 'hardlink' | 'symlink' | 'character' | 'block' | 'directory' | 'fifo' | 'pax' | 'paxGlobal' | 'gnuLongName' | 'gnuLongLink';

export interface TarHeader {
  /** Bytes count as they are; at most 100 without a PAX record. */
  readonly path: string | Uint8Array;
  readonly type?: TarType | undefined;
  readonly sizeBytes?: number | undefined;
  readonly mode?: number | undefined;
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
  readonly mtimeSeconds?: number | undefined;
  readonly link?: string | Uint8Array | undefined;
  readonly major?: number | undefined;
  readonly minor?: number | undefined;
}

export const TAR_BLOCK_BYTES = 512;

const TYPE_FLAG: Readonly<Record<TarType, string>> = {
  file: '0', hardlink: '1', symlink: '2', character: '3', block: '4', directory: '5', fifo: '6', pax: 'x', paxGlobal: 'g', gnuLongName: 'L', gnuLongLink: 'K',
};

const DEFAULT_MODE: Partial<Record<TarType, number>> = { directory: 0o755, symlink: 0o777 };

/** One header block. Numbers that do not fit into octal are written in GNU's base 256. */
export function tarHeader(header: TarHeader): Uint8Array {
  const block = Buffer.alloc(TAR_BLOCK_BYTES);
  const type = header.type ?? 'file';
  bytesOf(header.path).copy(block, 0, 0, 100);
  writeNumber(block, 100, 8, header.mode ?? DEFAULT_MODE[type] ?? 0o644);
  writeNumber(block, 108, 8, header.uid ?? 0);
  writeNumber(block, 116, 8, header.gid ?? 0);
  writeNumber(block, 124, 12, header.sizeBytes ?? 0);
  writeNumber(block, 136, 12, header.mtimeSeconds ?? 0);
  block.write(TYPE_FLAG[type], 156, 'latin1');
  bytesOf(header.link ?? '').copy(block, 157, 0, 100);
  block.write('ustar\u000000', 257, 'latin1');
  if (type === 'character' || type === 'block') {
    writeNumber(block, 329, 8, header.major ?? 0);
    writeNumber(block, 337, 8, header.minor ?? 0);
  }
  return sealTarHeader(block);
}

/** Writes the checksum into a header block that was made or changed by hand. */
export function sealTarHeader(block: Uint8Array): Uint8Array {
  block.fill(0x20, 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.set(Buffer.from(`${sum.toString(8).padStart(6, '0')}\0 `, 'latin1'), 148);
  return block;
}

/** An entry whole: extended header where it is needed, header, content, padding. */
export function tarEntry(header: TarHeader, content: Uint8Array = new Uint8Array(0)): Uint8Array {
  const records: [string, string | Uint8Array][] = [];
  if (bytesOf(header.path).length > 100) records.push(['path', header.path]);
  if (bytesOf(header.link ?? '').length > 100) records.push(['linkpath', header.link!]);
  return Buffer.concat([
    ...(records.length === 0 ? [] : [paxEntry(records)]),
    tarHeader({ ...header, sizeBytes: header.sizeBytes ?? content.length }), content, tarPadding(content.length),
  ]);
}

/** An extended header for the entry that follows (or for all that follow). */
export function paxEntry(records: readonly (readonly [string, string | Uint8Array])[], type: 'pax' | 'paxGlobal' = 'pax'): Uint8Array {
  const body = Buffer.concat(records.map(([key, value]) => paxRecord(key, value)));
  return Buffer.concat([tarHeader({ path: 'PaxHeaders/entry', type, sizeBytes: body.length }), body, tarPadding(body.length)]);
}

/** "LENGTH KEY=VALUE\n", where LENGTH counts its own digits too. */
export function paxRecord(key: string, value: string | Uint8Array): Uint8Array {
  const rest = Buffer.concat([Buffer.from(` ${key}=`, 'utf8'), bytesOf(value), Buffer.from('\n')]);
  let length = rest.length;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return Buffer.concat([Buffer.from(String(length)), rest]);
}

/** What fills up the last block of `sizeBytes` bytes of content. */
export function tarPadding(sizeBytes: number): Uint8Array {
  return new Uint8Array((TAR_BLOCK_BYTES - (sizeBytes % TAR_BLOCK_BYTES)) % TAR_BLOCK_BYTES);
}

export function tarEnd(): Uint8Array {
  return new Uint8Array(2 * TAR_BLOCK_BYTES);
}

function bytesOf(text: string | Uint8Array): Buffer {
  return typeof text === 'string' ? Buffer.from(text, 'utf8') : Buffer.from(text.buffer, text.byteOffset, text.byteLength);
}

function writeNumber(block: Buffer, offset: number, width: number, value: number): void {
  const digits = value >= 0 && Number.isInteger(value) ? value.toString(8) : '';
  if (digits !== '' && digits.length < width) block.write(`${digits.padStart(width - 1, '0')}\0`, offset, 'latin1');
  else {
    let rest = BigInt(Math.trunc(value));
    for (let i = width - 1; i >= 0; i--, rest >>= 8n) block[offset + i] = Number(rest & 0xffn);
    block[offset] = (block[offset]! & 0x7f) | 0x80 | (value < 0 ? 0x40 : 0);
  }
}
