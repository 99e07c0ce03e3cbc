/**
 * Disks by the digest of their content: `disks/HEX`, raw and sparse, read-only. A disk is visible only whole and synced;
 * what it holds is never looked at: its format was said when it came, and from then on it is raw.
 */
import { randomUUID } from 'node:crypto';
import { constants, createReadStream, createWriteStream } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { exists, syncDirectory } from '../../../host/files.ts';
import { removeTree } from '../../../host/remove-tree.ts';
import { asBerthError, BerthError } from '../../../model/errors.ts';
import type { ContentInUse, Digest, DiskFormat, DiskOptions } from '../driver.ts';
import type { Arrivals } from './arrivals.ts';
import { hexOf } from './blob-store.ts';
import type { DiskJobs, RawDisk } from './disk-jobs.ts';
import type { Qcow2Check } from './qcow2-check.ts';

const NAME = /^[0-9a-f]{64}$/;
const READ_BYTES = 1024 * 1024;
const SECTOR_BYTES = 512;
const GIB = 1024 ** 3;
/** The digest of a disk is that of all its bytes, holes too: it takes a second for each GiB. */
export const MAX_DISK_BYTES: Readonly<Record<DiskFormat, number>> = { raw: 256 * GIB, qcow2: 256 * GIB, iso: 32 * GIB };
/** Of the host's disk; stays free, as at a start. */
const RESERVED = 0.05;

export interface DiskStoreParts {
  readonly dir: string;
  readonly jobs: DiskJobs;
  readonly arrivals: Arrivals;
  readonly checkQcow2: Qcow2Check;
  readonly maxBytes?: Readonly<Record<DiskFormat, number>> | undefined;
}

export class DiskStore {
  readonly #parts: DiskStoreParts;
  readonly #incoming: string;
  readonly #maxBytes: Readonly<Record<DiskFormat, number>>;
  /** Bytes on the host's disk. */
  readonly #kept = new Map<Digest, number>();

  constructor(parts: DiskStoreParts) {
    this.#parts = parts;
    this.#incoming = path.join(parts.dir, 'incoming');
    this.#maxBytes = parts.maxBytes ?? MAX_DISK_BYTES;
  }

