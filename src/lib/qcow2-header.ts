/**
 * Reads the header of a qcow2 disk image, byte by byte, before any program that would follow it is started
 * (docs/interop/qcow2.rst of QEMU). What leads out of the file, and what only a healthy disk of one state has no need of,
 * is refused. Pure; the input is hostile.
 */

/** So much of the file has to be shown: the header and its extensions must end within. */
export const QCOW2_HEAD_BYTES = 64 * 1024;

const MAGIC = 0x514649fb;
const V2_HEADER_BYTES = 72;
const V3_HEADER_BYTES = 104;
const MIN_CLUSTER_BITS = 12;
const MAX_CLUSTER_BITS = 21;
const MAX_L1_BYTES = 32 * 1024 * 1024;
const MAX_REFCOUNT_TABLE_BYTES = 8 * 1024 * 1024;
const MAX_REFCOUNT_ORDER = 6;
const MAX_EXTENSIONS = 16;
const SECTOR_BYTES = 512;

const COMPRESSION_FEATURE = 1n << 3n;
const RAW_EXTERNAL_AUTOCLEAR = 1n << 1n;
const INCOMPATIBLE: readonly (readonly [bigint, string])[] = [
  [1n << 0n, 'it was not closed properly'], [1n << 1n, 'it is marked as corrupt'], [1n << 2n, 'its data lies in another file'], [1n << 4n, 'it has extended L2 entries'],
];

const END = 0;
const HARMLESS_EXTENSIONS: ReadonlySet<number> = new Set([0x6803f857 /* names of features */, 0x23852875 /* bitmaps */]);
const REFUSED_EXTENSIONS: Readonly<Record<number, string>> = {
  0xe2792aca: 'it names the format of a backing file', 0x44415441: 'it names a file with its data', 0x0537be77: 'it is encrypted',
};

export interface Qcow2Header {
  readonly version: 2 | 3;
  readonly clusterBits: number;
  /** Size of the disk that the guest sees. */
  readonly virtualBytes: number;
  readonly l1Offset: number;
  readonly l1Entries: number;
}

export interface Qcow2Refusal {
  /** For programs and tests. */
  readonly rule: string;
  /** Completes “The qcow2 file is refused: …”. */
  readonly reason: string;
}

export type Qcow2Reading = { readonly header: Qcow2Header } | { readonly refused: Qcow2Refusal };

const refuse = (rule: string, reason: string): { readonly refused: Qcow2Refusal } => ({ refused: { rule, reason } });

/** `head`: the first bytes of the file, {@link QCOW2_HEAD_BYTES} of them or all. */
export function readQcow2Header(head: Uint8Array, fileBytes: number, limits: { readonly maxVirtualBytes: number }): Qcow2Reading {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  if (head.length < V2_HEADER_BYTES || view.getUint32(0) !== MAGIC) return refuse('magic', 'it does not begin like one');
  const version = view.getUint32(4);
  if (version !== 2 && version !== 3) return refuse('version', `its version is ${version}; 2 and 3 are known`);
  if (view.getBigUint64(8) !== 0n || view.getUint32(16) !== 0) return refuse('backingFile', 'it has a backing file');
  const clusterBits = view.getUint32(20);
  if (clusterBits < MIN_CLUSTER_BITS || clusterBits > MAX_CLUSTER_BITS) return refuse('clusterBits', `its clusters have 2^${clusterBits} bytes; 2^${MIN_CLUSTER_BITS} to 2^${MAX_CLUSTER_BITS} are known`);
  const size = view.getBigUint64(24);
  if (size === 0n || size % BigInt(SECTOR_BYTES) !== 0n) return refuse('size', `the disk has ${size} bytes, which are no whole sectors`);
  if (size > BigInt(limits.maxVirtualBytes)) return refuse('size', `the disk has ${size} bytes; it may have ${limits.maxVirtualBytes}`);
  if (view.getUint32(32) !== 0) return refuse('encryption', 'it is encrypted');
  if (view.getUint32(60) !== 0) return refuse('snapshots', 'it has internal snapshots');
  const features = version === 3 ? readVersion3(view) : { headerBytes: V2_HEADER_BYTES };
  if ('refused' in features) return features;
  const clusterBytes = 2 ** clusterBits;
  const extensions = readExtensions(view, features.headerBytes, Math.min(clusterBytes, QCOW2_HEAD_BYTES));
  if (extensions !== undefined) return extensions;
  const refcounts = tableRefusal('refcountTable', view.getBigUint64(48), view.getUint32(56) * clusterBytes, clusterBytes, fileBytes, MAX_REFCOUNT_TABLE_BYTES);
  if (refcounts !== undefined) return refcounts;
  const l1Entries = view.getUint32(36);
  const needed = Math.ceil(Number(size) / (clusterBytes * (clusterBytes / 8)));
  if (l1Entries < needed) return refuse('l1Table', `its L1 table has ${l1Entries} entries; a disk of this size needs ${needed}`);
  const l1 = tableRefusal('l1Table', view.getBigUint64(40), l1Entries * 8, clusterBytes, fileBytes, MAX_L1_BYTES);
  if (l1 !== undefined) return l1;
  return { header: { version, clusterBits, virtualBytes: Number(size), l1Offset: Number(view.getBigUint64(40)), l1Entries } };
}

