/** What `instance.top` answers. */
import type { Form } from './forms.ts';

export interface ProcessRow {
  /** As the instance counts. */
  readonly pid: number;
  readonly parentPid: number;
  readonly uid?: number | undefined;
  /** Name of the user in the instance, or its number; missing: a user of somebody else. */
  readonly user?: string | undefined;
  /** One letter: R, S, D, Z, T … */
  readonly state: string;
  readonly cpuMs: number;
  readonly ageMs: number;
  readonly residentBytes: number;
  /** As the process wrote it: hostile. */
  readonly command: string;
  readonly hostPid?: number | undefined;
}

export interface InstanceProcesses {
  readonly name: string;
  readonly project: string;
  readonly id: string;
  readonly form: Form;
  /** Of a VM: its guest's word. */
  readonly processes: readonly ProcessRow[];
  readonly isPartial: boolean;
  /** Of a VM: its machine, as the host sees it. */
  readonly machine?: ProcessRow | undefined;
  /** Why there are no processes. */
  readonly problem?: string | undefined;
}
