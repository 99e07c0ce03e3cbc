/** Node: a host that runs the daemon, and what was found on it. */
import type { Boundary, Form } from './forms.ts';
import type { Figures } from './figures.ts';
import type { BerthObject } from './meta.ts';

export interface FormFact {
  readonly form: Form;
  readonly available: boolean;
  readonly boundary?: Boundary | undefined;
  /** Missing where its instances can be shown directories. */
  readonly noDirectories?: { readonly reason: string; readonly hint: string } | undefined;
  readonly reason?: string | undefined;
  readonly hint?: string | undefined;
}

export interface NodeStatus {
  readonly state: 'ready';
  readonly version: string;
  readonly hostname: string;
  readonly kernel: string;
  readonly cpus: number;
  readonly memoryBytes: number;
  readonly cgroupMode: string;
  readonly forms: readonly FormFact[];
  readonly bootId: string;
  readonly startedAt: string;
  /** What each form costs here, as `berth advise calibrate` measured it; missing until then. */
  readonly figures?: Figures | undefined;
}

export type Node = BerthObject<Record<string, never>, NodeStatus, 'Node'>;
