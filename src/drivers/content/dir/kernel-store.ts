/** Kernels of images, as machines boot them, one per image and made at the first use: `kernels/HEX/` (host/kernel-layout.ts). */
import fs from 'node:fs/promises';
import path from 'node:path';
import { exists, syncDirectory } from '../../../host/files.ts';
import { describeKernel, KERNEL_RELEASE, layOutKernel } from '../../../host/kernel-layout.ts';
import { removeTree } from '../../../host/remove-tree.ts';
import { SharedWork } from '../../../lib/shared-work.ts';
import { BerthError } from '../../../model/errors.ts';
import type { Unpacker } from '../../unpack/driver.ts';
import type { ContentInUse, Digest } from '../driver.ts';
import type { Arrivals } from './arrivals.ts';
import { hexOf } from './blob-store.ts';
import type { LayerStore } from './layer-store.ts';

const NAME = /^[0-9a-f]{64}$/;
const MAX_NAMES = 10_000;

export class KernelStore {
  readonly #dir: string;
  readonly #layers: LayerStore;
  readonly #unpacker: Unpacker;
  readonly #arrivals: Arrivals;
  readonly #making = new SharedWork<Digest, string>();

  constructor(dir: string, layers: LayerStore, unpacker: Unpacker, arrivals: Arrivals) {
    this.#dir = dir;
    this.#layers = layers;
    this.#unpacker = unpacker;
    this.#arrivals = arrivals;
  }

  /** Sweeps what a crash left half-made. */
  async open(): Promise<void> {
    await fs.mkdir(this.#dir, { recursive: true, mode: 0o711 });
    for (const name of await fs.readdir(this.#dir)) if (!NAME.test(name)) await removeTree(path.join(this.#dir, name));
  }

  ensure(key: Digest, diffIds: readonly Digest[], signal?: AbortSignal): Promise<string> {
    const dir = path.join(this.#dir, hexOf(key));
    return this.#making.do(key, async () => {
      await this.#arrivals.removed(dir);
      if (!(await exists(dir))) await this.#make(dir, diffIds.map((diffId) => this.#layers.pathOf(diffId)));
      return dir;
    }, signal);
  }

  async #make(dir: string, layers: readonly string[]): Promise<void> {
    const release = await this.#release(layers);
    const work = await fs.mkdtemp(`${dir}.tmp-`);
    try {
      await fs.chmod(work, 0o755);
      await describeKernel(await layOutKernel({ release, read: (file, maxBytes) => this.#unpacker.readFile(layers, file, maxBytes) }, work));
      await fs.rename(work, dir);
      await syncDirectory(this.#dir);
    } finally {
      await removeTree(work);
    }
  }

  async #release(layers: readonly string[]): Promise<string> {
    const boot = await this.#unpacker.listDirectory(layers, 'boot', MAX_NAMES) ?? [];
    const releases = boot.filter((name) => name.startsWith('vmlinuz-')).map((name) => name.slice('vmlinuz-'.length)).filter((name) => KERNEL_RELEASE.test(name));
    const [release, ...others] = releases.length > 0 ? releases : (await this.#unpacker.listDirectory(layers, 'lib/modules', MAX_NAMES) ?? []).filter((name) => KERNEL_RELEASE.test(name));
    if (release === undefined) throw new BerthError('invalid', 'The image holds no kernel: there is no /boot/vmlinuz-RELEASE in it.', { hint: 'Make one of a kernel package: dpkg-deb --fsys-tarfile linux-image-….deb | berth image import - --as KERNEL' });
    if (others.length > 0) throw new BerthError('invalid', `The image holds ${releases.length} kernels, and it is not said which is meant: ${[release, ...others].slice(0, 10).join(', ')}.`, { hint: 'Make an image of one of them.' });
    return release;
  }

  /** Counted with the image files: both are made of images, for machines. */
  async usage(inUse?: ContentInUse['imageFiles']): Promise<{ readonly kernels: number; readonly kernelBytes: number }> {
    const names = (await fs.readdir(this.#dir)).filter((name) => NAME.test(name) && (inUse === undefined || inUse.has(`sha256:${name}`)));
    const sizes = await Promise.all(names.map((name) => this.#bytes(path.join(this.#dir, name))));
    return { kernels: names.length, kernelBytes: sizes.reduce((sum, bytes) => sum + bytes, 0) };
  }

  async #bytes(dir: string): Promise<number> {
    const files = await fs.readdir(dir, { recursive: true, withFileTypes: true }).catch(() => []);
    const sizes = await Promise.all(files.filter((file) => file.isFile()).map(async (file) => (await fs.stat(path.join(file.parentPath, file.name)).catch(() => undefined))?.size ?? 0));
    return sizes.reduce((sum, bytes) => sum + bytes, 0);
  }

  async sweep(inUse: ContentInUse['imageFiles']): Promise<number> {
    let freed = 0;
    for (const name of await fs.readdir(this.#dir)) {
      const key: Digest = `sha256:${name}`, dir = path.join(this.#dir, name);
      if (!NAME.test(name) || inUse.has(key) || this.#making.has(key)) continue;
      const bytes = await this.#bytes(dir);
      await this.#arrivals.removing(dir, () => removeTree(dir));
      freed += bytes;
    }
    return freed;
  }
}
