/** What cancelled fetches left of blobs, by the digest that they are to have: kept for a day and within bounds, never believed. */
import fs from 'node:fs/promises';
import path from 'node:path';
import type { Digest } from '../driver.ts';
import { hexOf } from './blob-store.ts';

const KEPT_MS = 24 * 3_600_000;
const MAX_TOTAL_BYTES = 8 * 1024 ** 3;
const NAME = /^[0-9a-f]{64}$/;

export class PartialBlobs {
  readonly #dir: string;
  readonly #busy = new Set<Digest>();
  readonly #going = new Map<Digest, Promise<void>>();

  constructor(rootDir: string) {
    this.#dir = path.join(rootDir, 'partial');
  }

  async open(): Promise<void> {
    await fs.mkdir(this.#dir, { recursive: true, mode: 0o700 });
    await this.sweep(false);
  }

  /** The caller has it for himself until he lets it go; undefined while somebody else has it. */
  async take(digest: Digest): Promise<({ readonly file: string } & Disposable) | undefined> {
    if (this.#busy.has(digest)) return undefined;
    this.#busy.add(digest);
    await this.#going.get(digest);
    return { file: path.join(this.#dir, hexOf(digest)), [Symbol.dispose]: () => void this.#busy.delete(digest) };
  }

  /** Oldest first, what is too old or too much; with `all` everything that nobody writes. Returns the bytes that became free. */
  async sweep(all: boolean): Promise<number> {
    const found: { readonly file: string; readonly digest: Digest; readonly bytes: number; readonly atMs: number }[] = [];
    for (const name of await fs.readdir(this.#dir)) {
      const file = path.join(this.#dir, name);
      const stat = await fs.lstat(file).catch(() => undefined);
      if (stat === undefined) continue;
      if (!NAME.test(name) || !stat.isFile()) await fs.rm(file, { recursive: true, force: true });
      else found.push({ file, digest: `sha256:${name}`, bytes: stat.size, atMs: stat.mtimeMs });
    }
    found.sort((a, b) => b.atMs - a.atMs);
    let kept = 0;
    let freed = 0;
    for (const { file, digest, bytes, atMs } of found) {
      if (this.#busy.has(digest)) continue;
      // By the wall clock, because they outlive the daemon; one that was turned back keeps them a little longer.
      const isOld = Date.now() - atMs > KEPT_MS || kept + bytes > MAX_TOTAL_BYTES;
      if (!all && !isOld) {
        kept += bytes;
        continue;
      }
      const going = fs.rm(file, { force: true }).finally(() => this.#going.delete(digest));
      this.#going.set(digest, going);
      await going;
      freed += bytes;
    }
    return freed;
  }
}
