/**
 * One blob on its way in: written to its partial file, digest running along, and read by the unpacker while it grows. It
 * is moved among the blobs when all of it is right.
 */
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import type { RemoteBlob } from '../../registry/driver.ts';
import { asBerthError, BerthError } from '../../../model/errors.ts';
import type { ContentLease } from '../driver.ts';
import type { BlobStore } from './blob-store.ts';
import type { PartialBlobs } from './partial-blobs.ts';

const READ_BYTES = 256 * 1024;
/** Packets are gathered to writes of this size. */
const WRITE_BYTES = 256 * 1024;
/** Less is not worth a file. */
const MIN_PARTIAL_BYTES = 64 * 1024;

export interface ArrivalParts {
  readonly blobs: BlobStore;
  readonly partials: PartialBlobs;
  readonly blob: RemoteBlob;
  readonly source: (offset: number, signal: AbortSignal) => AsyncIterable<Uint8Array>;
  readonly leases: Iterable<ContentLease>;
  readonly onBytes: (bytes: number) => void;
}

export class BlobArrival {
  readonly #parts: ArrivalParts;
  #written = 0;
  #state: 'moving' | 'whole' | 'failed' = 'moving';
  #failure: unknown;
  #file: string | undefined;
  readonly #waiting = new Set<() => void>();
  /** What was there before counts as well. */
  readonly #startMs = performance.now();
  #startBytes = 0;

  constructor(parts: ArrivalParts) {
    this.#parts = parts;
  }

  /** How long the rest takes if it comes like what came; undefined when nothing can be said. */
  leftMs(): number | undefined {
    const came = this.#written - this.#startBytes;
    return came <= 0 ? undefined : ((this.#parts.blob.size - this.#written) * (performance.now() - this.#startMs)) / came;
  }

  /** Resolves when it is among the blobs. Once. */
  async run(signal: AbortSignal): Promise<void> {
    const { blobs, partials, blob } = this.#parts;
    using partial = await partials.take(blob.digest);
    const file = partial?.file ?? blobs.temporary();
    try {
      await this.#receive(file, signal);
      this.#end('whole');
    } catch (error) {
      this.#end('failed', error);
      const failure = asBerthError(error, 'take in the bytes');
      // What is wrong, and what filled the disk, goes.
      const isKept = partial !== undefined && failure.code !== 'invalid' && failure.code !== 'exhausted' && this.#written >= MIN_PARTIAL_BYTES;
      if (!isKept) await fs.promises.rm(file, { force: true });
      if (signal.aborted) throw new BerthError('wrongState', 'Taking in the bytes was cancelled.', { cause: error });
      throw failure;
    }
  }

  async #receive(file: string, signal: AbortSignal): Promise<void> {
    const { blobs, blob, source, leases, onBytes } = this.#parts;
    const { guards } = blobs;
    // Never a link, and nobody else's: the directory is ours alone.
    await using handle = await fs.promises.open(file, fs.constants.O_RDWR | fs.constants.O_CREAT | fs.constants.O_NOFOLLOW, 0o600);
    this.#file = file;
    if ((await handle.stat()).size > blob.size) await handle.truncate(0);
    const hash = createHash('sha256');
    const buffer = Buffer.allocUnsafe(READ_BYTES);
    for (;;) {
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, this.#written);
      if (bytesRead === 0) break;
      signal.throwIfAborted();
      hash.update(buffer.subarray(0, bytesRead));
      this.#written += bytesRead;
    }
    this.#startBytes = this.#written;
    this.#tell();
    if (this.#startBytes < blob.size || blob.size === 0) {
      for await (const chunks of gathered(source(this.#written, signal))) {
        signal.throwIfAborted();
        const length = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
        if (!guards.isSize(this.#written + length, blob.size, false)) throw new BerthError('invalid', `The bytes are more than the ${blob.size} that they may be.`);
        for (const chunk of chunks) hash.update(chunk);
        await writeAll(handle, chunks, this.#written);
        this.#written += length;
        this.#tell();
        onBytes(this.#written);
      }
    }
    if (!guards.isSize(this.#written, blob.size, true)) throw new BerthError('invalid', `The bytes are ${this.#written}, not ${blob.size} as they were said to be.`);
    const digest = `sha256:${hash.digest('hex')}`;
    if (!guards.isDigest(digest, blob.digest)) {
      throw new BerthError('invalid', `The bytes have digest ${digest}, not ${blob.digest}.`, { details: { resumed: this.#startBytes > 0 } });
    }
    await handle.datasync();
    await blobs.place(file, blob.digest, leases);
  }

  /** From the start to the end, as far as it is there and then as it comes. Throws what the arrival fails with. */
  async *read(): AsyncGenerator<Uint8Array> {
    await using handle = await this.#open();
    for (let at = 0; ; ) {
      if (at < this.#written) {
        const buffer = Buffer.allocUnsafe(Math.min(READ_BYTES, this.#written - at));
        const { bytesRead } = await handle.read(buffer, 0, buffer.length, at);
        if (bytesRead === 0) throw new BerthError('internal', 'A partial blob became shorter.');
        at += bytesRead;
        yield buffer.subarray(0, bytesRead);
      } else if (this.#state === 'moving') await this.moved();
      else if (this.#state === 'failed') throw this.#failure;
      else return;
    }
  }

  /** By name: it is the same file before and after it became a blob. */
  async #open(): Promise<fs.promises.FileHandle> {
    while (this.#file === undefined && this.#state === 'moving') await this.moved();
    if (this.#state === 'failed' || this.#file === undefined) throw this.#failure;
    const flags = fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW;
    return fs.promises.open(this.#file, flags).catch(() => fs.promises.open(this.#parts.blobs.pathOf(this.#parts.blob.digest), flags));
  }

  /** Resolves at the next bytes, or the end. */
  moved(): Promise<void> {
    return this.#state === 'moving' ? new Promise((resolve) => this.#waiting.add(resolve)) : Promise.resolve();
  }

  get ended(): boolean {
    return this.#state !== 'moving';
  }

  /** What was read of it may have been wrong. */
  get failed(): boolean {
    return this.#state === 'failed';
  }

  #end(state: 'whole' | 'failed', failure?: unknown): void {
    this.#state = state;
    this.#failure = failure;
    this.#tell();
  }

  #tell(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const go of waiting) go();
  }
}

async function* gathered(source: AsyncIterable<Uint8Array>): AsyncGenerator<readonly Uint8Array[]> {
  let chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of source) {
    chunks.push(chunk);
    length += chunk.length;
    if (length < WRITE_BYTES) continue;
    yield chunks;
    chunks = [];
    length = 0;
  }
  if (length > 0) yield chunks;
}

async function writeAll(handle: fs.promises.FileHandle, chunks: readonly Uint8Array[], position: number): Promise<void> {
  const total = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  const { bytesWritten } = await handle.writev(chunks as Uint8Array[], position);
  if (bytesWritten === total) return;
  // A short write is the sign of a full disk: the rest in one piece says so.
  const rest = Buffer.concat(chunks).subarray(bytesWritten);
  for (let at = 0; at < rest.length; ) at += (await handle.write(rest, at, rest.length - at, position + bytesWritten + at)).bytesWritten;
}
