/**
 * The image content of a node: blobs by digest, layers by diffID, and what is made from them. All of it can be made
 * again from blobs; names (tags) and which image has which layers are objects of the store, not of this.
 *
 * - A blob is visible only whole and checked: bytes go to a temporary file, digest and size are compared, then fsync and
 *   rename. A layer is visible only whole: unpacked into a temporary directory by the jailed unpacker, then renamed.
 * - Whatever a crash left half-made is swept when the store is opened.
 * - Two callers who want the same thing share one piece of work.
 * - Whoever brings content in, or reads it, holds it by a lease from before he looks whether it is there until an image
 *   names it: a sweep never takes what is held.
 */
import type { Compression, LayerReport } from '../unpack/driver.ts';
import type { ImageConfig, ImageType } from '../../model/image.ts';
import type { LayerProgress as FetchedLayer } from '../../model/layer-progress.ts';
import type { Platform } from '../../model/platform.ts';
import type { OutgoingImage, RemoteImage } from '../registry/driver.ts';

/** sha256: and 64 lower-case hex digits. */
export type Digest = string;

export interface BlobInfo {
  readonly digest: Digest;
  readonly size: number;
}

/** Keeps what it holds from every sweep, until it is let go. Who looks whether something is there holds it first. */
export interface ContentLease extends Disposable {
  hold(...digests: readonly Digest[]): void;
}

/** Asked right before each thing goes: the answer is that of the moment. */
export interface ContentInUse {
  readonly blobs: Pick<ReadonlySet<Digest>, 'has'>;
  readonly diffIds: Pick<ReadonlySet<Digest>, 'has'>;
  /** Keys of image files and kernels: digests of configs. */
  readonly imageFiles: Pick<ReadonlySet<Digest>, 'has'>;
  readonly disks: Pick<ReadonlySet<Digest>, 'has'>;
}

export interface ContentUsage {
  readonly blobs: number;
  readonly blobBytes: number;
  readonly layers: number;
  readonly layerBytes: number;
  /** Made for VMs; kernels, too. */
  readonly imageFiles: number;
  readonly imageFileBytes: number;
  /** Of disk images, CDs included. */
  readonly disks: number;
  readonly diskBytes: number;
}

