/**
 * The image content of a node: blobs by digest, layers by diffID, and what is made from them. All of it can be made
 * again from blobs; names (tags) and which image has which layers are objects of the store, not of this.
 *
 * - A blob is visible only whole and checked: bytes go to a temporary file, digest and size are compared, then fsync and
 *   rename. A layer is visible only whole: unpacked into a temporary directory by the jailed unpacker, then renamed.
 * - Whatever a crash left half-made is swept when the store is opened.
 * - Two callers who want the same thing share one piece of work.
 */
import type { Compression, LayerReport } from '../unpack/driver.ts';
import type { ImageConfig } from '../../model/image.ts';

/** sha256: and 64 lower-case hex digits. */
export type Digest = string;

export interface BlobInfo {
  readonly digest: Digest;
  readonly size: number;
}

export interface IngestOptions {
  /** `invalid` when the bytes are others. */
  readonly digest?: Digest | undefined;
  readonly size?: number | undefined;
  /** `exhausted` beyond. */
  readonly maxBytes?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface LayerProgress {
  readonly digest: Digest;
  readonly phase: 'reading' | 'unpacking' | 'done';
  readonly bytes: number;
}

/** An image as it came in or was made: everything is in the content store. */
export interface ImageRecord {
  readonly manifestDigest: Digest;
  readonly configDigest: Digest;
  readonly mediaType: string;
  readonly config: ImageConfig;
  readonly layers: readonly { readonly digest: Digest; readonly diffId: Digest; readonly bytes: number; readonly mediaType: string }[];
  /** Names that the archive itself gave, in its own spelling. */
  readonly names: readonly string[];
  /** Bytes of all layers, unpacked. */
  readonly bytes: number;
  readonly setuid: readonly string[];
}

export type ArchiveFormat = 'oci-archive' | 'docker-archive' | 'rootfs';

export interface BootstrapRequest {
  /** busybox, debian:bookworm, debian:trixie */
  readonly name: string;
  readonly include: readonly string[];
  readonly config: Partial<Pick<ImageConfig, 'entrypoint' | 'command' | 'env' | 'user' | 'workdir'>>;
}

export type ProgressSink = (progress: { readonly done: number; readonly total?: number | undefined; readonly unit: string; readonly what: string }) => void;

export interface ContentStore extends AsyncDisposable {
  ingest(bytes: AsyncIterable<Uint8Array>, options?: IngestOptions): Promise<BlobInfo>;
  hasBlob(digest: Digest): Promise<boolean>;
  openBlob(digest: Digest): AsyncIterable<Uint8Array>;
  /** Unpacks the blob unless its layer is there. `invalid` when the uncompressed bytes have another diffID. */
  ensureLayer(blob: Digest, compression: Compression, expectedDiffId: Digest, options?: { readonly signal?: AbortSignal | undefined; readonly onProgress?: ((progress: LayerProgress) => void) | undefined }): Promise<LayerReport>;
  /** Where the tree of a layer that is there lies; short (overlay options are bounded). */
  layerPath(diffId: Digest): string;
  /** The layers (lowest first) as one read-only image file for VMs, made at the first use. */
  imageFile(key: Digest, diffIds: readonly Digest[], signal?: AbortSignal): Promise<string>;
  /** Takes in an archive of any known format (found by looking): OCI layout tar, docker-archive, rootfs tar; each maybe compressed. */
  importArchive(bytes: AsyncIterable<Uint8Array>, options: { readonly signal?: AbortSignal | undefined; readonly onProgress?: ProgressSink | undefined }): Promise<readonly ImageRecord[]>;
  exportArchive(image: ImageRecord, format: ArchiveFormat, signal?: AbortSignal): AsyncIterable<Uint8Array>;
  bootstrap(request: BootstrapRequest, options: { readonly signal?: AbortSignal | undefined; readonly onProgress?: ProgressSink | undefined }): Promise<ImageRecord>;
  /** The image's object is stored: from now on only use keeps its content. What is brought in and never settled is kept from sweeps for ten minutes. */
  settled(image: ImageRecord): void;
  usage(): Promise<{ readonly blobs: number; readonly blobBytes: number; readonly layers: number; readonly layerBytes: number }>;
  /** Removes what is in none of the sets; never what is being brought in. Returns the bytes that became free. */
  sweep(inUse: { readonly blobs: ReadonlySet<Digest>; readonly diffIds: ReadonlySet<Digest>; readonly imageFiles: ReadonlySet<Digest> }): Promise<number>;
}
