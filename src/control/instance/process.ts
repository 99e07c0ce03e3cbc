/** The process of an instance: the wish over the image's layer over the form's defaults. */
import type { ProcessPlan, Rlimit, UserPlan } from '../../drivers/runtime/driver.ts';
import { BerthError } from '../../model/errors.ts';
import type { Form } from '../../model/forms.ts';
import { printable } from '../../model/ids.ts';
import type { Image, ImageConfig } from '../../model/image.ts';
import { ADDABLE_CAPABILITIES, FORM_DEFAULTS, OWN_CAPABILITIES } from '../../model/instance-defaults.ts';
import type { InstanceSpec } from '../../model/instance.ts';
import { reservedDirectory } from '../../model/text.ts';

const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const MAX_ID = 65_535;

/** `as`: another user than the wished one, for a process beside the first. */
export function processPlan(spec: InstanceSpec, image: Image, hostname: string, as?: ResolvedUser): ProcessPlan {
  const config = image.status.config;
  const user = as ?? resolveUser(spec.user ?? config.user, image.status.passwd, image.status.group);
  return {
    args: commandLine(spec, config),
    env: environment(config.env, spec.env ?? {}, { HOSTNAME: hostname, HOME: user.home, ...(spec.terminal === true ? { TERM: 'xterm' } : {}) }),
    cwd: workingDirectory(spec.workdir ?? (config.workdir === '' ? '/' : config.workdir)),
    user: user.plan,
    terminal: spec.terminal ?? false,
  };
}

/** Words of an image's entrypoint that name an init; another entrypoint is an application's. */
const INITS: ReadonlySet<string> = new Set(['/sbin/init', '/usr/sbin/init', '/init', '/bin/init', '/lib/systemd/systemd', '/usr/lib/systemd/systemd', '/bin/systemd', '/sbin/openrc-init', '/sbin/runit-init', '/usr/bin/dinit']);

/**
 * The init of an OS form, or (`as`) the surroundings of a process beside it. The environment tells it when it is in a
 * container (systemd.io/CONTAINER_INTERFACE); the image's environment is for applications and is left out.
 */
export function osProcessPlan(spec: InstanceSpec, image: Image, form: Form, as?: ResolvedUser): ProcessPlan {
  const config = image.status.config;
  const own = [...config.entrypoint, ...config.command];
  const init = spec.entrypoint ?? (INITS.has(own[0] ?? '') ? own : ['/sbin/init']);
  const args = [...(init.length === 0 ? ['/sbin/init'] : init), ...(spec.command ?? [])];
  const user = as ?? { plan: { uid: 0, gid: 0, additionalGids: [] }, home: '/root' };
  return {
    args,
    env: environment([], spec.env ?? {}, as === undefined ? { ...(form === 'osContainer' ? { container: 'oci' } : {}), TERM: 'xterm' } : { HOME: user.home }),
    cwd: '/', user: user.plan, terminal: as === undefined,
  };
}

/** The image's own is checked here, because it comes with no request. */
function workingDirectory(path: string): string {
  const reserved = reservedDirectory(path);
  if (reserved === undefined) return path;
  throw new BerthError('invalid', `The working directory '${printable(path)}' is in ${reserved}, which is made by Berth.`, { hint: 'Choose another one: --workdir DIR.', fields: [{ path: 'spec.workdir', message: `in ${reserved}` }] });
}

function commandLine(spec: InstanceSpec, config: ImageConfig): string[] {
  const entrypoint = spec.entrypoint ?? config.entrypoint;
  // As docker: an entrypoint of one's own does not inherit the image's command.
  const command = spec.command ?? (spec.entrypoint === undefined ? config.command : []);
  const args = [...entrypoint, ...command];
  if (args.length === 0 || args[0] === '') throw new BerthError('invalid', 'There is no command to run: neither the image nor the request names one.', { hint: 'Write the command after the image.', fields: [{ path: 'spec.command', message: 'missing' }] });
  return args;
}

/** Image, then wish; what neither sets gets a default. Each name once, in a stable order. */
export function environment(image: readonly string[], wish: Readonly<Record<string, string>>, defaults: Readonly<Record<string, string>>): string[] {
  const all = new Map<string, string>(Object.entries({ PATH: DEFAULT_PATH, ...defaults }));
  for (const line of image) {
    const equals = line.indexOf('=');
    if (equals > 0) all.set(line.slice(0, equals), line.slice(equals + 1));
  }
  for (const [name, value] of Object.entries(wish)) all.set(name, value);
  return [...all].map(([name, value]) => `${name}=${value}`);
}

export interface ResolvedUser {
  readonly plan: UserPlan;
  readonly home: string;
}

