/**
 * The runtime contract: one running unit, whatever its boundary. crun and QEMU both meet it; `contract.ts` is the
 * suite that proves it, and the fake meets it without a kernel.
 *
 * Life of a unit
 *   absent → create → created → start → running ⇄ paused → exited → remove → absent
 * - `create` brings up the monitor and the boundary (namespaces; a booted guest whose agent answers) and stops right
 *   before the first instruction of the workload. What `create` made is undone by `remove`, in any state.
 * - `start` lets the workload go. Attach between the two, and no byte of output is missed.
 * - The monitor is the parent of the unit's first process on the host, drains output into the log file, and writes the
 *   exit record; it needs no daemon. Every method works on a unit that an earlier daemon made.
 * - Identity of a process is pid + start time: a signal never reaches a stranger that reused the pid.
 * - All methods are idempotent by id. None blocks the event loop over 5 ms.
 * - A VM of a disk image (`root.disk`) has no agent: `create` ends before its firmware runs, `start` lets that go, and
 *   what only an agent could do is `unsupported` (`noAgent`): exec, copies, `booted`, signals but SIGKILL, the window size.
 */
import type { Boundary, Form } from '../../model/forms.ts';
import type { ObjectId } from '../../model/ids.ts';
import type { InstanceProcesses, ProcessRow } from '../../model/instance-processes.ts';

export interface UserPlan {
  readonly uid: number;
  readonly gid: number;
  readonly additionalGids: readonly number[];
}

export interface ProcessPlan {
  readonly args: readonly string[];
  /** NAME=value, each name once. */
  readonly env: readonly string[];
  readonly cwd: string;
  readonly user: UserPlan;
  readonly terminal: boolean;
  /** Initial size of the terminal, when there is one. */
  readonly size?: TerminalSize | undefined;
}

export interface TerminalSize {
  readonly rows: number;
  readonly columns: number;
}

export interface Rlimit {
  readonly type: string;
  readonly soft: number;
  readonly hard: number;
}

export interface ResourcePlan {
  readonly memoryBytes?: number | undefined;
  /** CPUs' worth of time; 0.5 is half of one. */
  readonly cpus?: number | undefined;
  /** 1–10000, 100 is normal. */
  readonly cpuWeight: number;
  readonly pids?: number | undefined;
}

/** Why this host cannot show a directory to a machine, and the way out. */
export interface NoDirectories {
  readonly reason: string;
  readonly hint: string;
}

export interface MountPlan {
  /** Directory on the host, ids unshifted. */
  readonly source: string;
  /** Absolute path inside. */
  readonly target: string;
  readonly readOnly: boolean;
}

/**
 * A block volume: a raw disk with an ext4 that we made and that a guest may have written since. VM forms with an
 * agent, which mounts it: no host's kernel does.
 */
export interface VolumeDiskPlan {
  /** Of the volume; the disk's serial ends with it. */
  readonly name: string;
  readonly file: string;
  /** Absolute path inside. */
  readonly target: string;
  readonly readOnly: boolean;
}

export interface TmpfsPlan {
  readonly target: string;
  readonly sizeBytes: number;
}

/** A VM of a disk image: its firmware boots what is on it. No layers and no agent. */
export interface DiskRootPlan {
  /** The instance's own writable raw disk, whatever its image was; an empty one for a start from ISOs alone. */
  readonly file: string;
  /** UEFI keeps its variables beside the disk, as `vars.fd`: made at the first create. */
  readonly firmware: 'bios' | 'uefi';
  /** Which devices the system finds: virtio's, or those that a system without drivers for them knows. */
  readonly preset: 'virtio' | 'ahci-e1000';
  /** CD-ROMs, read-only. Booted from after the disk, that is where the disk has nothing to boot. */
  readonly isoFiles: readonly string[];
  /** cloud-init's data source NoCloud: a disk labelled CIDATA with these files. */
  readonly seed?: { readonly metaData: string; readonly userData: string; readonly networkConfig?: string | undefined } | undefined;
}

/** What lies below the workload: read-only layers and one writable upper. */
export interface RootPlan {
  /** Unpacked layers, lowest first (container forms). */
  readonly layers: readonly string[];
  /** Directory with `up` and `work` (container forms). */
  readonly upperDir?: string | undefined;
  /** The layers as one read-only image file (VM forms). */
  readonly imageFile?: string | undefined;
  /** Raw ext4 disk for the upper (VM forms); tmpfs in the guest when missing. */
  readonly upperDisk?: string | undefined;
  /** VM: the upper disk is the whole root, and there is no image file. */
  readonly flat?: boolean | undefined;
  readonly readOnly: boolean;
  /** Thrown away with the instance: no fsync needed. */
  readonly volatile: boolean;
  /** VM of a disk image: then no layers, no image file and no upper, and `process` of the plan says nothing but its terminal. */
  readonly disk?: DiskRootPlan | undefined;
}

