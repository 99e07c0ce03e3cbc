/** Names of the model as the guest's kernel numbers them (x86-64 and arm64 alike). */
import { BerthError } from '../../../model/errors.ts';
import { printable } from '../../../model/ids.ts';
import { ALL_CAPABILITIES } from '../../../model/instance-defaults.ts';

/** getrlimit(2), in the order of asm-generic/resource.h. */
const RLIMITS = ['CPU', 'FSIZE', 'DATA', 'STACK', 'CORE', 'RSS', 'NPROC', 'NOFILE', 'MEMLOCK', 'AS', 'LOCKS', 'SIGPENDING', 'MSGQUEUE', 'NICE', 'RTPRIO', 'RTTIME'] as const;

const SIGNALS = [
  'HUP', 'INT', 'QUIT', 'ILL', 'TRAP', 'ABRT', 'BUS', 'FPE', 'KILL', 'USR1', 'SEGV', 'USR2', 'PIPE', 'ALRM', 'TERM', 'STKFLT', 'CHLD', 'CONT', 'STOP',
  'TSTP', 'TTIN', 'TTOU', 'URG', 'XCPU', 'XFSZ', 'VTALRM', 'PROF', 'WINCH', 'IO', 'PWR', 'SYS',
] as const;
const SIGRTMIN = 34, SIGRTMAX = 64;

export function capabilityNumber(name: string): number {
  return indexIn(ALL_CAPABILITIES, name.replace(/^CAP_/, ''), name, 'capability');
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
