/** Names of the model as the guest's kernel numbers them (x86-64 and arm64 alike). */
import { BerthError } from '../../../model/errors.ts';
import { printable } from '../../../model/ids.ts';

/** capabilities(7), in the order of linux/capability.h. */
const CAPABILITIES = [
  'CHOWN', 'DAC_OVERRIDE', 'DAC_READ_SEARCH', 'FOWNER', 'FSETID', 'KILL', 'SETGID', 'SETUID', 'SETPCAP', 'LINUX_IMMUTABLE', 'NET_BIND_SERVICE',
  'NET_BROADCAST', 'NET_ADMIN', 'NET_RAW', 'IPC_LOCK', 'IPC_OWNER', 'SYS_MODULE', 'SYS_RAWIO', 'SYS_CHROOT', 'SYS_PTRACE', 'SYS_PACCT', 'SYS_ADMIN',
  'SYS_BOOT', 'SYS_NICE', 'SYS_RESOURCE', 'SYS_TIME', 'SYS_TTY_CONFIG', 'MKNOD', 'LEASE', 'AUDIT_WRITE', 'AUDIT_CONTROL', 'SETFCAP', 'MAC_OVERRIDE',
  'MAC_ADMIN', 'SYSLOG', 'WAKE_ALARM', 'BLOCK_SUSPEND', 'AUDIT_READ', 'PERFMON', 'BPF', 'CHECKPOINT_RESTORE',
] as const;

/** getrlimit(2), in the order of asm-generic/resource.h. */
const RLIMITS = ['CPU', 'FSIZE', 'DATA', 'STACK', 'CORE', 'RSS', 'NPROC', 'NOFILE', 'MEMLOCK', 'AS', 'LOCKS', 'SIGPENDING', 'MSGQUEUE', 'NICE', 'RTPRIO', 'RTTIME'] as const;

const SIGNALS = [
  'HUP', 'INT', 'QUIT', 'ILL', 'TRAP', 'ABRT', 'BUS', 'FPE', 'KILL', 'USR1', 'SEGV', 'USR2', 'PIPE', 'ALRM', 'TERM', 'STKFLT', 'CHLD', 'CONT', 'STOP',
  'TSTP', 'TTIN', 'TTOU', 'URG', 'XCPU', 'XFSZ', 'VTALRM', 'PROF', 'WINCH', 'IO', 'PWR', 'SYS',
] as const;
const SIGRTMIN = 34, SIGRTMAX = 64;

export function capabilityNumber(name: string): number {
  return indexIn(CAPABILITIES, name.replace(/^CAP_/, ''), name, 'capability');
}

export function rlimitNumber(type: string): number {
  return indexIn(RLIMITS, type.replace(/^RLIMIT_/, ''), type, 'resource limit');
}

/** SIGTERM, SIGRTMIN+3 … */
export function linuxSignal(name: string): number {
  const realTime = /^SIGRTMIN(?:\+(\d{1,2}))?$/.exec(name);
  const number = realTime === null ? indexIn(SIGNALS, name.replace(/^SIG/, ''), name, 'signal') + 1 : SIGRTMIN + Number(realTime[1] ?? 0);
  if (number > SIGRTMAX) throw new BerthError('invalid', `'${printable(name)}' is not a signal.`);
  return number;
}

function indexIn(list: readonly string[], name: string, given: string, what: string): number {
  const at = list.indexOf(name);
  if (at < 0) throw new BerthError('invalid', `'${printable(given)}' is not a ${what} that a guest knows.`);
  return at;
}
