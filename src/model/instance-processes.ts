/** What `instance.top` answers. */
import type { Form } from './forms.ts';

export interface ProcessRow {
  /** As the instance counts. */
  readonly pid: number;
  /** 0: its parent is outside. */
  readonly parentPid: number;
  /** As the instance counts; undefined: none of the instance's. */
  readonly uid?: number | undefined;
  /** Name of the user in the instance, or its number; missing: a user of somebody else. */
  readonly user?: string | undefined;
  /** One letter: R, S, D, Z, T … (proc_pid_stat(5)). */
  readonly state: string;
  /** Processor time that it had. */
  readonly cpuMs: number;
  readonly ageMs: number;
  readonly residentBytes: number;
  /** At most 512 characters, as the process wrote them: hostile. */
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
  /** There are more. */
  readonly isPartial: boolean;
  /** Of a VM: its machine, as the host sees it. */
  readonly machine?: ProcessRow | undefined;
  /** Why `processes` is empty although it runs. */
  readonly problem?: string | undefined;
}
