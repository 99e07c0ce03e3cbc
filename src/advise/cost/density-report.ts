/** How many instances share a host’s memory, by form: what the measured overheads say. */
import type { ANSWER_WORD } from '../decision.ts';

export interface DensityReport {
  /** 'measured on this host' or 'shipped with Berth, of another host'. */
  readonly basis: string;
  /** Are the figures those of the host that asks? */
  readonly measured: boolean;
  /** What instances are counted against. */
  readonly memoryBytes: number;
  /** What `timesVms` counts against: microVMs where nobody measured a VM. */
  readonly comparedTo: 'VMs' | 'microVMs';
  readonly classes: readonly DensityClass[];
}

/** Instances of one size. */
export interface DensityClass {
  readonly name: string;
  readonly applicationMemoryBytes: number;
  readonly forms: readonly {
    readonly form: (typeof ANSWER_WORD)[keyof typeof ANSWER_WORD];
    readonly instances: number;
    /** Times as many as VMs, or as `comparedTo` says. */
    readonly timesVms: number;
    /** “measured on this host: 2.4 ×” */
    readonly sentence: string;
  }[];
}