/** USER[:GROUP], names or plain decimal numbers of the 65,536 ids that an instance has. */
export function resolveUser(text: string, passwd = '', group = ''): ResolvedUser {
  const refuse = (why: string): never => {
    throw new BerthError('invalid', `'${printable(text)}' is not a user of this instance: ${why}.`, { hint: 'Write USER, UID, USER:GROUP or UID:GID.', fields: [{ path: 'spec.user', message: why }] });
  };
  const [userText = '', groupText, ...rest] = text === '' ? ['0'] : text.split(':');
  if (rest.length > 0 || groupText === '') return refuse('it has too many colons or an empty group');
  const users = parseColonFile(passwd, 6);
  const groups = parseColonFile(group, 3);
  const uidText = idNumber(userText, refuse);
  const entry = uidText === undefined ? users.find((line) => line[0] === userText) : users.find((line) => line[2] === String(uidText));
  if (uidText === undefined && entry === undefined) return refuse('the image has no such user');
  const uid = uidText ?? idNumber(entry![2]!, refuse) ?? refuse('its number is not one');
  let gid = entry === undefined ? 0 : (idNumber(entry[3]!, refuse) ?? 0);
  let additionalGids: number[] = [];
  if (groupText !== undefined) {
    const number = idNumber(groupText, refuse);
    const found = number === undefined ? groups.find((line) => line[0] === groupText) : undefined;
    if (number === undefined && found === undefined) return refuse('the image has no such group');
    gid = number ?? idNumber(found![2]!, refuse) ?? refuse('the number of its group is not one');
  } else if (entry !== undefined) {
    additionalGids = groups.filter((line) => line[3]?.split(',').includes(entry[0]!)).map((line) => Number(line[2])).filter((id) => Number.isInteger(id) && id >= 0 && id <= MAX_ID && id !== gid).slice(0, 64);
  }
  return { plan: { uid, gid, additionalGids }, home: entry?.[5]?.startsWith('/') === true ? entry[5] : uid === 0 ? '/root' : '/' };
}

function idNumber(text: string, refuse: (why: string) => never): number | undefined {
  if (!/^[0-9]+$/.test(text)) return /^[+-]?[0-9]/.test(text) ? refuse('a number must be plain decimal digits') : undefined;
  const number = Number(text);
  return text.length <= 10 && number <= MAX_ID ? number : refuse(`a number must be at most ${MAX_ID}`);
}

function parseColonFile(text: string, fields: number): string[][] {
  return text.split('\n').map((line) => line.split(':')).filter((parts) => parts.length > fields - 1);
}

/** As capabilities(7) spells them: CAP_CHOWN. People write them without the prefix. */
export function capabilitiesOf(spec: InstanceSpec, form: Form = 'appContainer'): string[] {
  const wanted = spec.capabilities ?? { add: [], drop: [] };
  const own = OWN_CAPABILITIES[form];
  const unknown = wanted.add.find((name) => !ADDABLE_CAPABILITIES.includes(name) && !own.includes(name));
  if (unknown !== undefined) {
    throw new BerthError('invalid', `Capability ${unknown} cannot be added.`, { hint: `These can: ${ADDABLE_CAPABILITIES.join(', ')}.`, fields: [{ path: 'spec.capabilities.add', message: `${unknown} is not allowed` }] });
  }
  const base = wanted.drop.includes('ALL') ? [] : own.filter((name) => !wanted.drop.includes(name));
  return [...new Set([...base, ...wanted.add])].toSorted().map((name) => `CAP_${name}`);
}

export function rlimitsOf(spec: InstanceSpec, form: Form): Rlimit[] {
  const defaults = FORM_DEFAULTS[form];
  const limits: Record<string, { soft: number; hard: number }> = { nofile: { ...defaults.nofile }, core: { soft: 0, hard: 0 }, ...spec.ulimits };
  return Object.entries(limits).map(([type, { soft, hard }]) => ({ type: `RLIMIT_${type.toUpperCase()}`, soft, hard }));
}

const SIGNAL_BY_NUMBER: Readonly<Record<string, string>> = { 1: 'SIGHUP', 2: 'SIGINT', 3: 'SIGQUIT', 9: 'SIGKILL', 10: 'SIGUSR1', 12: 'SIGUSR2', 15: 'SIGTERM', 28: 'SIGWINCH', 37: 'SIGRTMIN+3' };
const SIGNAL_NAME = /^SIG(?:HUP|INT|QUIT|ILL|TRAP|ABRT|BUS|FPE|KILL|USR1|SEGV|USR2|PIPE|ALRM|TERM|STKFLT|CHLD|CONT|STOP|TSTP|TTIN|TTOU|URG|XCPU|XFSZ|VTALRM|PROF|WINCH|IO|PWR|SYS|RTMIN(?:\+(?:[1-9]|1[0-5]))?)$/;

/** `TERM`, `SIGTERM` or `15`. */
export function signalName(text: string): string {
  const name = SIGNAL_BY_NUMBER[text] ?? (text.startsWith('SIG') ? text : `SIG${text}`);
  if (!SIGNAL_NAME.test(name)) throw new BerthError('invalid', `'${printable(text)}' is not a signal.`, { hint: 'Write SIGTERM, TERM or 15.' });
  return name;
}

export function stopSignalOf(spec: InstanceSpec, image: Image | undefined, form: Form): string {
  return signalName(spec.stopSignal ?? image?.status.config.stopSignal ?? FORM_DEFAULTS[form].stopSignal);
}