function readVersion3(view: DataView): { readonly headerBytes: number } | { readonly refused: Qcow2Refusal } {
  if (view.byteLength < V3_HEADER_BYTES) return refuse('headerLength', 'it is cut short');
  const incompatible = view.getBigUint64(72);
  for (const [bit, reason] of INCOMPATIBLE) if ((incompatible & bit) !== 0n) return refuse('incompatibleFeatures', reason);
  if ((incompatible & ~COMPRESSION_FEATURE) !== 0n) return refuse('incompatibleFeatures', `it needs features that are not known (0x${incompatible.toString(16)})`);
  if ((view.getBigUint64(88) & RAW_EXTERNAL_AUTOCLEAR) !== 0n) return refuse('incompatibleFeatures', 'its data lies in another file');
  if (view.getUint32(96) > MAX_REFCOUNT_ORDER) return refuse('refcountOrder', `its reference counts have 2^${view.getUint32(96)} bits`);
  const headerBytes = view.getUint32(100);
  if (headerBytes < V3_HEADER_BYTES || headerBytes % 8 !== 0 || headerBytes > view.byteLength) return refuse('headerLength', `its header says that it has ${headerBytes} bytes`);
  const compression = headerBytes > V3_HEADER_BYTES ? view.getUint8(104) : 0;
  if (compression > 1 || (compression === 1) !== ((incompatible & COMPRESSION_FEATURE) !== 0n)) return refuse('compression', `its compression type ${compression} is not known, or its features do not go with it`);
  return { headerBytes };
}

function readExtensions(view: DataView, from: number, clusterEnd: number): { readonly refused: Qcow2Refusal } | undefined {
  const end = Math.min(clusterEnd, view.byteLength);
  for (let at = from, count = 0; ; count++) {
    // A file of version 2 may end its header with the first cluster.
    if (at === end) return undefined;
    if (at + 8 > end || count === MAX_EXTENSIONS) return refuse('extensions', 'its header extensions have no end');
    const type = view.getUint32(at);
    const length = view.getUint32(at + 4);
    if (type === END) return undefined;
    if (REFUSED_EXTENSIONS[type] !== undefined) return refuse('extensions', REFUSED_EXTENSIONS[type]);
    if (!HARMLESS_EXTENSIONS.has(type)) return refuse('extensions', `its header has an extension 0x${type.toString(16)}, which is not known`);
    at += 8 + Math.ceil(length / 8) * 8;
    if (at > end) return refuse('extensions', 'a header extension is longer than the header');
  }
}

function tableRefusal(rule: string, offset: bigint, bytes: number, clusterBytes: number, fileBytes: number, maxBytes: number): { readonly refused: Qcow2Refusal } | undefined {
  if (bytes === 0 || bytes > maxBytes) return refuse(rule, `its ${WORDS[rule]} has ${bytes} bytes; at most ${maxBytes} are known`);
  if (offset < BigInt(clusterBytes) || offset % BigInt(clusterBytes) !== 0n) return refuse(rule, `its ${WORDS[rule]} does not begin with a cluster of its own`);
  return offset + BigInt(bytes) > BigInt(fileBytes) ? refuse(rule, `its ${WORDS[rule]} lies outside of the file`) : undefined;
}

const WORDS: Readonly<Record<string, string>> = { l1Table: 'L1 table', refcountTable: 'refcount table' };

/** A piece of the L1 table: each entry is empty, or leads to an L2 table inside the file. */
export function l1Refusal(piece: Uint8Array, { clusterBits }: Qcow2Header, fileBytes: number): Qcow2Refusal | undefined {
  const view = new DataView(piece.buffer, piece.byteOffset, piece.byteLength);
  const clusterBytes = 2 ** clusterBits;
  for (let at = 0; at + 8 <= piece.length; at += 8) {
    // Bit 63 says that the table belongs to nobody else; bits 56–62 and those below a cluster are reserved.
    const high = view.getUint32(at) & 0x7fff_ffff;
    const low = view.getUint32(at + 4);
    if (high === 0 && low === 0) continue;
    const offset = high * 2 ** 32 + low;
    if (high > 0x00ff_ffff || offset % clusterBytes !== 0 || offset < clusterBytes || offset + clusterBytes > fileBytes) return { rule: 'l1Table', reason: 'its L1 table leads out of the file' };
  }
  return undefined;
}
