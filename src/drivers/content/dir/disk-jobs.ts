/** Work on the bytes of disks: by jailed jobs of the native program (native/disk.c), which know constant names in one directory. */
import type { FileHandle } from 'node:fs/promises';
import { runNativeJob } from '../../../host/native-job.ts';
import type { Digest } from '../driver.ts';

export interface DiskLimits {
  /** Size of the disk as a guest sees it. */
  readonly maxBytes: number;
  /** What of it may lie on this host's disk. */
  readonly maxWritten: number;
}

export interface RawDisk {
  /** Of the whole content, holes included. */
  readonly digest: Digest;
  readonly bytes: number;
}

/** All leave the sparse file `image` in the directory, not yet synced. Errors: `exhausted`, `invalid`, `unavailable` (no qemu-img). */
export interface DiskJobs {
  copy(bytes: AsyncIterable<Uint8Array>, directory: FileHandle, limits: DiskLimits, signal?: AbortSignal): Promise<RawDisk>;
  /** From the qcow2 file `source`, whose header was checked; `maxBytes` is exactly the size of its disk. */
  convert(directory: FileHandle, limits: DiskLimits, signal?: AbortSignal): Promise<RawDisk>;
}

/** Bytes may come from far away; who brings them is watched by the edge. */
const COPY_TIMEOUT_MS = 24 * 3_600_000;
const CONVERT_TIMEOUT_MS = 2 * 3_600_000;
const SLOWEST_BYTES_PER_SECOND = 10 * 1024 * 1024;

/** `program`: tests hand in programs that were built without one of their guards. */
export function nativeDiskJobs({ program }: { readonly program?: string | undefined } = {}): DiskJobs {
  const args = (job: string, { maxBytes, maxWritten }: DiskLimits): string[] => ['disk', job, ...[maxBytes, maxWritten, 120 + maxBytes / SLOWEST_BYTES_PER_SECOND].map((number) => String(Math.max(1, Math.floor(number))))];
  return {
    copy: async (input, directory, limits, signal) => await runNativeJob({ args: args('copy', limits), input, directory, timeoutMs: COPY_TIMEOUT_MS, signal, program }) as RawDisk,
    convert: async (directory, limits, signal) => await runNativeJob({ args: args('convert', limits), directory, timeoutMs: CONVERT_TIMEOUT_MS, signal, program }) as RawDisk,
  };
}
