/** What is observed of an instance, and the one table that says which verb is allowed in which state. */
import type { ErrorBody } from './errors.ts';
import type { Boundary, Form, Mode, SettledIsolation } from './forms.ts';
import type { BerthObject } from './meta.ts';
import type { InstanceSpec } from './instance.ts';

export const INSTANCE_STATES = [
  'creating', 'stopped', 'starting', 'running', 'paused', 'stopping', 'backoff', 'updating', 'converting', 'restoring', 'unsupervised', 'failed', 'deleting',
] as const;
export type InstanceState = (typeof INSTANCE_STATES)[number];

/** `panic`: the kernel of a VM died. */
export type StopReason = 'exited' | 'killed' | 'oom' | 'poweroff' | 'reboot' | 'panic' | 'unknown';

export interface BoundPort {
  readonly protocol: 'tcp' | 'udp';
  readonly hostAddress: string;
  readonly hostPort: number;
  readonly targetPort: number;
}

/** One network that the instance is on. Addresses stay the instance's until it is deleted. */
export interface InstancePort {
  readonly network: string;
  readonly networkId: string;
  readonly portId: string;
  readonly interface: string;
  readonly mac: string;
  readonly ipv4: string;
  readonly ipv6: string;
}

export interface InstanceStatus {
  readonly state: InstanceState;
  readonly observedGeneration: number;
  readonly form: Form;
  readonly isolation: SettledIsolation;
  readonly mode: Mode;
  readonly node: string;
  /** Id (manifest digest) of the image in use. */
  readonly imageId: string;
  readonly imageReference: string;
  /** Type of the image when it is none of OCI: a VM that boots by its firmware, without an agent. */
  readonly imageType?: 'disk' | 'iso' | undefined;
  /** Ids of the CDs of `spec.iso`, in that order. */
  readonly isoIds?: readonly string[] | undefined;
  /** Id of the image of `spec.kernel`. */
  readonly kernelImageId?: string | undefined;
  readonly boundary?: Boundary | undefined;
  readonly accelerator?: 'kvm' | 'tcg' | undefined;
  readonly kernel?: string | undefined;
  /** VM forms: booted, or resumed from the memory of a machine that had. */
  readonly start?: 'cold' | 'warm' | undefined;
  /** First process of a container on the host; QEMU of a VM. */
  readonly pid?: number | undefined;
  readonly pidStartTicks?: number | undefined;
  readonly monitorPid?: number | undefined;
  readonly ports: readonly InstancePort[];
  /** Addresses by network name. */
  readonly addresses: Readonly<Record<string, readonly string[]>>;
  readonly published: readonly BoundPort[];
  /** Volume ids by name. */
  readonly volumes: Readonly<Record<string, string>>;
  /** Range of host ids: inside id 0 is `base` on the host. */
  readonly uidMap?: { readonly base: number; readonly count: number } | undefined;
  readonly exitCode?: number | undefined;
  readonly reason?: StopReason | undefined;
  readonly startedAt?: string | undefined;
  readonly finishedAt?: string | undefined;
  readonly retryAt?: string | undefined;
  readonly restarts: number;
  /** How often in a row it rebooted itself soon after its start; a few are free, more are paused for. */
  readonly reboots?: number | undefined;
  /** Set when a person stopped it: `unless-stopped` and `always` wait for a start. */
  readonly stoppedByUser?: boolean | undefined;
  /** OS forms: unknown until the init has brought the system up; unhealthy when parts of it failed. */
  readonly health?: 'unknown' | 'healthy' | 'unhealthy' | undefined;
  /** The operation that holds it. */
  readonly operation?: string | undefined;
  readonly error?: ErrorBody | undefined;
  /** Reasons of `auto`. */
  readonly decision?: { readonly isolation: SettledIsolation; readonly reasons: readonly string[] } | undefined;
  readonly warnings?: readonly string[] | undefined;
}

export type Instance = BerthObject<InstanceSpec, InstanceStatus, 'Instance'>;

/** Does the first process have a terminal? An init always does: the console. */
export function hasTerminal({ spec, status }: Instance): boolean {
  return spec.terminal === true || status.mode === 'os';
}

/** A VM of a disk image: its firmware boots it, and it has no agent. */
export function bootsItself({ status }: Pick<Instance, 'status'>): boolean {
  return status.imageType !== undefined;
}

/** Has that terminal a size? The console of a VM without an agent is a serial line, and has none. */
export function hasWindow(instance: Instance): boolean {
  return hasTerminal(instance) && !bootsItself(instance);
}

export interface StateRule {
  readonly verbs: readonly string[];
  /** What an earlier daemon's instance in this state becomes when a daemon starts. */
  readonly adoption: string;
  readonly means: string;
}

export const STATE_RULES: Readonly<Record<InstanceState, StateRule>> = {
  creating: { verbs: [], adoption: 'the journal decides: finish or undo', means: 'Disks, addresses and ranges are being made.' },
  stopped: { verbs: ['start', 'update', 'rename', 'delete'], adoption: 'the same', means: 'Nothing runs; exitCode, finishedAt and reason say how it ended.' },
  starting: { verbs: ['stop'], adoption: 'process found → running, else failed', means: 'The monitor is being started.' },
  running: { verbs: ['stop', 'restart', 'kill', 'pause', 'exec', 'attach', 'cp', 'update', 'rename'], adoption: 'monitor, pid and start time match → running; exit record → stopped', means: 'The first process is alive.' },
  paused: { verbs: ['resume', 'kill'], adoption: 'the same', means: 'Frozen.' },
  stopping: { verbs: ['kill'], adoption: 'exit record, or the grace goes on', means: 'The grace period runs.' },
  backoff: { verbs: ['start', 'stop'], adoption: 'the timer resumes', means: 'Will be started again at retryAt.' },
  updating: { verbs: [], adoption: 'the journal decides', means: 'An update holds it.' },
  converting: { verbs: [], adoption: 'the journal decides', means: 'A change of form holds it.' },
  restoring: { verbs: [], adoption: 'the journal decides', means: 'A restore holds it.' },
  unsupervised: { verbs: ['kill', 'exec', 'stop', 'restart'], adoption: 'the same (identity = pid + start time)', means: 'The process lives, its monitor is gone: no exit code will come.' },
  failed: { verbs: ['start', 'stop', 'delete', 'update', 'rename'], adoption: 'the same', means: 'A step failed; error says which and why.' },
  deleting: { verbs: [], adoption: 'the deletion goes on', means: 'Being removed.' },
};

/** Always allowed, in every state. */
export const FREE_VERBS: readonly string[] = ['get', 'list', 'logs', 'wait', 'forceDelete'];

export function verbAllowed(state: InstanceState, verb: string): boolean {
  return FREE_VERBS.includes(verb) || STATE_RULES[state].verbs.includes(verb);
}

export function statesAllowing(verb: string): readonly InstanceState[] {
  return INSTANCE_STATES.filter((state) => verbAllowed(state, verb));
}
