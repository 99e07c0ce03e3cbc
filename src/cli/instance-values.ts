/** Values of docker's flags → fields of an instance's spec. Each throws BerthError `invalid` with what should be written. */
import { parseBytes } from '../lib/bytes.ts';
import { parseDuration } from '../lib/duration.ts';
import { nearest } from '../lib/nearest.ts';
import { BerthError } from '../model/errors.ts';
import { printable } from '../model/ids.ts';
import type { InstanceSpec, PortSpec, VolumeMountSpec } from '../model/instance.ts';

export function refuse(flag: string, text: string, problem: string, hint?: string): never {
  throw new BerthError('invalid', `--${flag} ${printable(text)}: ${problem}.`, { hint });
}

function reading<T>(flag: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new BerthError('invalid', `--${flag}: ${error.message}`);
  }
}

export function bytesValue(flag: string, text: string): number {
  return reading(flag, () => parseBytes(text));
}

/** A number alone is seconds, as docker has it. */
export function durationValue(flag: string, text: string): number {
  return reading(flag, () => parseDuration(text, { bareUnit: 's' }));
}

export function integerValue(flag: string, text: string): number {
  if (!/^-?\d{1,15}$/.test(text)) refuse(flag, text, 'not a whole number');
  return Number(text);
}

export function numberValue(flag: string, text: string): number {
  if (!/^\d{1,9}(\.\d{1,9})?$|^\.\d{1,9}$/.test(text)) refuse(flag, text, /^-\.?\d/.test(text) ? 'must not be less than 0' : 'not a number');
  return Number(text);
}

const PORT_FORM = '[ADDRESS:][HOSTPORT:]PORT[/udp]; an IPv6 address in brackets';

/** `80`, `8080:80`, `127.0.0.1:8080:80`, `[::1]:8080:80`, `127.0.0.1::80`, `53:53/udp`, `8000-8002:80-82`. */
export function portValues(text: string): PortSpec[] {
  const slash = text.lastIndexOf('/');
  const protocol = slash < 0 ? 'tcp' : text.slice(slash + 1).toLowerCase();
  if (protocol !== 'tcp' && protocol !== 'udp') refuse('publish', text, `'${printable(protocol)}' is neither tcp nor udp`, PORT_FORM);
  const match = /^(?:(?:\[([0-9a-fA-F:.]+)\]|(\d+\.\d+\.\d+\.\d+)):)?(?:(\d*(?:-\d+)?):)?(\d+(?:-\d+)?)$/.exec(slash < 0 ? text : text.slice(0, slash));
  if (match === null) refuse('publish', text, 'not a port to publish', PORT_FORM);
  const [, ipv6, ipv4, host = '', target = ''] = match;
  const hostAddress = ipv6 ?? ipv4;
  const targets = portRange(text, target);
  const hosts = host === '' ? undefined : portRange(text, host);
  if (hosts !== undefined && hosts.length !== targets.length) refuse('publish', text, 'the two ranges are not equally long');
  return targets.map((targetPort, at) => ({
    protocol, targetPort,
    ...(hostAddress === undefined ? {} : { hostAddress }),
    // 0 asks for a free one, as does leaving it out.
    ...(hosts === undefined || hosts[at] === 0 ? {} : { hostPort: hosts[at]! }),
  }));
}

const MAX_PORTS = 128;

function portRange(whole: string, text: string): number[] {
  const [first, last] = text.split('-').map(Number) as [number, number | undefined];
  const end = last ?? first;
  if (first > 65_535 || end > 65_535) refuse('publish', whole, 'ports go up to 65535');
  if (end < first) refuse('publish', whole, 'the range ends before it begins');
  if (end - first >= MAX_PORTS) refuse('publish', whole, `a range has at most ${MAX_PORTS} ports`);
  return Array.from({ length: end - first + 1 }, (_, at) => first + at);
}

