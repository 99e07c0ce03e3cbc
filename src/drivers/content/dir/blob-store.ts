/** Blobs by digest: `blobs/sha256/HEX`. Visible only whole and checked. */
import { createHash, randomUUID } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { exists, readBounded, syncDirectory } from '../../../host/files.ts';
import { removeTree } from '../../../host/remove-tree.ts';
import { asBerthError, BerthError } from '../../../model/errors.ts';
import { DIGEST_PATTERN } from '../../../model/reference.ts';
import type { BlobInfo, ContentInUse, ContentLease, Digest, IngestOptions } from '../driver.ts';
import { Arrivals } from './arrivals.ts';
import { CONTENT_GUARDS, type ContentGuards } from './content-guards.ts';

const DEFAULT_MAX_BYTES = 64 * 1024 ** 3;
const READ_BYTES = 1024 * 1024;
/** Chunks are gathered, so that a write is not paid for each packet. */
const WRITE_BYTES = 1024 * 1024;

export function hexOf(digest: Digest): string {
  if (!DIGEST_PATTERN.test(digest)) throw new BerthError('invalid', 'A digest must be sha256: and 64 lower-case hex digits.');
  return digest.slice('sha256:'.length);
}

export class BlobStore {
  readonly #dir: string;
  readonly #ingestDir: string;
  readonly arrivals: Arrivals;
  readonly guards: ContentGuards;

  constructor(rootDir: string, arrivals = new Arrivals(), guards = CONTENT_GUARDS) {
    this.guards = guards;
    this.#dir = path.join(rootDir, 'blobs', 'sha256');
    this.#ingestDir = path.join(rootDir, 'ingest');
    this.arrivals = arrivals;
  }

  /** Makes the directories and sweeps what a crash left half-made. */
  async open(): Promise<void> {
    await removeTree(this.#ingestDir);
    for (const dir of [this.#dir, this.#ingestDir]) await fs.promises.mkdir(dir, { recursive: true, mode: 0o700 });
  }

  pathOf(digest: Digest): string {
    return path.join(this.#dir, hexOf(digest));
  }

  async has(digest: Digest): Promise<boolean> {
    await this.arrivals.removed(digest);
    return exists(this.pathOf(digest));
  }

  /** `notFound` when it is not here. */
  async size(digest: Digest): Promise<number> {
    const stat = await fs.promises.lstat(this.pathOf(digest)).catch(() => undefined);
    if (stat === undefined) throw new BerthError('notFound', `Blob ${digest} is not here.`, { hint: 'Bring the image in again.' });
    return stat.size;
  }

  async *read(digest: Digest): AsyncGenerator<Uint8Array> {
    await this.size(digest);
    yield* fs.createReadStream(this.pathOf(digest), { highWaterMark: READ_BYTES });
  }

  async readWhole(digest: Digest, maxBytes: number): Promise<Uint8Array> {
    await this.size(digest);
    return readBounded(this.pathOf(digest), maxBytes);
  }

  /** The name of a new file for what comes in; swept when the store is opened. */
  temporary(): string {
    return path.join(this.#ingestDir, randomUUID());
  }

  /** A file on the same disk that is whole, checked and synced becomes the blob; it is held from before it is visible. */
  async place(file: string, digest: Digest, leases: Iterable<ContentLease>): Promise<void> {
    this.arrivals.add(digest);
    for (const lease of leases) lease.hold(digest);
    await this.arrivals.removed(digest);
    await fs.promises.rename(file, this.pathOf(digest));
    await syncDirectory(this.#dir);
  }

  async ingest(bytes: AsyncIterable<Uint8Array>, options: IngestOptions = {}): Promise<BlobInfo> {
    const { digest: wanted, size: wantedSize, signal } = options;
    if (wanted !== undefined) hexOf(wanted);
    if (wantedSize !== undefined && !(Number.isSafeInteger(wantedSize) && wantedSize >= 0)) throw new BerthError('invalid', 'The size of a blob must be a whole number of bytes.');
    const maxBytes = Math.min(options.maxBytes ?? DEFAULT_MAX_BYTES, wantedSize ?? Infinity);
    const temporary = this.temporary();
    const handle = await fs.promises.open(temporary, 'wx', 0o600);
    const hash = createHash('sha256');
    let size = 0;
    try {
      for await (const chunk of gathered(bytes)) {
        signal?.throwIfAborted();
        size += chunk.length;
        if (size > maxBytes) throw new BerthError(wantedSize === undefined ? 'exhausted' : 'invalid', `The bytes are more than the ${maxBytes} that they may be.`);
        hash.update(chunk);
        for (let at = 0; at < chunk.length; ) at += (await handle.write(chunk, at)).bytesWritten;
      }
      const digest: Digest = `sha256:${hash.digest('hex')}`;
      if (wantedSize !== undefined && !this.guards.isSize(size, wantedSize, true)) throw new BerthError('invalid', `The bytes are ${size}, not ${wantedSize} as they were said to be.`);
      if (wanted !== undefined && !this.guards.isDigest(digest, wanted)) throw new BerthError('invalid', `The bytes have digest ${digest}, not ${wanted}.`);
      await handle.datasync();
      await this.place(temporary, digest, options.lease === undefined ? [] : [options.lease]);
      return { digest, size };
    } catch (error) {
      await fs.promises.rm(temporary, { force: true });
      if (signal?.aborted === true) throw new BerthError('wrongState', 'Taking in the bytes was cancelled.', { cause: error });
      throw asBerthError(error, 'take in the bytes');
    } finally {
      await handle.close();
    }
  }

  async usage(inUse?: ContentInUse['blobs']): Promise<{ readonly blobs: number; readonly blobBytes: number }> {
    let blobBytes = 0;
    const names = (await fs.promises.readdir(this.#dir)).filter((name) => inUse === undefined || inUse.has(`sha256:${name}`));
    for (const name of names) blobBytes += (await fs.promises.stat(path.join(this.#dir, name)).catch(() => undefined))?.size ?? 0;
    return { blobs: names.length, blobBytes };
  }

  async sweep(inUse: ContentInUse['blobs'], keeps: (digest: Digest) => boolean): Promise<number> {
    let freed = 0;
    for (const name of await fs.promises.readdir(this.#dir)) {
      const digest = `sha256:${name}`;
      const file = path.join(this.#dir, name);
      const bytes = (await fs.promises.stat(file).catch(() => undefined))?.size ?? 0;
      // From here to the removal nothing waits: who holds it later is told that it is not there.
      if (inUse.has(digest) || keeps(digest)) continue;
      await this.arrivals.removing(digest, () => fs.promises.rm(file, { force: true }));
      this.arrivals.settle([digest]);
      freed += bytes;
    }
    return freed;
  }
}

async function* gathered(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of source) {
    chunks.push(chunk);
    length += chunk.length;
    if (length < WRITE_BYTES) continue;
    yield chunks.length === 1 ? chunk : Buffer.concat(chunks);
    chunks = [];
    length = 0;
  }
  if (length > 0) yield Buffer.concat(chunks);
}
