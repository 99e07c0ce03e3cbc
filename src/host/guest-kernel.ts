/**
 * The guests' kernel: the distribution's cloud kernel, fetched by apt (which checks its signature) and unpacked into a
 * cache, never installed. Cache: DIR/RELEASE_FORMAT/{vmlinux,modules/*.ko,kernel.json}; an entry appears whole.
 */
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { BerthError } from '../model/errors.ts';
import { readBounded, syncDirectory, writeFileAtomic } from './files.ts';
import { layOutKernel, type KernelFiles } from './kernel-layout.ts';
import { run } from './run.ts';

export interface GuestKernel extends KernelFiles {
  readonly packageVersion: string;
  /** Hexadecimal sha256 by file. */
  readonly sha256: Readonly<Record<'package' | 'vmlinux', string>>;
}

const META_PACKAGE = 'linux-image-cloud-amd64';
const DESCRIPTION = 'kernel.json';
const FORMAT = 4;
const FETCH_TIMEOUT_MS = 10 * 60_000;

export type KernelProgress = (message: string) => void;

/**
 * Makes sure that the newest kernel which apt knows is in `cacheDir`; does nothing when it is. What is cached serves when
 * apt knows none or cannot fetch it. Errors: `unavailable` (nothing cached and nothing to fetch). Takes seconds: not for the event loop of a daemon.
 */
export async function prepareGuestKernel(cacheDir: string, onProgress: KernelProgress = () => undefined): Promise<GuestKernel> {
  await fs.promises.mkdir(cacheDir, { recursive: true, mode: 0o755 });
  await removeUnfinished(cacheDir);
  const candidate = await newestPackage();
  const cached = await cachedGuestKernels(cacheDir);
  if (candidate === undefined) {
    if (cached[0] !== undefined) return cached[0];
    throw new BerthError('unavailable', `apt knows no ${META_PACKAGE}, and no guest kernel is cached.`, { hint: 'Run `apt-get update`, then `berth up` again.' });
  }
  const same = cached.find((kernel) => kernel.packageVersion === candidate.version);
  if (same !== undefined) return same;
  try {
    return await fetchKernel(cacheDir, candidate, onProgress);
  } catch (error) {
    if (cached[0] === undefined) throw error;
    onProgress(`${candidate.name} could not be fetched; ${cached[0].release} goes on serving`);
    return cached[0];
  }
}

/** What is cached, newest first. Damaged entries are left out. */
export async function cachedGuestKernels(cacheDir: string): Promise<readonly GuestKernel[]> {
  const names = await fs.promises.readdir(cacheDir).catch(() => []);
  const found: { readonly kernel: GuestKernel; readonly madeAtMs: number }[] = [];
  for (const name of names.filter((one) => /^\d[\w.+-]*$/.test(one))) {
    const file = path.join(cacheDir, name, DESCRIPTION);
    try {
      const value = JSON.parse((await readBounded(file, 64 * 1024)).toString('utf8')) as GuestKernel & { format: number };
      if (value.format !== FORMAT || entryName(value.release) !== name) continue;
      const dir = path.join(cacheDir, name);
      found.push({ kernel: { ...value, dir, vmlinux: path.join(dir, 'vmlinux') }, madeAtMs: (await fs.promises.stat(file)).mtimeMs });
    } catch {
      continue;
    }
  }
  return found.sort((a, b) => b.madeAtMs - a.madeAtMs).map((one) => one.kernel);
}

/** Versions of Berth that lay a kernel out differently may share a cache. */
function entryName(release: string): string {
  return `${release}_${FORMAT}`;
}

interface KernelPackage {
  readonly name: string;
  readonly version: string;
}

async function newestPackage(): Promise<KernelPackage | undefined> {
  const { stdout, code } = await run('apt-cache', ['show', '--no-all-versions', META_PACKAGE], { allowFailure: true });
  const match = /^Depends: .*?\b(linux-image-\d[\w.+-]*-cloud-amd64) \(= ([\w.+~:-]+)\)/m.exec(stdout);
  return code === 0 && match !== null ? { name: match[1]!, version: match[2]! } : undefined;
}

