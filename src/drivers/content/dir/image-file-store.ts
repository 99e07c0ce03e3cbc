/** Read-only image files for VMs, one per image, made at the first use: `erofs/HEX.img`. */
import fs from 'node:fs/promises';
import path from 'node:path';
import { exists } from '../../../host/files.ts';
import { removeTree } from '../../../host/remove-tree.ts';
import { SharedWork } from '../../../lib/shared-work.ts';
import { BerthError } from '../../../model/errors.ts';
import type { Unpacker } from '../../unpack/driver.ts';
import type { Digest } from '../driver.ts';
import { hexOf } from './blob-store.ts';
import type { LayerStore } from './layer-store.ts';

const NAME = /^[0-9a-f]{64}\.img$/;

export class ImageFileStore {
  readonly #dir: string;
  readonly #layers: LayerStore;
  readonly #unpacker: Unpacker;
  readonly #making = new SharedWork<Digest, string>();

  constructor(dir: string, layers: LayerStore, unpacker: Unpacker) {
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
      if (!(await exists(file))) await this.#unpacker.buildErofs(diffIds.map((diffId) => this.#layers.pathOf(diffId)), file, stop);
      return file;
    }, signal).catch((error: unknown) => {
      throw signal?.aborted === true ? new BerthError('wrongState', 'Making the image file was cancelled.', { cause: error }) : error;
    });
  }

  async sweep(inUse: ReadonlySet<Digest>): Promise<number> {
    let freed = 0;
    for (const name of await fs.readdir(this.#dir)) {
      const key: Digest = `sha256:${name.slice(0, 64)}`;
      if (!NAME.test(name) || inUse.has(key) || this.#making.has(key)) continue;
      const file = path.join(this.#dir, name);
      freed += (await fs.stat(file).catch(() => undefined))?.size ?? 0;
      await fs.rm(file, { force: true });
    }
    return freed;
  }
}