  /** Sweeps what a crash left half-made. */
  async open(): Promise<void> {
    await removeTree(this.#incoming);
    await fs.mkdir(this.#incoming, { recursive: true, mode: 0o700 });
    for (const name of await fs.readdir(this.#parts.dir)) if (NAME.test(name)) this.#kept.set(`sha256:${name}`, await this.#allocated(path.join(this.#parts.dir, name)));
  }

  pathOf(digest: Digest): string {
    return path.join(this.#parts.dir, hexOf(digest));
  }

  bytes(digest: Digest): number | undefined {
    return this.#kept.get(digest);
  }

  async *read(digest: Digest): AsyncGenerator<Uint8Array> {
    const file = this.pathOf(digest);
    if (!(await exists(file))) throw new BerthError('notFound', `Disk ${digest} is not here.`, { hint: 'Bring the image in again.' });
    yield* createReadStream(file, { highWaterMark: READ_BYTES });
  }

  async take(bytes: AsyncIterable<Uint8Array>, format: DiskFormat, options: DiskOptions): Promise<RawDisk> {
    const place = path.join(this.#incoming, randomUUID());
    await fs.mkdir(place, { mode: 0o700 });
    try {
      const made = await this.#make(counted(bytes, options), format, place, options.signal);
      await this.#keep(path.join(place, 'image'), made, options);
      return made;
    } catch (error) {
      if (options.signal?.aborted === true) throw new BerthError('wrongState', 'Taking in the disk was cancelled.', { cause: error });
      throw asBerthError(error, 'take in the disk');
    } finally {
      await removeTree(place);
    }
  }

  async #make(bytes: AsyncIterable<Uint8Array>, format: DiskFormat, place: string, signal: AbortSignal | undefined): Promise<RawDisk> {
    const { jobs } = this.#parts;
    const maxBytes = this.#maxBytes[format];
    await using directory = await fs.open(place, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
    if (format === 'qcow2') return await this.#convert(bytes, place, directory, signal);
    const made = await jobs.copy(bytes, directory, { maxBytes, maxWritten: await this.#room() }, signal);
    if (made.bytes === 0) throw new BerthError('invalid', 'There is nothing in it.', { hint: 'Give the file of a disk or a CD.' });
    if (format === 'raw' && made.bytes % SECTOR_BYTES !== 0) throw new BerthError('invalid', `A disk has whole sectors of ${SECTOR_BYTES} bytes; this one has ${made.bytes} bytes.`, { hint: 'It may have been cut short, be compressed, or be of another format: --disk qcow2 or --disk iso.' });
    return made;
  }

  async #convert(bytes: AsyncIterable<Uint8Array>, place: string, directory: fs.FileHandle, signal: AbortSignal | undefined): Promise<RawDisk> {
    const source = path.join(place, 'source');
    // The converter reads it as an id that nobody has; the directory is root's alone.
    await pipeline(bytes, atMost(Math.min(this.#maxBytes.qcow2, await this.#room())), createWriteStream(source, { flags: 'wx', mode: 0o644 }), { signal });
    await fs.chmod(source, 0o644);
    await using file = await fs.open(source, constants.O_RDONLY | constants.O_NOFOLLOW);
    const virtualBytes = await this.#parts.checkQcow2(file, this.#maxBytes.qcow2);
    return await this.#parts.jobs.convert(directory, { maxBytes: virtualBytes, maxWritten: await this.#room() }, signal);
  }

  async #keep(file: string, { digest }: RawDisk, { lease }: DiskOptions): Promise<void> {
    const { arrivals, dir } = this.#parts;
    await using handle = await fs.open(file, constants.O_RDONLY | constants.O_NOFOLLOW);
    await handle.chmod(0o400);
    await handle.sync();
    arrivals.add(digest);
    lease?.hold(digest);
    await arrivals.removed(digest);
    await fs.rename(file, this.pathOf(digest));
    await syncDirectory(dir);
    this.#kept.set(digest, await this.#allocated(this.pathOf(digest)));
  }

  /** Bytes that may be written without touching the host's reserve. */
  async #room(): Promise<number> {
    const { blocks, bavail, bsize } = await fs.statfs(this.#parts.dir);
    const room = bavail * bsize - blocks * bsize * RESERVED;
    if (room <= 0) throw new BerthError('exhausted', 'The disk of this host is full.', { hint: 'Delete images, volumes or instances.' });
    return Math.floor(room);
  }

  async #allocated(file: string): Promise<number> {
    return ((await fs.stat(file).catch(() => undefined))?.blocks ?? 0) * SECTOR_BYTES;
  }

  usage(inUse?: ContentInUse['disks']): { readonly disks: number; readonly diskBytes: number } {
    const those = [...this.#kept].filter(([digest]) => inUse === undefined || inUse.has(digest));
    return { disks: those.length, diskBytes: those.reduce((sum, [, bytes]) => sum + bytes, 0) };
  }

  async sweep(inUse: ContentInUse['disks'], keeps: (digest: Digest) => boolean): Promise<number> {
    const { arrivals } = this.#parts;
    let freed = 0;
    for (const [digest, bytes] of [...this.#kept]) {
      if (inUse.has(digest) || keeps(digest)) continue;
      this.#kept.delete(digest);
      await arrivals.removing(digest, () => fs.rm(this.pathOf(digest), { force: true }));
      arrivals.settle([digest]);
      freed += bytes;
    }
    return freed;
  }
}

async function* counted(bytes: AsyncIterable<Uint8Array>, { onProgress }: DiskOptions): AsyncGenerator<Uint8Array> {
  let done = 0;
  for await (const chunk of bytes) {
    yield chunk;
    done += chunk.length;
    onProgress?.({ done, unit: 'bytes', what: 'reading' });
  }
}

function atMost(maxBytes: number): Transform {
  let done = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, next) {
      done += chunk.length;
      if (done > maxBytes) next(new BerthError('exhausted', `The file has more than the ${maxBytes} bytes that it may have here.`));
      else next(null, chunk);
    },
  });
}
