/**
 * Every command by its words, and which of three groups is loaded for it. Not one group, because what is loaded and not
 * used costs a twentieth of a millisecond a kilobyte; not one for each command, because each further file costs a fifth.
 */
import { nearest } from '../lib/nearest.ts';
import { BerthError } from '../model/errors.ts';
import { printable } from '../model/ids.ts';
import type { Command } from './command.ts';
import { version } from './commands/version.ts';

export interface TableEntry {
  readonly group: 'instances' | 'kinds' | 'manifests' | 'machine' | 'other';
  readonly summary: string;
  /** Verbs of a kind: `berth image list`. */
  readonly verbs?: readonly string[];
  /** Without one of them it does something of its own: `berth advise FILE…`. */
  readonly alone?: boolean;
  /** Where it is; `cold` when missing. */
  readonly room?: 'talk' | 'show';
}

export const COMMANDS: Readonly<Record<string, TableEntry>> = {
  run: { group: 'instances', summary: 'Run a command in a new instance.', room: 'talk' },
  create: { group: 'instances', summary: 'Make an instance without starting it.' },
  launch: { group: 'instances', summary: 'Make and start an OS container, or a VM with --vm.' },
  pull: { group: 'kinds', summary: 'Fetch an image from a registry.' },
  push: { group: 'kinds', summary: 'Send an image to a registry.' },
  login: { group: 'kinds', summary: 'Log in to a registry.' },
  logout: { group: 'kinds', summary: 'Forget who one is at a registry.' },
  start: { group: 'instances', summary: 'Start instances.' },
  stop: { group: 'instances', summary: 'Stop instances.' },
  restart: { group: 'instances', summary: 'Stop and start instances.' },
  pause: { group: 'instances', summary: 'Freeze instances.' },
  resume: { group: 'instances', summary: 'Unfreeze instances.' },
  kill: { group: 'instances', summary: 'Send a signal to instances.' },
  rm: { group: 'instances', summary: 'Delete instances.' },
  delete: { group: 'instances', summary: 'Delete instances, or what a manifest describes.' },
  list: { group: 'instances', summary: 'List instances in every state.', room: 'show' },
  ps: { group: 'instances', summary: 'List running instances.', room: 'show' },
  exec: { group: 'instances', summary: 'Run a command inside an instance.', room: 'talk' },
  shell: { group: 'instances', summary: 'Open a shell inside an instance.', room: 'talk' },
  cp: { group: 'instances', summary: 'Copy files between an instance and this machine, or another instance.' },
  attach: { group: 'instances', summary: 'Connect to the input and output of an instance.' },
  console: { group: 'instances', summary: 'Connect to the console of a system, to log in; or take a picture of its screen.' },
  logs: { group: 'instances', summary: 'Show the output of an instance.' },
  stats: { group: 'instances', summary: 'Show what running instances use.' },
  top: { group: 'instances', summary: 'Show the processes of instances.' },
  wait: { group: 'instances', summary: 'Wait until instances end, and print their exit codes.' },
  rename: { group: 'instances', summary: 'Give an instance another name.' },
  update: { group: 'instances', summary: 'Change the spec of an instance.' },
  why: { group: 'instances', summary: 'Say why an instance is in the state that it is in.' },
  get: { group: 'kinds', summary: 'Show one object of any kind, or all of a kind.' },
  describe: { group: 'kinds', summary: 'Show one object for people, with its latest events.' },
  explain: { group: 'kinds', summary: 'Say what a kind, a field or a state means.' },
  image: { group: 'kinds', summary: 'Images: pull, push, bootstrap, import, tag, prune …', verbs: ['list', 'get', 'pull', 'push', 'copy', 'bootstrap', 'import', 'export', 'tag', 'history', 'delete', 'prune'] },
  volume: { group: 'kinds', summary: 'Volumes: data that outlives instances.', verbs: ['list', 'get', 'create', 'update', 'delete'] },
  network: { group: 'kinds', summary: 'Networks: addresses, names and rules.', verbs: ['list', 'get', 'create', 'delete'] },
  project: { group: 'kinds', summary: 'Projects: names, quotas and rights.', verbs: ['list', 'get', 'create', 'update', 'delete'] },
  pool: { group: 'kinds', summary: 'Pools: where disks lie.', verbs: ['list', 'get'] },
  node: { group: 'kinds', summary: 'Nodes: the hosts.', verbs: ['list', 'get'] },
  operation: { group: 'kinds', summary: 'Operations: long verbs at work.', verbs: ['list', 'get', 'wait', 'cancel'] },
  apply: { group: 'manifests', summary: 'Make what a manifest describes, and change what differs.' },
  advise: { group: 'manifests', summary: 'Say which form each workload should have, why, and what it costs.', verbs: ['manifests', 'review', 'calibrate'], alone: true },
  events: { group: 'other', summary: 'Show or follow what happens.' },
  audit: { group: 'other', summary: 'Show who did what.' },
  system: { group: 'machine', summary: 'What the daemon keeps on the disk.', verbs: ['df', 'templates', 'prune-templates'] },
  debug: { group: 'other', summary: 'Look behind the scenes: leaks, steps.', verbs: ['leaks', 'steps'] },
  completion: { group: 'other', summary: 'Print a completion script for bash, zsh or fish.', room: 'show' },
  version: { group: 'other', summary: 'Show the version.' },
  help: { group: 'other', summary: 'Show help for a command.' },
};

