/**
 * Lays a kernel out as guests boot it: DIR/{vmlinux,modules/*.ko}, from a tree with /boot/vmlinuz-RELEASE and
 * /lib/modules/RELEASE. What the tree holds is hostile: sizes are bounded, names are checked, what is packed with xz is
 * unpacked in a jail, and what a guest cannot do without is named when it is missing.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import type { Transform } from 'node:stream';
import zlib from 'node:zlib';
import { hasPvhEntry, loadOrder, moduleInfo, packedKernel, unpackLz4Kernel, withoutSignature, type ModuleInfo, type PackedKernel } from '../lib/kernel-image.ts';
import { BerthError } from '../model/errors.ts';
import { readBounded, writeFileAtomic } from './files.ts';
import { unpackXz } from './xz.ts';

export interface KernelTree {
  readonly release: string;
  /** A regular file by its path below the root; undefined where there is none, or it has more bytes. */
  read(path: string, maxBytes: number): Promise<Uint8Array | undefined>;
}

/** Before the agent speaks; before the root is mounted; where there are interfaces; when there is time; where directories are shared. */
export type ModuleStage = 'early' | 'root' | 'network' | 'idle' | 'share';

export interface KernelFiles {
  /** As `uname -r` says it in the guest. */
  readonly release: string;
  readonly dir: string;
  /** ELF image with a PVH entry. */
  readonly vmlinux: string;
  /** Modules in the order of loading, by stage; what is built in is in none. */
  readonly modules: Readonly<Record<ModuleStage, readonly string[]>>;
  /** Hexadecimal sha256. */
  readonly sha256: Readonly<Record<'vmlinux', string>>;
}

const MODULE_STAGES: Readonly<Record<ModuleStage, readonly string[]>> = {
  early: ['virtio_mmio', 'virtio_console'],
  root: ['virtio_blk', 'crc32c_generic', 'erofs', 'overlay', 'ext4'],
  network: ['virtio_net'],
  idle: ['virtio_rng', 'virtio_balloon'],
  share: ['virtiofs'],
};
/** A guest comes up without them; erofs and ext4 need the first one where it is not part of something else, and shared directories the last. */
const NOT_NEEDED: ReadonlySet<string> = new Set(['crc32c_generic', 'virtio_rng', 'virtio_balloon', 'virtiofs']);

export const KERNEL_RELEASE = /^\d[\w.+~-]{0,63}$/;
const MODULE_PATH = /^((?:[\w+,@-]+\/)*([\w-]{1,55}))\.k?o$/;
const MIB = 1024 * 1024;
const MAX_PACKED_BYTES = 128 * MIB, MAX_VMLINUX_BYTES = 256 * MIB;
const MAX_LIST_BYTES = 4 * MIB;
const MAX_MODULE_BYTES = 8 * MIB;
const MAX_MODULES = 48;
const PIECE_BYTES = 256 * 1024;

/** `dir` is empty. Errors: `invalid`, with what is missing or wrong. */
export async function layOutKernel(tree: KernelTree, dir: string): Promise<KernelFiles> {
  const { release } = tree, vmlinux = path.join(dir, 'vmlinux');
  if (!KERNEL_RELEASE.test(release)) throw refused(release.slice(0, 64).replace(/[^\w.+~-]/g, '?'), 'its release is not a name that a kernel has');
  try {
    await fs.mkdir(path.join(dir, 'modules'), { recursive: true, mode: 0o755 });
    const modules = await layOutModules(tree, path.join(dir, 'modules'));
    return { release, dir, vmlinux, modules, sha256: { vmlinux: await layOutVmlinux(tree, vmlinux) } };
  } catch (error) {
    if (error instanceof BerthError && error.code !== 'invalid') throw error;
    if (error instanceof RangeError || error instanceof BerthError || isZlibError(error)) throw error instanceof BerthError && error.details?.['kernel'] !== undefined ? error : refused(release, error.message.replace(/\.$/, ''));
    throw error;
  }
}

