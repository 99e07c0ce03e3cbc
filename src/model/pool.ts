/** Pool: where disks lie. */
import * as z from 'zod';
import { everyForm, field } from './define.ts';
import type { BerthObject } from './meta.ts';

export const poolSpec = z.strictObject({
  kind: field(z.enum(['dir']).default('dir'), 'How disks are kept.', { change: 'never', flag: 'kind', value: 'dir', means: everyForm('dir: plain files and directories on any file system.') }),
});
export type PoolSpec = z.infer<typeof poolSpec>;

export interface PoolStatus {
  readonly state: 'ready' | 'failed';
  readonly totalBytes: number;
  readonly freeBytes: number;
  readonly quota: boolean;
  readonly reflink: boolean;
}

export type Pool = BerthObject<PoolSpec, PoolStatus, 'Pool'>;