/** Done by other programs, to which the launcher turns. */
export const LAUNCHED: Readonly<Record<string, string>> = {
  up: 'Set this machine up and start the daemon.',
  down: 'Stop the daemon; --all removes everything.',
  doctor: 'Check this machine, and say how to mend what is wrong.',
  daemon: 'Run the daemon in the foreground.',
  test: 'Run the tests.',
};

/** Words of docker, incus and kubectl, and what they are called here. */
const HABITS: Readonly<Record<string, string>> = {
  images: 'image list', df: 'system df', prune: 'image prune', rmi: 'image delete', load: 'image import', save: 'image export', tag: 'image tag', history: 'image history', inspect: 'get instance NAME -o json', ls: 'list',
  unpause: 'resume', freeze: 'pause', unfreeze: 'resume', info: 'get instance NAME', networks: 'network list', volumes: 'volume list', log: 'logs', bash: 'shell', sh: 'shell', edit: 'apply -f FILE', patch: 'update',
};

/** Of the design, and not in this version. */
const LATER: Readonly<Record<string, string>> = {
  build: 'building images comes later',
  snapshot: 'snapshots come later', copy: 'copies come later', export: 'backups come later', import: 'backups come later', convert: 'the change of form comes later', plan: 'plans come later',
  recover: 'the recovery of a lost store comes later', remote: 'remote daemons come later', compose: 'compose files come later',
};

export async function loadCommand(name: string, verb: string): Promise<Command> {
  if (name === 'version') return version;
  switch (COMMANDS[name]!.room) {
    case 'talk': return (await import('./talk.ts')).TALK[name]!;
    case 'show': return (await import('./show.ts')).SHOW[name]!;
    default: return (await import('./cold.ts')).COLD.command(name, verb);
  }
}

export interface FoundCommand {
  load(): Promise<Command>;
  /** What follows the command's words. */
  readonly rest: readonly string[];
  readonly host?: string | undefined;
  readonly project?: string | undefined;
}

/** @throws BerthError `invalid` for unknown words, with the nearest known one. */
export function findCommand(argv: readonly string[]): FoundCommand {
  let at = 0;
  const globals: { host?: string; project?: string } = {};
  for (; at < argv.length; at++) {
    const match = /^--(host|project)(?:=(.*))?$/.exec(argv[at]!);
    if (match === null) break;
    const value = match[2] ?? argv[++at];
    if (value === undefined) throw new BerthError('invalid', `--${match[1]} needs a value.`);
    globals[match[1] as 'host' | 'project'] = value;
  }
  const [name = 'help', ...rest] = argv.slice(at);
  if (name === '--help' || name === '-h') return { ...globals, rest: [], load: () => loadCommand('help', '') };
  if (name === '--version' || name === '-v') return { ...globals, rest, load: () => loadCommand('version', '') };
  const entry = Object.hasOwn(COMMANDS, name) ? COMMANDS[name]! : undefined;
  if (entry === undefined) throw unknownCommand(name);
  if (entry.verbs === undefined) return { ...globals, rest, load: () => loadCommand(name, '') };
  const [verb, ...afterVerb] = rest;
  if (entry.alone === true && !entry.verbs.includes(verb ?? '')) return { ...globals, rest, load: () => loadCommand(name, '') };
  if (verb === undefined || verb === '--help' || verb === '-h') return { ...globals, rest: [name], load: () => loadCommand('help', '') };
  const known = verbOf(name, entry, verb);
  return { ...globals, rest: afterVerb, load: () => loadCommand(name, known) };
}

const VERB_HABITS: Readonly<Record<string, string>> = { ls: 'list', rm: 'delete', remove: 'delete', inspect: 'get', show: 'get', load: 'import', save: 'export' };

function verbOf(name: string, entry: TableEntry, verb: string): string {
  const verbs = entry.verbs!;
  if (verbs.includes(verb)) return verb;
  const habit = Object.hasOwn(VERB_HABITS, verb) ? VERB_HABITS[verb]! : undefined;
  if (habit !== undefined && verbs.includes(habit)) return habit;
  const meant = nearest(verb, verbs);
  throw new BerthError('invalid', `There is no command 'berth ${name} ${printable(verb)}'.`, { hint: `${meant === undefined ? '' : `Did you mean \`berth ${name} ${meant}\`? `}There are ${verbs.join(', ')}.` });
}

function unknownCommand(name: string): BerthError {
  if (Object.hasOwn(LATER, name)) return new BerthError('unsupported', `There is no 'berth ${name}' in this version: ${LATER[name]}.`);
  if (Object.hasOwn(LAUNCHED, name)) return new BerthError('invalid', `'berth ${name}' is done by the launcher, and this is the command line behind it.`, { hint: `Call the program \`berth\` with ${name}.` });
  const habit = Object.hasOwn(HABITS, name) ? HABITS[name] : undefined;
  const meant = habit ?? nearest(name, [...Object.keys(COMMANDS), ...Object.keys(LAUNCHED)]);
  return new BerthError('invalid', `There is no command '${printable(name)}'.`, { hint: meant === undefined ? '`berth help` lists the commands.' : `Did you mean \`berth ${meant}\`? \`berth help\` lists the commands.` });
}
