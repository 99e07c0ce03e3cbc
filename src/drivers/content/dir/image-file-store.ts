/** Read-only image files for VMs, one per image, made at the first use: `erofs/HEX.img`. */
import fs from 'node:fs/promises';
import path from 'node:path';
import { exists } from '../../../host/files.ts';
import { removeTree } from '../../../host/remove-tree.ts';
import { SharedWork } from '../../../lib/shared-work.ts';
import { BerthError } from '../../../model/errors.ts';
import type { Unpacker } from '../../unpack/driver.ts';
import type { ContentInUse, Digest } from '../driver.ts';
import type { Arrivals } from './arrivals.ts';
import { hexOf } from './blob-store.ts';
import type { LayerStore } from './layer-store.ts';

const NAME = /^[0-9a-f]{64}\.img$/;

export class ImageFileStore {
  readonly #dir: string;
  readonly #layers: LayerStore;
  readonly #unpacker: Unpacker;
  readonly #arrivals: Arrivals;
  readonly #making = new SharedWork<Digest, string>();

  constructor(dir: string, layers: LayerStore, unpacker: Unpacker, arrivals: Arrivals) {
    this.#arrivals = arrivals;
    this.#dir = dir;
    this.#layers = layers;
    this.#unpacker = unpacker;
  }

  /** Sweeps what a crash left half-made. */
  async open(): Promise<void> {
    await fs.mkdir(this.#dir, { recursive: true, mode: 0o711 });
    for (const name of await fs.readdir(this.#dir)) if (!NAME.test(name)) await removeTree(path.join(this.#dir, name));
  }

  ensure(key: Digest, diffIds: readonly Digest[], signal?: AbortSignal): Promise<string> {
    const file = path.join(this.#dir, `${hexOf(key)}.img`);
    return this.#making.do(key, async (stop) => {
      await this.#arrivals.removed(file);
      if (!(await exists(file))) await this.#unpacker.buildErofs(diffIds.map((diffId) => this.#layers.pathOf(diffId)), file, stop);
      return file;
    }, signal).catch((error: unknown) => {
      throw signal?.aborted === true ? new BerthError('wrongState', 'Making the image file was cancelled.', { cause: error }) : error;
    });
  }

  async usage(inUse?: ContentInUse['imageFiles']): Promise<{ readonly imageFiles: number; readonly imageFileBytes: number }> {
    let imageFileBytes = 0;
    const names = (await fs.readdir(this.#dir)).filter((name) => NAME.test(name) && (inUse === undefined || inUse.has(`sha256:${name.slice(0, 64)}`)));
    // They are sparse where the image is empty: what counts is what lies on the disk.
    for (const name of names) imageFileBytes += ((await fs.stat(path.join(this.#dir, name)).catch(() => undefined))?.blocks ?? 0) * 512;
    return { imageFiles: names.length, imageFileBytes };
  }

  async sweep(inUse: ContentInUse['imageFiles']): Promise<number> {
    let freed = 0;
    for (const name of await fs.readdir(this.#dir)) {
      const key: Digest = `sha256:${name.slice(0, 64)}`;
      const file = path.join(this.#dir, name);
      const bytes = ((await fs.stat(file).catch(() => undefined))?.blocks ?? 0) * 512;
      if (!NAME.test(name) || inUse.has(key) || this.#making.has(key)) continue;
      await this.#arrivals.removing(file, () => fs.rm(file, { force: true }));
      freed += bytes;
    }
    return freed;
  }
}