function isZlibError(error: unknown): error is Error {
  return error instanceof Error && /^(Z_|ZSTD_)/.test((error as NodeJS.ErrnoException).code ?? '');
}

function refused(release: string, reason: string): BerthError {
  return new BerthError('invalid', `The kernel ${release} cannot be a guest’s: ${reason}.`, { hint: 'docs/guide/vms.md says what a kernel for guests has.', details: { kernel: release } });
}

const DESCRIPTION = 'kernel.json';

/** Laid beside it, and synced: what {@link openKernel} reads. */
export async function describeKernel({ release, dir, modules, sha256 }: KernelFiles): Promise<void> {
  await writeFileAtomic(path.join(dir, DESCRIPTION), `${JSON.stringify({ release, modules, sha256 }, null, 2)}\n`, 0o644);
}

/** Errors: `invalid` when it is not what was laid out. */
export async function openKernel(dir: string): Promise<KernelFiles> {
  const said = JSON.parse((await readBounded(path.join(dir, DESCRIPTION), 64 * 1024)).toString('utf8')) as Pick<KernelFiles, 'release' | 'modules' | 'sha256'>;
  const vmlinux = path.join(dir, 'vmlinux'), hash = createHash('sha256');
  for await (const piece of createReadStream(vmlinux, { highWaterMark: PIECE_BYTES })) hash.update(piece as Buffer);
  if (hash.digest('hex') !== said.sha256.vmlinux) throw new BerthError('invalid', `The kernel ${said.release} is not what it was when it was taken in: ${vmlinux} has changed.`, { hint: 'Delete its image and bring it in again.' });
  return { ...said, dir, vmlinux };
}

async function layOutVmlinux({ release, read }: KernelTree, target: string): Promise<string> {
  const image = await read(`boot/vmlinuz-${release}`, MAX_PACKED_BYTES) ?? await read(`lib/modules/${release}/vmlinuz`, MAX_PACKED_BYTES);
  if (image === undefined) throw refused(release, `there is no /boot/vmlinuz-${release}`);
  const hash = createHash('sha256');
  await using handle = await fs.open(target, 'wx+', 0o644);
  for await (const piece of await unpacked(packedKernel(image))) {
    hash.update(piece);
    await handle.writeFile(piece);
  }
  const { size } = await handle.stat();
  const hasEntry = await hasPvhEntry(async (offset, bytes) => {
    if (offset > size) return new Uint8Array();
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(bytes), 0, bytes, offset);
    return buffer.subarray(0, bytesRead);
  });
  if (!hasEntry) throw refused(release, 'it has no PVH entry (CONFIG_PVH=y), by which QEMU starts it without firmware');
  await handle.sync();
  return hash.digest('hex');
}

/** In pieces: whoever takes them lets other work in between. */
type Pieces = Iterable<Uint8Array> | AsyncIterable<Uint8Array>;
type Unpack = (bytes: Uint8Array, maxBytes: number) => Pieces | Promise<Pieces>;

const unpackedBy: Readonly<Record<'zstd' | 'gzip' | 'xz', Unpack>> = {
  zstd: (bytes, maxBytes) => inflated(bytes, zlib.createZstdDecompress({ chunkSize: PIECE_BYTES }), maxBytes),
  gzip: (bytes, maxBytes) => inflated(bytes, zlib.createGunzip({ chunkSize: PIECE_BYTES }), maxBytes),
  xz: unpackXz,
};

function unpacked(kernel: PackedKernel): Pieces | Promise<Pieces> {
  return kernel.packing === 'lz4' ? unpackLz4Kernel(kernel) : unpackedBy[kernel.packing](kernel.payload, MAX_VMLINUX_BYTES);
}

