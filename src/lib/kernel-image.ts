/** Reads a Linux x86 boot image (bzImage) and module files. Pure; the input is hostile. */
import { legacyLz4Blocks, isLegacyLz4 } from './lz4.ts';

const BOOT_MAGIC = 0x53726448; // "HdrS"
const ZSTD_MAGIC = 0xfd2fb528;
const GZIP_MAGIC = 0x8b1f;
const XZ_MAGIC = Buffer.from('fd377a585a00', 'hex');

export interface PackedKernel {
  readonly packing: 'lz4' | 'zstd' | 'gzip' | 'xz';
  readonly payload: Uint8Array;
}

/** Finds the packed ELF kernel in a bzImage. Offsets: Documentation/x86/boot.rst. Throws RangeError when it is none. */
export function packedKernel(image: Uint8Array): PackedKernel {
  const words = new DataView(image.buffer, image.byteOffset, image.byteLength);
  if (image.length < 0x260 || words.getUint32(0x202, true) !== BOOT_MAGIC) throw new RangeError('not a bzImage');
  const setupSectors = image[0x1f1]! === 0 ? 4 : image[0x1f1]!;
  const start = (setupSectors + 1) * 512 + words.getUint32(0x248, true);
  // The last four bytes are the unpacked size, which of these packings only gzip has in its stream.
  const whole = start + words.getUint32(0x24c, true), end = whole - 4;
  if (whole > image.length || end <= start + 8) throw new RangeError('the payload passes the end of the bzImage');
  const payload = image.subarray(start, end);
  if (isLegacyLz4(payload)) return { packing: 'lz4', payload };
  const first = new DataView(payload.buffer, payload.byteOffset).getUint32(0, true);
  if (first === ZSTD_MAGIC) return { packing: 'zstd', payload };
  if ((first & 0xffff) === GZIP_MAGIC) return { packing: 'gzip', payload: image.subarray(start, whole) };
  if (XZ_MAGIC.equals(payload.subarray(0, XZ_MAGIC.length))) return { packing: 'xz', payload };
  throw new RangeError('the kernel is packed in a way that is not known here (lz4, zstd, gzip and xz are)');
}

/** Yields the unpacked pieces of an lz4 kernel; small, so that a caller may let other work in between. */
export function unpackLz4Kernel(kernel: PackedKernel): Generator<Uint8Array> {
  return legacyLz4Blocks(kernel.payload);
}

export interface ModuleInfo {
  /** As the kernel knows it: underscores, never dashes. */
  readonly name: string;
  readonly depends: readonly string[];
}

/** Reads name and dependencies from a module's .modinfo, which is a run of NUL-ended `key=value` texts. */
export function moduleInfo(module: Uint8Array): ModuleInfo {
  const text = Buffer.from(module.buffer, module.byteOffset, module.byteLength);
  const value = (key: string): string | undefined => {
    const start = text.indexOf(`\0${key}=`, 0, 'latin1');
    if (start < 0) return undefined;
    const from = start + key.length + 2;
    return text.toString('latin1', from, text.indexOf(0, from));
  };
  const name = value('name');
  if (name === undefined) throw new RangeError('a file without a module name');
  const softBefore = /(?:^| )pre: ([^:]*?)(?: post:|$)/.exec(value('softdep') ?? '')?.[1]?.split(' ') ?? [];
  const depends = (value('depends') ?? '').split(',');
  return { name, depends: [...softBefore, ...depends].filter((one) => one !== '').map((one) => one.replaceAll('-', '_')) };
}

const SIGNATURE_MAGIC = '~Module signature appended~\n';

/**
 * A module without the signature at its end (kernel: scripts/sign-file.c). Checking one takes an emulated guest longer
 * than loading the module; what loads it is an initramfs that we made from a package whose signature was checked.
 */
export function withoutSignature(module: Uint8Array): Uint8Array {
  const bytes = Buffer.from(module.buffer, module.byteOffset, module.byteLength);
  const end = bytes.length - SIGNATURE_MAGIC.length;
  if (end < 12 || bytes.toString('latin1', end) !== SIGNATURE_MAGIC) return module;
  const length = bytes.readUInt32BE(end - 4);
  if (length > end - 12) throw new RangeError('a module signature that is longer than its module');
  return module.subarray(0, end - 12 - length);
}

/** Wanted modules with all they need, each after what it needs. `load` answers undefined for what is built in. */
export function loadOrder(wanted: readonly string[], load: (name: string) => ModuleInfo | undefined): readonly string[] {
  const order: string[] = [], seen = new Set<string>();
  const visit = (name: string): void => {
    if (seen.has(name)) return;
    seen.add(name);
    const info = load(name);
    if (info === undefined) return;
    for (const needed of info.depends) visit(needed);
    order.push(name);
  };
  for (const name of wanted) visit(name.replaceAll('-', '_'));
  return order;
}

const ELF_X86_64 = 62, PT_NOTE = 4, PVH_ENTRY = 18;

/**
 * Is it a 64-bit ELF kernel with the PVH entry (Xen's note 18) by which a microvm machine is started? `read` gives bytes of
 * the file from an offset, fewer at its end.
 */
export async function hasPvhEntry(read: (offset: number, bytes: number) => Promise<Uint8Array>): Promise<boolean> {
  const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const head = await read(0, 64), header = view(head);
  if (head.length < 64 || header.getUint32(0, false) !== 0x7f454c46 || head[4] !== 2 || header.getUint16(18, true) !== ELF_X86_64) return false;
  const table = await read(Number(header.getBigUint64(32, true)), 56 * Math.min(64, header.getUint16(56, true)));
  for (let at = 0; at + 56 <= table.length; at += 56) {
    const row = new DataView(table.buffer, table.byteOffset + at, 56);
    if (row.getUint32(0, true) !== PT_NOTE) continue;
    const bytes = await read(Number(row.getBigUint64(8, true)), Math.min(1024 * 1024, Number(row.getBigUint64(32, true)))), notes = view(bytes);
    for (let note = 0; note + 12 <= bytes.length;) {
      const name = notes.getUint32(note, true), content = notes.getUint32(note + 4, true);
      if (notes.getUint32(note + 8, true) === PVH_ENTRY && Buffer.from(bytes.subarray(note + 12, note + 12 + name)).toString('latin1') === 'Xen\0') return true;
      note += 12 + aligned(name) + aligned(content);
    }
  }
  return false;
}

const aligned = (bytes: number): number => Math.ceil(bytes / 4) * 4;