async function fetchKernel(cacheDir: string, wanted: KernelPackage, onProgress: KernelProgress): Promise<GuestKernel> {
  const work = await fs.promises.mkdtemp(path.join(cacheDir, 'fetch-'));
  try {
    onProgress(`fetching ${wanted.name} ${wanted.version}`);
    await run('apt-get', ['-q', '-o', 'APT::Sandbox::User=root', 'download', `${wanted.name}=${wanted.version}`], { cwd: work, timeoutMs: FETCH_TIMEOUT_MS });
    const file = (await fs.promises.readdir(work)).find((name) => name.endsWith('.deb'));
    if (file === undefined) throw new BerthError('unavailable', `apt-get fetched no file for ${wanted.name}.`);
    const archive = path.join(work, file);
    onProgress(`unpacking ${wanted.name}`);
    const tree = path.join(work, 'tree');
    await run('dpkg-deb', ['-x', archive, tree], { timeoutMs: FETCH_TIMEOUT_MS });
    return await cacheKernel(cacheDir, { tree, release: wanted.name.slice('linux-image-'.length), packageVersion: wanted.version, packageHash: await hashFile(archive) });
  } finally {
    await fs.promises.rm(work, { recursive: true, force: true });
  }
}

/** A kernel package as it was unpacked. */
export interface KernelTree {
  /** Holds /boot and /lib or /usr/lib. */
  readonly tree: string;
  readonly release: string;
  readonly packageVersion: string;
  /** Hexadecimal sha256 of the package's file. */
  readonly packageHash: string;
}

/** Makes an entry of the cache. Errors: `invalid` (no kernel in it, or one that cannot be a guest's). */
export async function cacheKernel(cacheDir: string, { tree, release, packageVersion, packageHash }: KernelTree): Promise<GuestKernel> {
  const work = await fs.promises.mkdtemp(path.join(cacheDir, 'fetch-'));
  try {
    const out = path.join(work, 'out');
    const laidOut = await layOutKernel({ release, read: (file, maxBytes) => readBounded(path.join(tree, file), maxBytes).catch(missing) }, out);
    const kernel = { format: FORMAT, release, modules: laidOut.modules, packageVersion, sha256: { package: packageHash, ...laidOut.sha256 } };
    await fs.promises.chmod(work, 0o755);
    await writeFileAtomic(path.join(out, DESCRIPTION), `${JSON.stringify(kernel, null, 2)}\n`, 0o644);
    const dir = path.join(cacheDir, entryName(release));
    // Somebody else may have fetched the same meanwhile, and machines may boot from it already.
    const meanwhile = (await cachedGuestKernels(cacheDir)).find((one) => one.packageVersion === packageVersion);
    if (meanwhile !== undefined) return meanwhile;
    await fs.promises.rm(dir, { recursive: true, force: true });
    await fs.promises.rename(out, dir);
    await syncDirectory(cacheDir);
    return { ...kernel, dir, vmlinux: path.join(dir, 'vmlinux') };
  } finally {
    await fs.promises.rm(work, { recursive: true, force: true });
  }
}

function missing(error: NodeJS.ErrnoException): undefined {
  if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
  throw error;
}

async function hashFile(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of fs.createReadStream(file)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

/** What a fetch that was killed left behind; a live one holds nothing that is older than its deadline. */
async function removeUnfinished(cacheDir: string): Promise<void> {
  for (const name of await fs.promises.readdir(cacheDir)) {
    if (!name.startsWith('fetch-')) continue;
    const dir = path.join(cacheDir, name);
    const { mtimeMs } = await fs.promises.stat(dir);
    if (Date.now() - mtimeMs > 2 * FETCH_TIMEOUT_MS) await fs.promises.rm(dir, { recursive: true, force: true });
  }
}