/** `VOLUME:DIR[:ro]` and `/host/dir:DIR[:ro]`. A DIR alone would be a volume without a name: it is refused. */
export function volumeValue(text: string): VolumeMountSpec {
  const form = 'VOLUME:DIR[:ro] or /directory/of/the/host:DIR[:ro]';
  const [source = '', target, options, ...more] = text.split(':');
  if (target === undefined || target === '' || source === '' || more.length > 0) return refuse('volume', text, 'a volume needs a name and a directory', form);
  if (!target.startsWith('/')) return refuse('volume', text, `the directory '${printable(target)}' must be absolute`, form);
  const readOnly = readOnlyOption(text, options);
  if (source.startsWith('/')) return { hostPath: source, target, readOnly };
  if (/^[.~]/.test(source)) return refuse('volume', text, 'a directory of the host must be absolute', form);
  return { volume: source, target, readOnly };
}

function readOnlyOption(text: string, options: string | undefined): boolean {
  let readOnly = false;
  for (const option of options === undefined || options === '' ? [] : options.split(',')) {
    if (option === 'ro' || option === 'readonly') readOnly = true;
    else if (option !== 'rw') refuse('volume', text, `the option '${printable(option)}' is not known`, 'There are ro and rw; ids need no z, Z or U here.');
  }
  return readOnly;
}

export function choice<const T extends string>(flag: string, text: string, choices: readonly T[]): T {
  const chosen = choices.find((one) => one === text);
  return chosen ?? refuse(flag, text, 'there is no such one', `There are ${choices.join(', ')}.`);
}

const ULIMIT_NAMES = ['core', 'cpu', 'data', 'fsize', 'memlock', 'msgqueue', 'nofile', 'nproc', 'rss', 'sigpending', 'stack'] as const;
type UlimitName = (typeof ULIMIT_NAMES)[number];

/** `nofile=1024:65536`, `nproc=512`, `core=-1`, `memlock=unlimited`. */
export function ulimitValue(text: string): [UlimitName, { soft: number; hard: number }] {
  const match = /^([a-z]+)=(-?\d{1,15}|unlimited)(?::(-?\d{1,15}|unlimited))?$/.exec(text);
  if (match === null) return refuse('ulimit', text, 'not a limit', 'NAME=SOFT[:HARD], for example nofile=1024:65536');
  const name = match[1] as UlimitName;
  if (!ULIMIT_NAMES.includes(name)) {
    const meant = nearest(name, ULIMIT_NAMES);
    return refuse('ulimit', text, `there is no limit '${name}'`, meant === undefined ? `There are ${ULIMIT_NAMES.join(', ')}.` : `Did you mean ${meant}?`);
  }
  const limit = (value: string): number => (value === 'unlimited' ? -1 : Number(value));
  const soft = limit(match[2]!);
  const hard = match[3] === undefined ? soft : limit(match[3]);
  if (hard !== -1 && (soft === -1 || soft > hard)) return refuse('ulimit', text, 'the soft limit is above the hard one');
  return [name, { soft, hard }];
}

const DEFAULT_TMPFS_BYTES = 64 * 1024 * 1024;

/** `DIR` (64 MiB) and `DIR:size=16m`. */
export function tmpfsValue(text: string): { target: string; sizeBytes: number } {
  const colon = text.indexOf(':');
  const target = colon < 0 ? text : text.slice(0, colon);
  if (!target.startsWith('/')) return refuse('tmpfs', text, 'the directory must be absolute', 'DIR[:size=BYTES], for example /tmp:size=64m');
  let sizeBytes = DEFAULT_TMPFS_BYTES;
  for (const option of colon < 0 ? [] : text.slice(colon + 1).split(',')) {
    const size = /^size=(.+)$/.exec(option)?.[1];
    if (size === undefined) refuse('tmpfs', text, `the option '${printable(option)}' is not known`, 'There is size=BYTES.');
    sizeBytes = bytesValue('tmpfs', size);
  }
  return { target, sizeBytes };
}

