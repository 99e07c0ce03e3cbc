/**
 * Everything that reads bytes of an image runs jailed: an own user, mount, pid and network namespace, no capability
 * outside of it, a seccomp filter, limits on output, entries, memory and time. The daemon itself only moves whole files.
 *
 * An unpacked layer is a directory in overlay's own format with user.overlay.* marks (mounted with `userxattr`): a
 * whiteout is a 0:0 character device, an opaque directory has user.overlay.opaque=y. Ids are stored unshifted (0 is
 * root) and at most 65535.
 */

export type Compression = 'none' | 'gzip' | 'zstd';

export interface LayerLimits {
  /** Most bytes that the uncompressed tar may have. */
  readonly maxBytes: number;
  /** Most entries in it. */
  readonly maxEntries: number;
  /** Highest ratio of uncompressed to compressed bytes once 100 MiB are out. */
  readonly maxRatio: number;
  readonly deadlineMs: number;
}

export const DEFAULT_LAYER_LIMITS: LayerLimits = {
  maxBytes: 64 * 1024 ** 3, maxEntries: 1_000_000, maxRatio: 200, deadlineMs: 600_000,
};

export interface LayerReport {
  /** sha256:hex of the uncompressed tar. */
  readonly diffId: string;
  /** Bytes of the uncompressed tar. */
  readonly tarBytes: number;
  /** Bytes of file content written. */
  readonly fileBytes: number;
  readonly entries: number;
  /** Paths with setuid or setgid, at most 1,000, for display. */
  readonly setuid: readonly string[];
  /** What was dropped, with a reason (an xattr, a device node), at most 1,000. */
  readonly notes: readonly string[];
}

export interface Unpacker {
  /**
   * Unpacks one layer into `targetDir`, a new empty directory made by the caller. Errors: `invalid` names the entry
   * and the rule that it broke (nothing is sanitised); `exhausted` when a limit or the disk is hit. On an error the
   * caller removes the directory.
   */
  unpack(source: LayerSource, targetDir: string, limits?: LayerLimits, signal?: AbortSignal): Promise<LayerReport>;
  /** Writes `layers` (lowest first), as one root file system, into a read-only image file for VMs. */
  buildErofs(layers: readonly string[], targetFile: string, signal?: AbortSignal): Promise<{ readonly bytes: number }>;
  /**
   * Writes `layers` (lowest first), as one root file system, into a new sparse file with an ext4 of `sizeBytes`. `exhausted`
   * when they do not fit.
   */
  buildExt4(layers: readonly string[], targetFile: string, sizeBytes: number, signal?: AbortSignal): Promise<void>;
  /** A directory (a layer, or an instance's upper) as a layer tar with OCI whiteouts, written to `target`, which is not ended. */
  pack(dir: string, target: NodeJS.WritableStream, signal?: AbortSignal): Promise<{ readonly diffId: string; readonly bytes: number }>;
  /** The layers (lowest first) merged as an instance sees them, as one tar without whiteouts. `target` is not ended. */
  packMerged(layers: readonly string[], target: NodeJS.WritableStream, signal?: AbortSignal): Promise<{ readonly diffId: string; readonly bytes: number }>;
  /** Decompresses within the limits. `target` is not ended. */
  inflate(source: LayerSource, target: NodeJS.WritableStream, limits?: LayerLimits, signal?: AbortSignal): Promise<{ readonly bytes: number }>;
  /**
   * Reads one small regular file of an unpacked root (`layers` lowest first), as the root sees it, symbolic links
   * resolved inside of it. undefined when there is none or it is not a regular file or is larger than `maxBytes`.
   */
  readFile(layers: readonly string[], path: string, maxBytes: number): Promise<Uint8Array | undefined>;
  /** Names in a directory, as the root sees it, in no order; undefined when there is none. `exhausted` beyond `maxNames`. */
  listDirectory(layers: readonly string[], path: string, maxNames: number): Promise<readonly string[] | undefined>;
}

export type LayerSource =
  | { readonly file: string; readonly compression: Compression }
  /** Bytes as they arrive; the unpacker decompresses. */
  | { readonly stream: AsyncIterable<Uint8Array>; readonly compression: Compression };
