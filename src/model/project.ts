/** Project: the tenancy boundary: names, quotas, rights, networks. */
import * as z from 'zod';
import { everyForm, field } from './define.ts';
import type { BerthObject } from './meta.ts';
import { bytesNumber } from './text.ts';

export const projectSpec = z.strictObject({
  instancesLimit: field(z.number().int().min(0).optional(), 'Most instances.', { change: 'live', flag: 'instances-limit', value: 'N', means: everyForm('Counted whatever their form.') }),
  memoryLimitBytes: field(bytesNumber.optional(), 'Sum of the memory of its running instances.', { change: 'live', flag: 'memory-limit', value: 'BYTES', means: everyForm('Limit or RAM counts.') }),
});
export type ProjectSpec = z.infer<typeof projectSpec>;

export interface ProjectStatus {
  readonly state: 'ready' | 'deleting';
  /** How many there are, whatever their state; counted when the project is shown. */
  readonly instances?: number | undefined;
}

export type Project = BerthObject<ProjectSpec, ProjectStatus, 'Project'>;