export interface AddressPlan {
  readonly address: string;
  readonly prefixLength: number;
}

/** One network interface of the unit. */
export interface InterfacePlan {
  /** Inside: eth0, eth1 … */
  readonly name: string;
  readonly mac: string;
  readonly mtu: number;
  readonly addresses: readonly AddressPlan[];
  readonly gateways: readonly string[];
  /** VM forms: the tap to make and the bridge to put it on. Containers find the interface in their namespace. */
  readonly tap?: { readonly name: string; readonly bridge: string } | undefined;
}

export interface NetworkPlanOfUnit {
  /** Namespaces made and wired up beforehand, as descriptors of this process (container forms). */
  readonly sandbox?: { readonly userNamespaceFd: number; readonly networkNamespaceFd: number; readonly idBase: number; readonly idCount: number } | undefined;
  readonly interfaces: readonly InterfacePlan[];
  readonly nameservers: readonly string[];
  readonly searchDomains: readonly string[];
}

export interface LogPlan {
  /** Size at which the log is rotated. */
  readonly maxBytes: number;
  /** Files kept, the current one included. */
  readonly maxFiles: number;
}

export interface BootFile {
  readonly path: string;
  /** Permission bits. */
  readonly mode: number;
  /** Names or numbers of the image. */
  readonly owner: string;
  readonly group: string;
  readonly append: boolean;
  readonly content: Uint8Array;
}

export interface BootUser {
  readonly name: string;
  readonly uid?: number | undefined;
  readonly gecos: string;
  /** Defaults when empty: /home/NAME, bash or sh, a password that nobody knows. */
  readonly home: string;
  readonly shell: string;
  readonly passwordHash: string;
  readonly groups: readonly string[];
  /** Lines of sudoers(5) after the name. */
  readonly sudo: readonly string[];
  readonly keys: readonly string[];
}

/** Done once, at the first boot of this instance; a copy of it is another instance. */
export interface BootPlan {
  readonly users: readonly BootUser[];
  readonly files: readonly BootFile[];
  /** Run one after the other once the init is up. */
  readonly commands: readonly (readonly string[])[];
  /** For the image's own cloud-init (data source NoCloud), in place of all above. */
  readonly cloud?: { readonly metaData: string; readonly userData: string } | undefined;
}

/** Everything a runtime needs to make one unit; resolved, checked, frozen. Written beside the unit for its next daemon. */
export interface UnitPlan {
  readonly id: ObjectId;
  /** For people and host names; validated. */
  readonly name: string;
  /** What instances of different projects must not share is kept apart by it. */
  readonly project: string;
  readonly hostname: string;
  readonly form: Form;
  readonly process: ProcessPlan;
  /** Keep stdin open for attach. */
  readonly stdin: boolean;
  /** A small init reaps orphans as PID 1. */
  readonly init: boolean;
  /** CAP_NET_BIND_SERVICE, …: as capabilities(7) spells them. */
  readonly capabilities: readonly string[];
  readonly noNewPrivileges: boolean;
  readonly rlimits: readonly Rlimit[];
  readonly resources: ResourcePlan;
  readonly root: RootPlan;
  /** VM forms: a kernel of its own, laid out in this directory (host/kernel-layout.ts); the runtime's when missing. */
  readonly kernelDir?: string | undefined;
  readonly mounts: readonly MountPlan[];
  readonly tmpfs: readonly TmpfsPlan[];
  readonly volumeDisks?: readonly VolumeDiskPlan[] | undefined;
  readonly shmBytes: number;
  readonly sysctls: Readonly<Record<string, string>>;
  readonly network: NetworkPlanOfUnit;
  readonly log: LogPlan;
  readonly stopSignal: string;
  /** OS forms: what is made of the instance at its first boot. */
  readonly boot?: BootPlan | undefined;
}

export interface ProcessIdentity {
  readonly pid: number;
  /** Field 22 of /proc/PID/stat: clock ticks since boot. */
  readonly startTicks: number;
}

export interface UnitInfo {
  /** First process of a container as the host sees it; QEMU of a VM. */
  readonly process: ProcessIdentity;
  readonly monitor: ProcessIdentity;
  readonly boundary: Boundary;
  /** Container forms: the host ids that the unit has, for a daemon that finds it running and never wrote them down. */
  readonly idRange?: { readonly base: number; readonly count: number } | undefined;
  /** VM forms. */
  readonly accelerator?: 'kvm' | 'tcg' | undefined;
  readonly kernel?: string | undefined;
  /** Booted, or resumed from the memory of a machine that had. */
  readonly start?: 'cold' | 'warm' | undefined;
}