export interface IngestOptions {
  /** Holds the blob from before it is visible. */
  readonly lease?: ContentLease | undefined;
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
  /** `oci` when missing. The others have no layers, and all digests are that of the raw disk. */
  readonly type?: ImageType | undefined;
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

/** What somebody said that it is; nobody looks. `iso`: a CD, never written. */
export type DiskFormat = 'raw' | 'qcow2' | 'iso';

export interface DiskOptions {
  readonly lease?: ContentLease | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ProgressSink | undefined;
}

export interface BootstrapRequest {
  /** busybox, debian:bookworm, debian:trixie */
  readonly name: string;
  readonly include: readonly string[];
  readonly config: Partial<Pick<ImageConfig, 'entrypoint' | 'command' | 'env' | 'user' | 'workdir'>>;
}

export type ProgressSink = (progress: { readonly done: number; readonly total?: number | undefined; readonly unit: string; readonly what: string }) => void;

export interface FetchOptions {
  /** Holds everything of the image, whether it came now or was here. */
  readonly lease?: ContentLease | undefined;
  /** Default: linux on this host's architecture. Another one can be kept, exported and pushed, not run. */
  readonly platform?: Platform | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Every layer is told of once as `waiting` before any byte comes, in the order of the manifest; then at most ten times a second each. */
  readonly onLayer?: ((progress: FetchedLayer) => void) | undefined;
}

export interface FetchedImage extends ImageRecord {
  /** Of the document that the reference named: the manifest's own, or that of an index that leads to it. */
  readonly namedDigest: Digest;
}

export interface ContentStore extends AsyncDisposable {
  ingest(bytes: AsyncIterable<Uint8Array>, options?: IngestOptions): Promise<BlobInfo>;
  hasBlob(digest: Digest): Promise<boolean>;
  openBlob(digest: Digest): AsyncIterable<Uint8Array>;
  /** Unpacks the blob unless its layer is there. `invalid` when the uncompressed bytes have another diffID. */
  ensureLayer(blob: Digest, compression: Compression, expectedDiffId: Digest, options?: { readonly lease?: ContentLease | undefined; readonly signal?: AbortSignal | undefined; readonly onProgress?: ((progress: LayerProgress) => void) | undefined }): Promise<LayerReport>;
  /** Where the tree of a layer that is there lies; short (overlay options are bounded). */
  layerPath(diffId: Digest): string;
  /** Bytes of the files of a layer; undefined when it is not here. */
  layerBytes(diffId: Digest): number | undefined;
  /** The layers (lowest first) as one read-only image file for VMs, made at the first use. */
  imageFile(key: Digest, diffIds: readonly Digest[], signal?: AbortSignal): Promise<string>;
  /**
   * The kernel in these layers (/boot/vmlinuz-RELEASE, /lib/modules/RELEASE) as machines boot it: a directory, made at the
   * first use. `invalid` when there is none, or none that a guest can boot, with what it lacks.
   */
  guestKernel(key: Digest, diffIds: readonly Digest[], signal?: AbortSignal): Promise<string>;
  /** Takes in an archive of any known format (found by looking): OCI layout tar, docker-archive, rootfs tar; each maybe compressed. */
  importArchive(bytes: AsyncIterable<Uint8Array>, options: { readonly lease?: ContentLease | undefined; readonly signal?: AbortSignal | undefined; readonly onProgress?: ProgressSink | undefined }): Promise<readonly ImageRecord[]>;
  /**
   * Takes in a disk; kept raw and sparse, named by the digest of its raw content. A qcow2 file is refused (`invalid`) when
   * it leads out of itself or is beyond its bounds; other formats are not looked at, now or later. `exhausted`: larger
   * than may be, or than there is room for.
   */
  importDisk(bytes: AsyncIterable<Uint8Array>, format: DiskFormat, options?: DiskOptions): Promise<ImageRecord>;
  /** Where the raw disk lies: to be read, never written. */
  diskFile(digest: Digest): string;
  /** Bytes that it takes on the host's disk; undefined when it is not here. */
  diskBytes(digest: Digest): number | undefined;
  /** The raw disk, holes as zeros. */
  readDisk(digest: Digest): AsyncIterable<Uint8Array>;
  /**
   * Takes in an image from a registry and closes it (also on an error). What is here is not fetched; layers are unpacked
   * while they arrive; callers who want the same share one download, and each may leave. Cancelled (`wrongState`): nothing
   * is visible, and the next fetch goes on where this one ended. Errors: those of the registry, `invalid` for whatever is
   * not as its digest, size or the specification says.
   */
  fetchImage(remote: RemoteImage, options?: FetchOptions): Promise<FetchedImage>;
  /** What a push sends. `notFound` when a blob of it is missing. */
  outgoingImage(image: ImageRecord): Promise<OutgoingImage>;
  exportArchive(image: ImageRecord, format: ArchiveFormat, signal?: AbortSignal): AsyncIterable<Uint8Array>;
  bootstrap(request: BootstrapRequest, options: { readonly lease?: ContentLease | undefined; readonly signal?: AbortSignal | undefined; readonly onProgress?: ProgressSink | undefined }): Promise<ImageRecord>;
  lease(): ContentLease;
  /** The image's object is stored: from now on only use keeps its content. What is brought in and never settled is kept from sweeps for ten minutes, so that a second attempt finds it. */
  settled(image: ImageRecord): void;
  /** What lies on the disk; only what is in use, when that is said. */
  usage(inUse?: ContentInUse): Promise<ContentUsage>;
  /**
   * Removes what is in none of the sets, and neither held nor, unless `arrivals` says so, brought in a short while ago.
   * Returns the bytes that became free. What cancelled fetches left of blobs is kept for a day and within bounds; with
   * `arrivals` it goes, too.
   */
  sweep(inUse: ContentInUse, options?: { readonly arrivals?: boolean | undefined }): Promise<number>;
}
