/** Volume: a directory or disk that outlives instances. */
import * as z from 'zod';
import { byBoundary, everyForm, field } from './define.ts';
import type { ErrorBody } from './errors.ts';
import type { BerthObject } from './meta.ts';
import { bytesNumber, nameText } from './text.ts';

export const volumeSpec = z.strictObject({
  type: field(z.enum(['filesystem', 'block']).default('filesystem'), 'A directory, or a disk.', {
    change: 'never', flag: 'type', value: 'filesystem|block',
    means: byBoundary('filesystem: a bind mount; block is refused.', { refused: 'Shared directories need virtio-fs, which is not part of this version yet.' }),
  }),
  pool: field(nameText.optional(), 'The pool it lies in; `default` when missing.', { change: 'never', flag: 'pool', value: 'NAME', means: everyForm('Where the bytes are.') }),
  sizeBytes: field(bytesNumber.min(1024 * 1024).optional(), 'Its size; refused where the pool cannot enforce one.', { change: 'live', flag: 'size', value: 'BYTES', means: everyForm('Writes beyond it fail with ENOSPC or EDQUOT.') }),
});
export type VolumeSpec = z.infer<typeof volumeSpec>;

export interface VolumeStatus {
  readonly state: 'ready' | 'creating' | 'deleting' | 'failed';
  readonly operation?: string | undefined;
  readonly error?: ErrorBody | undefined;
}

export type Volume = BerthObject<VolumeSpec, VolumeStatus, 'Volume'>;
