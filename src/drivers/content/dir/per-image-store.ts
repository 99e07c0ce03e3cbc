/** What machines have of an image, made of its layers at the first use and kept: one entry per image, there only whole. */
import fs from 'node:fs/promises';
import path from 'node:path';
import { exists } from '../../../host/files.ts';
import { removeTree } from '../../../host/remove-tree.ts';
import { SharedWork } from '../../../lib/shared-work.ts';
import { BerthError } from '../../../model/errors.ts';
import type { ContentInUse, Digest } from '../driver.ts';
import type { Arrivals } from './arrivals.ts';
import { hexOf } from './blob-store.ts';
import type { LayerStore } from './layer-store.ts';

export interface PerImage {
  /** In sentences. */
  readonly what: string;
  /** What an entry's name has after the image's 64 hexadecimal digits. */
  readonly suffix: string;
  /** All of `target` or nothing of it; what is half-made meanwhile has another name in the same directory. */
  make(layers: readonly string[], target: string, stop: AbortSignal): Promise<unknown>;
  /** On the disk; 0 when it is gone. */
  bytes(target: string): Promise<number>;
}

const KEY = /^[0-9a-f]{64}$/;

export class PerImageStore {
  readonly #dir: string;
  readonly #entry: PerImage;
  readonly #layers: LayerStore;
  readonly #arrivals: Arrivals;
  readonly #making = new SharedWork<Digest, string>();

  constructor(dir: string, entry: PerImage, layers: LayerStore, arrivals: Arrivals) {
    this.#dir = dir;
    this.#entry = entry;
    this.#layers = layers;
    this.#arrivals = arrivals;
  }

  /** Sweeps what a crash left half-made. */
  async open(): Promise<void> {
    await fs.mkdir(this.#dir, { recursive: true, mode: 0o711 });
    for (const name of await fs.readdir(this.#dir)) if (this.#keyOf(name) === undefined) await removeTree(path.join(this.#dir, name));
  }

  /** Resolves with its path. Errors: those of making it; `wrongState` when who asked left. */
  ensure(key: Digest, diffIds: readonly Digest[], signal?: AbortSignal): Promise<string> {
    const target = path.join(this.#dir, `${hexOf(key)}${this.#entry.suffix}`);
    return this.#making.do(key, async (stop) => {
      await this.#arrivals.removed(target);
      if (!(await exists(target))) await this.#entry.make(diffIds.map((diffId) => this.#layers.pathOf(diffId)), target, stop);
      return target;
    }, signal).catch((error: unknown) => {
      throw signal?.aborted === true ? new BerthError('wrongState', `Making ${this.#entry.what} was cancelled.`, { cause: error }) : error;
    });
  }

  async usage(inUse?: ContentInUse['imageFiles']): Promise<{ readonly count: number; readonly bytes: number }> {
    const counted = (await this.#entries()).filter(({ key }) => inUse === undefined || inUse.has(key));
    const sizes = await Promise.all(counted.map(({ target }) => this.#entry.bytes(target)));
    return { count: counted.length, bytes: sizes.reduce((sum, bytes) => sum + bytes, 0) };
  }

  /** Resolves with the bytes that it freed. */
  async sweep(inUse: ContentInUse['imageFiles']): Promise<number> {
    let freed = 0;
    for (const { key, target } of await this.#entries()) {
      if (inUse.has(key) || this.#making.has(key)) continue;
      const bytes = await this.#entry.bytes(target);
      await this.#arrivals.removing(target, () => fs.rm(target, { recursive: true, force: true }));
      freed += bytes;
    }
    return freed;
  }

  async #entries(): Promise<readonly { readonly key: Digest; readonly target: string }[]> {
    return (await fs.readdir(this.#dir)).flatMap((name) => {
      const key = this.#keyOf(name);
      return key === undefined ? [] : [{ key, target: path.join(this.#dir, name) }];
    });
  }

  #keyOf(name: string): Digest | undefined {
    const { suffix } = this.#entry, hex = name.slice(0, name.length - suffix.length);
    return name.endsWith(suffix) && KEY.test(hex) ? `sha256:${hex}` : undefined;
  }
}