const POLICIES = ['no', 'on-failure', 'always', 'unless-stopped'] as const;

/** `no`, `on-failure[:N]`, `always`, `unless-stopped`. */
export function restartValue(text: string): NonNullable<InstanceSpec['restart']> {
  const [name = '', retries, ...more] = text.split(':');
  const policy = POLICIES.find((one) => one === name);
  if (policy === undefined || more.length > 0) {
    const meant = nearest(name, POLICIES);
    return refuse('restart', text, 'not a policy', `${meant === undefined ? '' : `Did you mean ${meant}? `}There are no, on-failure[:N], always and unless-stopped.`);
  }
  if (retries === undefined) return { policy };
  if (policy !== 'on-failure') return refuse('restart', text, 'only on-failure takes a number of retries');
  return { policy, maxRetries: integerValue('restart', retries) };
}

/** `SIGTERM`, `TERM`, `term`; numbers of the signals that scripts use. */
const SIGNALS_BY_NUMBER: Readonly<Record<string, string>> = {
  1: 'SIGHUP', 2: 'SIGINT', 3: 'SIGQUIT', 6: 'SIGABRT', 9: 'SIGKILL', 10: 'SIGUSR1', 12: 'SIGUSR2', 14: 'SIGALRM', 15: 'SIGTERM', 17: 'SIGCHLD', 18: 'SIGCONT', 19: 'SIGSTOP', 28: 'SIGWINCH', 37: 'SIGRTMIN+3',
};

export function signalValue(flag: string, text: string): string {
  if (/^\d+$/.test(text)) return SIGNALS_BY_NUMBER[text] ?? refuse(flag, text, 'no signal is known by this number', 'Write its name, for example SIGTERM.');
  const name = text.toUpperCase();
  const full = name.startsWith('SIG') ? name : `SIG${name}`;
  if (!/^SIG[A-Z0-9+-]{2,12}$/.test(full)) refuse(flag, text, 'not the name of a signal', 'For example SIGTERM or TERM.');
  return full;
}

/** `NAME=VALUE`, or `NAME` for the value in the caller's own environment (nothing when it has none), as docker. */
export function environmentPairs(flag: string, texts: readonly string[], own: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const pairs: Record<string, string> = {};
  for (const text of texts) {
    const equals = text.indexOf('=');
    const name = equals < 0 ? text : text.slice(0, equals);
    if (!/^[A-Za-z_][A-Za-z0-9_.-]*$/.test(name)) throw new BerthError('invalid', `--${flag}: '${printable(name)}' is not a name of an environment variable.`);
    const value = equals < 0 ? own[name] : text.slice(equals + 1);
    if (value !== undefined) pairs[name] = value;
  }
  return pairs;
}

/** A file of NAME=VALUE lines; `#` begins a comment line. Quotes are part of the value, as docker has it. */
export function environmentLines(text: string): string[] {
  return text.split('\n').map((line) => line.replace(/\r$/, '').trimStart()).filter((line) => line !== '' && !line.startsWith('#'));
}

/** `KEY=VALUE` or `KEY`. */
export function labelPairs(texts: readonly string[]): Record<string, string> {
  return Object.fromEntries(texts.map((text) => {
    const equals = text.indexOf('=');
    const key = equals < 0 ? text : text.slice(0, equals);
    if (!/^[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?$/.test(key)) refuse('label', text, `'${printable(key)}' is not a name of a label`);
    return [key, equals < 0 ? '' : text.slice(equals + 1)];
  }));
}

/** `NET_ADMIN`, `CAP_NET_ADMIN`, `net_admin`. */
export function capabilityValue(flag: string, text: string): string {
  const name = text.toUpperCase().replace(/^CAP_/, '');
  if (!/^[A-Z][A-Z_]{2,40}$/.test(name)) refuse(flag, text, 'not the name of a capability', 'For example NET_ADMIN.');
  return name;
}
