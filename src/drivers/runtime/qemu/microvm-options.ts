/** What the runtime of microVMs and VMs is built from. */
import type { ControlGroups } from '../../../host/cgroup.ts';
import type { Sharing } from '../../../host/virtiofsd.ts';
import type { BootBounds } from './boot-watch.ts';
import type { FirmwareFiles } from './firmware.ts';
import type { TemplateLimits } from './template-store.ts';
import type { WarmStartMode } from './warm-starts.ts';
import type { LaunchPlan } from './vm-plan.ts';

export interface GuestKernelFiles {
  readonly release: string;
  readonly vmlinux: string;
  readonly initramfs: string;
  /** Of what is in both files. */
  readonly digest: string;
}

export interface VmUids {
  take(): Promise<number>;
  /** A machine of an earlier daemon has it. */
  keep(uid: number): Promise<void>;
  give(uid: number): Promise<void>;
}

/** Ranges of 65,536 ids, as sandboxes have them. */
export interface IdRanges {
  take(): Promise<number>;
  keep(base: number): Promise<void>;
  give(base: number): Promise<void>;
}

export interface AcceleratorFinding {
  readonly accelerator: 'kvm' | 'tcg';
  readonly reason: string;
}

/** Of a boot, from the start of QEMU until its workload could start (boot-watch.ts); one that passes them is tried once more. */
export interface MicroVmDeadlines extends BootBounds {
  /** The same of a machine that resumes from a template; one that takes longer boots instead. */
  readonly warmMs: number;
  /** The monitor's start; what a template is made of; a workload's first instruction. */
  readonly prepareMs: number;
  /** Everything else that an agent is asked. */
  readonly answerMs: number;
  /** From the kill to the exit record. */
  readonly endMs: number;
}

export const DEADLINES: MicroVmDeadlines = { bootMs: 45_000, bootTotalMs: 600_000, warmMs: 5_000, prepareMs: 20_000, answerMs: 5_000, endMs: 15_000 };

export type WarmStage = 'begun' | 'blank boots' | 'blank answered' | 'saved' | 'blank gone' | 'admitted' | 'machine runs' | 'machine answered' | 'machine set up';

export interface MicroVmRuntimeOptions {
  readonly rootDir: string;
  readonly runDir: string;
  readonly nativeProgram: string;
  readonly conmon: string;
  readonly qemu: string;
  readonly groups: ControlGroups;
  readonly uids: VmUids;
  readonly idRanges: IdRanges;
  /** Whether machines can have directories of the host here. */
  readonly sharing: () => Promise<Sharing>;
  /** Called once, at first need. Errors say why there is none. */
  readonly kernel: () => Promise<GuestKernelFiles>;
  /** From where one was laid out. */
  readonly ownKernel: (dir: string) => Promise<GuestKernelFiles>;
  readonly accelerator: () => Promise<AcceleratorFinding>;
  readonly firmware: FirmwareFiles;
  readonly deadlines?: Partial<MicroVmDeadlines> | undefined;
  readonly warmStart: WarmStartMode;
  /** ROOT/templates when missing. */
  readonly templateDir?: string | undefined;
  readonly templateLimits?: TemplateLimits | undefined;
  /** From a boot to the making of a template of its kind. */
  readonly templateDelayMs?: number | undefined;
  /** Told what was just done on the way to a warm start: for tests and measurements. */
  readonly timings?: ((done: WarmStage) => void) | undefined;
  /** Told why a machine could not start warm, or will not. */
  readonly complain?: ((error: unknown) => void) | undefined;
  readonly guards?: MicroVmGuards | undefined;
}

/** Walls around QEMU that a test takes away, to see that they are missed. */
export interface MicroVmGuards {
  /** Nothing given: the plan as it is. */
  readonly launch?: ((plan: LaunchPlan) => LaunchPlan) | undefined;
}
