/** Blobs by digest: `blobs/sha256/HEX`. Visible only whole and checked. */
import { createHash, randomUUID } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { exists, syncDirectory } from '../../../host/files.ts';
import { BerthError } from '../../../model/errors.ts';
import { DIGEST_PATTERN } from '../../../model/reference.ts';
import type { BlobInfo, Digest, IngestOptions } from '../driver.ts';

const DEFAULT_MAX_BYTES = 64 * 1024 ** 3;

export function hexOf(digest: Digest): string {
  if (!DIGEST_PATTERN.test(digest)) throw new BerthError('invalid', 'A digest must be sha256: and 64 lower-case hex digits.');
  return digest.slice('sha256:'.length);
}

export class BlobStore {
  readonly #dir: string;
  readonly #ingestDir: string;
  /** On their way in, or come in since the last sweep began: a sweep leaves them alone. */
  readonly #fresh = new Set<Digest>();

  constructor(rootDir: string) {
    this.#dir = path.join(rootDir, 'blobs', 'sha256');
    this.#ingestDir = path.join(rootDir, 'ingest');
  }

  /** Makes the directories and sweeps what a crash left half-made. */
  async open(): Promise<void> {
    await fs.promises.rm(this.#ingestDir, { recursive: true, force: true });
    for (const dir of [this.#dir, this.#ingestDir]) await fs.promises.mkdir(dir, { recursive: true, mode: 0o700 });
  }

  pathOf(digest: Digest): string {
    return path.join(this.#dir, hexOf(digest));
  }

  has(digest: Digest): Promise<boolean> {
    return exists(this.pathOf(digest));
  }

  async *read(digest: Digest): AsyncGenerator<Uint8Array> {
    if (!(await this.has(digest))) throw new BerthError('notFound', `Blob ${digest} is not here.`);
    yield* fs.createReadStream(this.pathOf(digest), { highWaterMark: 1024 * 1024 });
  }

  async ingest(bytes: AsyncIterable<Uint8Array>, options: IngestOptions = {}): Promise<BlobInfo> {
    const { digest: wanted, size: wantedSize, signal } = options;
    const maxBytes = Math.min(options.maxBytes ?? DEFAULT_MAX_BYTES, wantedSize ?? Infinity);
    const temporary = path.join(this.#ingestDir, randomUUID());
    const handle = await fs.promises.open(temporary, 'wx', 0o600);
    const hash = createHash('sha256');
    let size = 0;
    try {
      for await (const chunk of bytes) {
        signal?.throwIfAborted();
        size += chunk.length;
        if (size > maxBytes) throw new BerthError(wantedSize === undefined ? 'exhausted' : 'invalid', `The bytes are more than ${maxBytes}.`);
        hash.update(chunk);
        let at = 0;
        while (at < chunk.length) at += (await handle.write(chunk, at)).bytesWritten;
      }
      const digest: Digest = `sha256:${hash.digest('hex')}`;
      if (wantedSize !== undefined && size !== wantedSize) throw new BerthError('invalid', `The bytes are ${size}, not ${wantedSize}.`);
      if (wanted !== undefined && digest !== wanted) throw new BerthError('invalid', `The bytes have digest ${digest}, not ${wanted}.`);
      await handle.sync();
      this.#fresh.add(digest);
      await fs.promises.rename(temporary, this.pathOf(digest));
      await syncDirectory(this.#dir);
      return { digest, size };
    } finally {
      await handle.close();
      await fs.promises.rm(temporary, { force: true });
    }
  }

  async usage(): Promise<{ readonly blobs: number; readonly blobBytes: number }> {
    let blobBytes = 0;
    const names = await fs.promises.readdir(this.#dir);
    for (const name of names) blobBytes += (await fs.promises.stat(path.join(this.#dir, name)).catch(() => undefined))?.size ?? 0;
    return { blobs: names.length, blobBytes };
  }

  /** What came in while somebody was still deciding what is in use is spared until the next sweep. */
  async sweep(inUse: ReadonlySet<Digest>): Promise<number> {
    let freed = 0;
    for (const name of await fs.promises.readdir(this.#dir)) {
      const digest = `sha256:${name}`;
      if (inUse.has(digest)) this.#fresh.delete(digest);
      if (inUse.has(digest) || this.#fresh.has(digest)) continue;
      const file = path.join(this.#dir, name);
      freed += (await fs.promises.stat(file).catch(() => undefined))?.size ?? 0;
      await fs.promises.rm(file, { force: true });
    }
    return freed;
  }

  /** Whoever brought them in is done: from now on only use keeps them. */
  settle(digests: Iterable<Digest>): void {
    for (const digest of digests) this.#fresh.delete(digest);
  }
}