/** `panic`: the kernel of a machine said that it died. */
export type ExitReason = 'exited' | 'killed' | 'oom' | 'poweroff' | 'reboot' | 'panic' | 'unknown';

export interface ExitRecord {
  /** 0–255; 128 + signal for a killed process; undefined when nobody saw it. */
  readonly exitCode: number | undefined;
  readonly reason: ExitReason;
  /** Milliseconds since 1970. */
  readonly finishedAtMs: number;
}

/** What is really there, by looking. */
export type Observed =
  | { readonly state: 'absent' }
  /** The boundary is up and the workload was never started. */
  | { readonly state: 'created'; readonly info: UnitInfo }
  | { readonly state: 'running' | 'paused'; readonly info: UnitInfo }
  /** The first process lives, its monitor does not: no exit code will come. */
  | { readonly state: 'unsupervised'; readonly info: UnitInfo }
  | { readonly state: 'exited'; readonly exit: ExitRecord };

export interface OutputChunk {
  readonly stream: 'stdout' | 'stderr';
  readonly data: Uint8Array;
}

/** A conversation with a process. Output is pulled: who does not read makes the writer wait, within the log's rules. */
export interface IoSession {
  /** Resolves when the bytes were taken; rejects with `wrongState` when stdin is closed. */
  write(data: Uint8Array): Promise<void>;
  endInput(): Promise<void>;
  resize(size: TerminalSize): Promise<void>;
  /** Ends when the process closed its output or the session is closed. One reader. */
  readonly output: AsyncIterable<OutputChunk>;
  /** Lets go. The process of an `exec` is killed if it still runs; an attached workload goes on. */
  close(): Promise<void>;
}

export interface ExecSession extends IoSession {
  readonly exit: Promise<{ readonly exitCode: number }>;
  /** Sends a signal to the process of this exec. */
  signal(signal: string): Promise<void>;
}

export interface ExecPlan extends ProcessPlan {
  readonly stdin: boolean;
  readonly noNewPrivileges: boolean;
  readonly capabilities: readonly string[];
}

/** Runs a program in a unit that is running. */
export type ExecInside = (plan: ExecPlan) => Promise<ExecSession>;

export interface CopyOutRequest {
  /** Absolute, as the instance sees it; a slash or `/.` at its end as in `docker cp`. */
  readonly path: string;
  /** A link at the end of the path stands for what it leads to. */
  readonly followLink: boolean;
}

export interface CopyInRequest {
  readonly path: string;
  /** Entries go below `path`, a directory; otherwise the archive’s one root goes where `docker cp` would put it. */
  readonly extract: boolean;
  /** Owners are those of the archive, not root. */
  readonly archive: boolean;
}

export interface UnitStats {
  readonly memoryBytes: number;
  readonly memoryLimitBytes?: number | undefined;
  readonly cpuNanoseconds: number;
  readonly pids: number;
  readonly oomKills: number;
  /** VM forms: what its programs and kernel use of the guest's memory; `memoryBytes` is what the machine takes from the host. */
  readonly insideMemoryBytes?: number | undefined;
  /** Of these, what only the guest says; the host has not measured it. */
  readonly claimed?: readonly ('pids' | 'oomKills' | 'insideMemoryBytes')[] | undefined;
}

/** Its user is a number as the unit counts; what it is called stands in the image. */
export type UnitProcess = Omit<ProcessRow, 'user'>;

/** `problem`: it is paused, has no agent, or does not answer. */
export type UnitProcesses = Omit<InstanceProcesses, 'name' | 'project' | 'id' | 'form'>;

/** What is kept on the disk so that units of one shape start faster. */
export interface TemplateInfo {
  readonly key: string;
  /** Units of this project alone start from it; undefined: all. */
  readonly project?: string | undefined;
  /** Of the machine. */
  readonly memoryBytes?: number | undefined;
  /** On the disk. */
  readonly bytes: number;
  /** Milliseconds since 1970. */
  readonly madeAtMs: number;
  readonly usedAtMs: number;
}

export interface RemoveOptions {
  readonly keepLog: boolean;
  readonly keepExit?: boolean | undefined;
}

