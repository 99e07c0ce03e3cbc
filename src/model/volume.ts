/** Volume: a directory or disk that outlives instances. */
import * as z from 'zod';
import { byBoundary, everyForm, field } from './define.ts';
import type { ErrorBody } from './errors.ts';
import type { BerthObject } from './meta.ts';
import { bytesNumber, nameText } from './text.ts';

export const volumeSpec = z.strictObject({
  type: field(z.enum(['filesystem', 'block']).default('filesystem'), 'A directory, or a disk.', {
    change: 'never', flag: 'type', value: 'filesystem|block',
    means: byBoundary('filesystem: a bind mount. block is refused: a guest could have written its file system, which the host’s kernel never mounts.', 'block: a disk with an ext4 of ours, which the agent mounts; one writer at a time, or several readers. filesystem: shared by virtio-fs, where the host has virtiofsd (Debian 13); refused with the way out elsewhere.'),
  }),
  pool: field(nameText.optional(), 'The pool it lies in; `default` when missing.', { change: 'never', flag: 'pool', value: 'NAME', means: everyForm('Where the bytes are.') }),
  sizeBytes: field(bytesNumber.min(1024 * 1024).optional(), 'Its size, 1 GiB for a block volume that names none; refused where the pool cannot enforce one. It can grow, and not shrink.', { change: 'restart', flag: 'size', value: 'BYTES', means: everyForm('Writes beyond it fail with ENOSPC or EDQUOT. A disk that grew, and the file system on it, are seen from the next start on.') }),
});
/** Of a block volume that names no size. */
export const DEFAULT_DISK_BYTES = 1024 ** 3;
export const LEAST_DISK_BYTES = 8 * 1024 * 1024;

export type VolumeSpec = z.infer<typeof volumeSpec>;

export interface VolumeStatus {
  readonly state: 'ready' | 'creating' | 'deleting' | 'failed';
  /** Of a disk. */
  readonly sizeBytes?: number | undefined;
  /** When an instance was last started with this disk. */
  readonly attachedAt?: string | undefined;
  readonly operation?: string | undefined;
  readonly error?: ErrorBody | undefined;
}

export type Volume = BerthObject<VolumeSpec, VolumeStatus, 'Volume'>;