async function* inflated(bytes: Uint8Array, decoder: Transform, maxBytes: number): AsyncGenerator<Uint8Array> {
  let total = 0;
  decoder.end(bytes);
  for await (const piece of decoder as AsyncIterable<Uint8Array>) {
    if ((total += piece.length) > maxBytes) throw new RangeError('a file of it is larger than it may be');
    yield piece;
  }
}

const ENDINGS: readonly (readonly [string, Unpack | undefined])[] = [['.ko', undefined], ['.ko.xz', unpackedBy.xz], ['.ko.zst', unpackedBy.zstd], ['.ko.gz', unpackedBy.gzip]];

/** Copies what the stages need, unpacked, and answers names in load order. */
async function layOutModules(tree: KernelTree, target: string): Promise<KernelFiles['modules']> {
  const { release } = tree;
  // Debian 13 has no /lib in its packages, and the link elsewhere.
  const roots = [`lib/modules/${release}`, `usr/lib/modules/${release}`];
  for (const root of roots) {
    const builtIn = namesIn(await tree.read(`${root}/modules.builtin`, MAX_LIST_BYTES)), order = namesIn(await tree.read(`${root}/modules.order`, MAX_LIST_BYTES));
    if (builtIn === undefined) continue;
    return collectModules(tree, { root, builtIn, files: order ?? new Map() }, target);
  }
  throw refused(release, `there is no /lib/modules/${release}/modules.builtin, which says what it can do`);
}

/** Paths without their endings, by the module's name. */
function namesIn(list: Uint8Array | undefined): ReadonlyMap<string, string> | undefined {
  if (list === undefined) return undefined;
  const lines = Buffer.from(list).toString('latin1').split('\n').map((line) => MODULE_PATH.exec(line)).filter((match) => match !== null);
  return new Map(lines.map((match) => [match[2]!.replaceAll('-', '_'), match[1]!]));
}

interface ModuleLists {
  readonly root: string;
  readonly builtIn: ReadonlyMap<string, string>;
  readonly files: ReadonlyMap<string, string>;
}

async function collectModules(tree: KernelTree, { root, builtIn, files }: ModuleLists, target: string): Promise<KernelFiles['modules']> {
  const wanted = Object.values(MODULE_STAGES).flat();
  const known = new Map<string, ModuleInfo>();
  for (const queue = [...wanted]; queue.length > 0;) {
    const name = queue.pop()!, file = files.get(name);
    if (known.has(name) || file === undefined || builtIn.has(name)) continue;
    const data = await readModule(tree, `${root}/${file}`);
    if (data === undefined) continue;
    if (known.size === MAX_MODULES) throw refused(tree.release, `a guest would have to load more than ${MAX_MODULES} modules`);
    const info = moduleInfo(data);
    known.set(name, info);
    queue.push(...info.depends);
    await fs.writeFile(path.join(target, `${name}.ko`), withoutSignature(data), { mode: 0o644 });
  }
  const missing = wanted.filter((name) => !known.has(name) && !builtIn.has(name) && !NOT_NEEDED.has(name));
  if (missing.length > 0) throw refused(tree.release, `it lacks ${missing.join(', ')}, built in or as ${missing.length === 1 ? 'a module' : 'modules'}`);
  const placed = new Set<string>();
  const stage = (name: ModuleStage): readonly string[] => {
    const order = loadOrder(MODULE_STAGES[name], (module) => known.get(module)).filter((module) => !placed.has(module));
    for (const module of order) placed.add(module);
    return order;
  };
  return { early: stage('early'), root: stage('root'), network: stage('network'), idle: stage('idle'), share: stage('share') };
}

async function readModule(tree: KernelTree, file: string): Promise<Uint8Array | undefined> {
  for (const [ending, unpack] of ENDINGS) {
    const data = await tree.read(`${file}${ending}`, MAX_MODULE_BYTES);
    if (data !== undefined && unpack === undefined) return data;
    if (data !== undefined && unpack !== undefined) return Buffer.concat(await Array.fromAsync(await unpack(data, MAX_MODULE_BYTES)));
  }
  return undefined;
}