export interface RuntimeDriver extends AsyncDisposable {
  readonly name: string;
  /** Can this host run these forms at all, those of disk images with this firmware? Throws nothing; the reason is a sentence. */
  available(form: Form, firmware?: DiskRootPlan['firmware']): Promise<{ readonly ok: true; readonly boundary: Boundary; readonly noDirectories?: NoDirectories | undefined } | { readonly ok: false; readonly reason: string; readonly hint: string }>;
  /** Errors: `invalid` (the root file system was refused by the pre-flight), `notFound` (no such command: 127), `unavailable`, `timeout`. */
  create(plan: UnitPlan, signal?: AbortSignal): Promise<UnitInfo>;
  start(id: ObjectId): Promise<void>;
  /**
   * Kills what lives and takes away all that `create` made, the log included when `keepLog` is false. With `keepExit`
   * the exit record stays for `observe`, until it is created or removed again: whoever dies before the end was written
   * down finds it.
   */
  remove(id: ObjectId, options: RemoveOptions): Promise<void>;
  observe(id: ObjectId): Promise<Observed>;
  /**
   * Resolves with the exit record as soon as it is there; immediately when it is already. `unsupervised` is called
   * within seconds of the monitor's end when the process lives on, perhaps more than once.
   */
  waitExit(id: ObjectId, signal?: AbortSignal, unsupervised?: () => void): Promise<ExitRecord>;
  /** Name of a signal (SIGTERM). `wrongState` when nothing runs. A VM form hands it to the workload, SIGKILL to QEMU. */
  signal(id: ObjectId, signal: string): Promise<void>;
  /**
   * OS forms: asks the unit's init to power off, in the way that this init understands; the end comes by `waitExit`.
   * `wrongState` when nothing runs.
   */
  powerOff?(id: ObjectId): Promise<void>;
  /**
   * OS forms: resolves when the init has brought the system up (`running`), or says that parts of it failed (`degraded`);
   * `starting` when the deadline was before that. What it says is the system's own word.
   */
  booted?(id: ObjectId, timeoutMs: number): Promise<'running' | 'degraded' | 'starting'>;
  pause(id: ObjectId): Promise<void>;
  resume(id: ObjectId): Promise<void>;
  attach(id: ObjectId): Promise<IoSession>;
  exec(id: ObjectId, plan: ExecPlan): Promise<ExecSession>;
  /**
   * Files of a running unit as a tar archive, read as it is asked for. All of it is the unit's word: hostile. Errors:
   * `notFound`, `invalid`, `wrongState`, `unsupported`. A unit that says nothing is given up by the signal alone.
   */
  copyOut(id: ObjectId, request: CopyOutRequest, signal?: AbortSignal): Promise<AsyncIterable<Uint8Array>>;
  /** Takes a tar archive into a running unit. What was taken in before an error stays. */
  copyIn(id: ObjectId, request: CopyInRequest, tar: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<void>;
  /** What a VM of a disk image shows on its screen, as PNG. `unsupported` where there is no screen, `wrongState` when nothing runs. */
  screenshot?(id: ObjectId): Promise<Uint8Array>;
  /** Size of the workload's own terminal. */
  resize(id: ObjectId, size: TerminalSize): Promise<void>;
  /**
   * Limits of what runs. Resolves with those that it has only from its next start on, because it was started with less than
   * is wished; until then it has as much of them as it can. Errors: `wrongState` (nothing runs; it uses more memory than
   * the new limit: everything is as it was), `invalid`.
   */
  update(id: ObjectId, resources: ResourcePlan): Promise<readonly (keyof ResourcePlan)[]>;
  stats(ids: readonly ObjectId[]): Promise<ReadonlyMap<ObjectId, UnitStats>>;
  /** The processes of each that runs, in one pass. A unit that does not answer holds nobody up. */
  processes(ids: readonly ObjectId[]): Promise<ReadonlyMap<ObjectId, UnitProcesses>>;
  /** Log files, oldest first; the last one is being written. Format: conmon's k8s-file (`TIME STREAM P|F TEXT`). */
  logFiles(id: ObjectId): Promise<readonly string[]>;
  /** Rotates the log when it is over its size. Called on a timer by the daemon; the bound holds without it too. */
  rotateLog(id: ObjectId): Promise<void>;
  /** What is kept on the disk so that units start faster. Nothing is lost with it. */
  templateUsage?(): { readonly count: number; readonly bytes: number };
  templates?(): readonly TemplateInfo[];
  /** Takes those away that nothing started from since then (milliseconds since 1970); resolves with them. What runs is not touched. */
  pruneTemplates?(usedBeforeMs: number): Promise<readonly TemplateInfo[]>;
  /** Units of its own that no object stands for, while it has them: templates that are being made. */
  ownUnits?(): readonly ObjectId[];
  /** Everything on the host that carries this root's names and belongs to the runtime: ids found, with where. */
  leftovers(known: ReadonlySet<ObjectId>): Promise<readonly string[]>;
}
