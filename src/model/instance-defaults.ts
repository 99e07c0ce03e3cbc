/** The defaults of each form, in one table (`berth explain instance` prints it). Image values lie between these and `spec`. */
import type { Form } from './forms.ts';
import type { RESTART_POLICIES } from './instance.ts';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

export interface FormDefaults {
  readonly memoryBytes: number;
  /** undefined: no quota. */
  readonly cpus: number | undefined;
  readonly cpuWeight: number;
  /** undefined: the guest's own. */
  readonly pids: number | undefined;
  readonly nofile: { readonly soft: number; readonly hard: number };
  readonly shmBytes: number;
  readonly log: { readonly maxBytes: number; readonly maxFiles: number };
  readonly stopGraceMs: number;
  /** When the image names none. */
  readonly stopSignal: string;
  readonly restart: (typeof RESTART_POLICIES)[number];
}

const app = {
  cpuWeight: 100, nofile: { soft: 1024, hard: 65_536 }, shmBytes: 64 * MIB, log: { maxBytes: 10 * MIB, maxFiles: 3 },
  stopGraceMs: 10_000, stopSignal: 'SIGTERM', restart: 'no',
} as const;
const os = { ...app, log: { maxBytes: MIB, maxFiles: 1 }, stopGraceMs: 60_000, stopSignal: 'SIGRTMIN+3', restart: 'always' } as const;

export const FORM_DEFAULTS: Readonly<Record<Form, FormDefaults>> = {
  appContainer: { ...app, memoryBytes: 512 * MIB, cpus: undefined, pids: 512 },
  osContainer: { ...os, memoryBytes: 2 * GIB, cpus: undefined, pids: 4096 },
  microVM: { ...app, memoryBytes: 256 * MIB, cpus: 1, pids: undefined },
  vm: { ...os, stopSignal: 'SIGRTMIN+4', memoryBytes: GIB, cpus: 1, pids: undefined },
};

/** The 11 capabilities of an app form (security: no NET_RAW, no MKNOD, no AUDIT_WRITE). */
export const APP_CAPABILITIES: readonly string[] = [
  'CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'FSETID', 'KILL', 'NET_BIND_SERVICE', 'SETFCAP', 'SETGID', 'SETPCAP', 'SETUID', 'SYS_CHROOT',
];

/**
 * An OS container's, all within its own user namespace. SYS_BOOT is its own power-off and reboot. Without SYS_MODULE and
 * SYS_RAWIO systemd leaves out the units that could only fail; SYS_TIME, SYSLOG, BPF, PERFMON and MAC_* are the host's.
 */
export const OS_CAPABILITIES: readonly string[] = [
  'AUDIT_WRITE', 'CHOWN', 'DAC_OVERRIDE', 'DAC_READ_SEARCH', 'FOWNER', 'FSETID', 'IPC_LOCK', 'IPC_OWNER', 'KILL', 'LEASE', 'MKNOD', 'NET_ADMIN', 'NET_BIND_SERVICE',
  'NET_BROADCAST', 'NET_RAW', 'SETFCAP', 'SETGID', 'SETPCAP', 'SETUID', 'SYS_ADMIN', 'SYS_BOOT', 'SYS_CHROOT', 'SYS_NICE', 'SYS_PACCT', 'SYS_PTRACE', 'SYS_TTY_CONFIG',
];

/** capabilities(7), in the order of linux/capability.h. A VM's init has them all: its kernel is its own. */
export const ALL_CAPABILITIES: readonly string[] = [
  'CHOWN', 'DAC_OVERRIDE', 'DAC_READ_SEARCH', 'FOWNER', 'FSETID', 'KILL', 'SETGID', 'SETUID', 'SETPCAP', 'LINUX_IMMUTABLE', 'NET_BIND_SERVICE',
  'NET_BROADCAST', 'NET_ADMIN', 'NET_RAW', 'IPC_LOCK', 'IPC_OWNER', 'SYS_MODULE', 'SYS_RAWIO', 'SYS_CHROOT', 'SYS_PTRACE', 'SYS_PACCT', 'SYS_ADMIN',
  'SYS_BOOT', 'SYS_NICE', 'SYS_RESOURCE', 'SYS_TIME', 'SYS_TTY_CONFIG', 'MKNOD', 'LEASE', 'AUDIT_WRITE', 'AUDIT_CONTROL', 'SETFCAP', 'MAC_OVERRIDE',
  'MAC_ADMIN', 'SYSLOG', 'WAKE_ALARM', 'BLOCK_SUSPEND', 'AUDIT_READ', 'PERFMON', 'BPF', 'CHECKPOINT_RESTORE',
];

/** What each form has unless it is told otherwise. */
export const OWN_CAPABILITIES: Readonly<Record<Form, readonly string[]>> = {
  appContainer: APP_CAPABILITIES, osContainer: OS_CAPABILITIES, microVM: APP_CAPABILITIES, vm: ALL_CAPABILITIES,
};

/** What may be added with --cap-add: within the instance's own user namespace these reach nothing of the host. */
export const ADDABLE_CAPABILITIES: readonly string[] = [
  ...APP_CAPABILITIES, 'AUDIT_WRITE', 'DAC_READ_SEARCH', 'IPC_LOCK', 'IPC_OWNER', 'LEASE', 'LINUX_IMMUTABLE', 'MKNOD', 'NET_ADMIN', 'NET_BROADCAST', 'NET_RAW', 'SYS_NICE', 'SYS_PTRACE', 'SYS_RESOURCE', 'SYS_TTY_CONFIG',
];
