/** Evidence: what was seen of a running instance. Measured, not promised; what cannot be seen from outside is missing. */
import type { Form } from './forms.ts';

export interface InstanceEvidence {
  readonly name: string;
  readonly project: string;
  readonly id: string;
  readonly form: Form;
  /** RFC 3339, UTC. */
  readonly takenAt: string;
  readonly uptimeSeconds: number;
  /** Of its own processes (of QEMU for a VM), shared pages counted by part. */
  readonly memoryBytes: number;
  /** Of its monitor and helpers. */
  readonly monitorMemoryBytes: number;
  /** What its control group holds: the file cache that cannot be dropped, too. */
  readonly groupMemoryBytes?: number | undefined;
  readonly memoryPeakBytes?: number | undefined;
  readonly memoryLimitBytes?: number | undefined;
  /** Cores' worth of time since it started; 0.02 is two percent of one. */
  readonly cpus: number;
  readonly readBytes: number;
  readonly writtenBytes: number;
  /** Bytes of the writable part of its root; missing where the pool cannot say. */
  readonly diskBytes?: number | undefined;
  /** The rest is seen of containers only: a VM keeps its inside to itself. */
  readonly processes?: number | undefined;
  readonly listeningPorts?: readonly number[] | undefined;
  /** Installed in its image (Debian's dpkg, Alpine's apk); what was installed since is not counted. */
  readonly packages?: number | undefined;
  /** Does a process run as its root (id 0 inside)? */
  readonly root?: boolean | undefined;
  /** Capabilities whose use left a trace; more may have been used. */
  readonly capabilitiesUsed?: readonly string[] | undefined;
  /** Were there more processes than are looked at? Then the sums are too small. */
  readonly isPartial: boolean;
}

/** One running instance, weighed again. */
export interface InstanceReview {
  readonly name: string;
  readonly project: string;
  readonly form: Form;
  /** `app-container` …, or `host`, `none`. */
  readonly advised: string;
  readonly runnerUp: string | null;
  readonly confidence: number;
  /** Would another form be better? Nothing is changed. */
  readonly wouldChange: boolean;
  readonly sentence: string;
  readonly reasons: readonly string[];
  readonly flags: readonly string[];
  readonly wouldChangeIf: readonly string[];
  /** Limits far above or below what was seen. */
  readonly limits: readonly string[];
  readonly evidence: InstanceEvidence | undefined;
}
