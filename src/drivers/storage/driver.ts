/**
 * The storage contract: where roots and volumes lie. A storage driver makes and removes disks and says where they are;
 * it mounts nothing: the runtime carries the plan out inside its own mount namespace. Ids on disk are unshifted.
 */
import type { Form } from '../../model/forms.ts';
import type { ObjectId } from '../../model/ids.ts';

export interface RootRequest {
  readonly id: ObjectId;
  readonly form: Form;
  /** Limit of the writable part; undefined: none. `unsupported` when the pool cannot enforce one. */
  readonly sizeBytes?: number | undefined;
  /** VM of a disk image: its own raw disk instead of an upper one, grown to this size: a copy of `from`, or an empty one. */
  readonly disk?: { readonly from?: string | undefined; readonly sizeBytes: number } | undefined;
  /** VM of an image: its whole root in a disk of its own, which this writes into a new file of that size, instead of an upper one. */
  readonly flat?: ((file: string, sizeBytes: number) => Promise<void>) | undefined;
  /** The instance's object as JSON, laid beside the disk so that a lost store can be rebuilt (`berth recover`). */
  readonly specCopy: string;
}

export interface RootPaths {
  /** Directory with `up` and `work` (container forms). */
  readonly upperDir?: string | undefined;
  /** Raw disk with an ext4 file system (VM forms): the writable part of the root, or all of it. */
  readonly upperDisk?: string | undefined;
  /** Raw disk of a VM of a disk image: what lies on it is the guest's alone. */
  readonly rootDisk?: string | undefined;
}

/** What a VM boots: the layers of an image with an upper disk, a disk made of them, or a disk that is an image itself. */
export type RootKind = 'layers' | 'flat' | 'disk';

export interface RootOptions {
  readonly signal?: AbortSignal | undefined;
  /** A disk may take long where the pool cannot share blocks. */
  readonly onProgress?: ((progress: { readonly done: number; readonly total: number; readonly unit: string; readonly what: string }) => void) | undefined;
}

export interface VolumeRequest {
  readonly id: ObjectId;
  readonly type: 'filesystem' | 'block';
  readonly sizeBytes?: number | undefined;
  readonly specCopy: string;
}

export interface StorageDriver {
  readonly kind: string;
  /** What this pool can do, by looking at its file system. */
  facts(): Promise<{ readonly quota: boolean; readonly reflink: boolean; readonly totalBytes: number; readonly freeBytes: number }>;
  /** Errors: `exhausted` when the disk of the host is full: nothing of it is left. */
  createRoot(request: RootRequest, options?: RootOptions): Promise<RootPaths>;
  /** Known without asking the disk. */
  rootPaths(id: ObjectId, form: Form, kind?: RootKind): RootPaths;
  removeRoot(id: ObjectId): Promise<void>;
  /** Bytes on the disk. */
  rootUsage(id: ObjectId): Promise<number>;
  createVolume(request: VolumeRequest): Promise<void>;
  /**
   * Makes it larger; idempotent. What lies on a disk is not looked at: its file system is made larger by the guest that
   * mounts it. Errors: `unsupported` (a directory where there are no quotas), `invalid` (smaller than it is), `exhausted`.
   */
  growVolume(request: VolumeRequest & { readonly sizeBytes: number }): Promise<void>;
  /** Directory (filesystem) or file (block). */
  volumePath(id: ObjectId, type: 'filesystem' | 'block'): string;
  removeVolume(id: ObjectId): Promise<void>;
  /** Bytes on the disk. */
  volumeUsage(id: ObjectId): Promise<number>;
  /** Paths below the pool that belong to none of these ids. */
  leftovers(known: ReadonlySet<ObjectId>): Promise<readonly string[]>;
}
