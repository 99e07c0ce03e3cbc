/**
 * Every command by its words, with how it is loaded: a command pays for no other. Kinds have their verbs behind them
 * (`berth image list`); those that every kind has are made in commands/kind.ts.
 */
import { nearest } from '../lib/nearest.ts';
import { BerthError } from '../model/errors.ts';
import { printable } from '../model/ids.ts';
import type { Command } from './command.ts';

export interface TableEntry {
  readonly group: 'instances' | 'kinds' | 'manifests' | 'machine' | 'other';
  readonly summary: string;
  /** Verbs of a kind. */
  readonly verbs?: readonly string[];
  load(verb: string): Promise<Command>;
}

const lifecycle = (summary: string, name: string): TableEntry => ({ group: 'instances', summary, load: async () => (await import('./commands/lifecycle.ts')).lifecycleCommand(name) });
const kind = (summary: string, name: string, verbs: readonly string[]): TableEntry => ({ group: 'kinds', summary, verbs, load: async (verb) => (await import('./commands/kind.ts')).kindCommand(name, verb) });

export const COMMANDS: Readonly<Record<string, TableEntry>> = {
  run: { group: 'instances', summary: 'Run a command in a new instance.', load: async () => (await import('./commands/run.ts')).run },
  create: { group: 'instances', summary: 'Make an instance without starting it.', load: async () => (await import('./commands/create.ts')).create },
  launch: { group: 'instances', summary: 'Make and start an OS container, or a VM with --vm.', load: async () => (await import('./commands/create.ts')).launch },
  start: lifecycle('Start instances.', 'start'),
  stop: lifecycle('Stop instances.', 'stop'),
  restart: lifecycle('Stop and start instances.', 'restart'),
  pause: lifecycle('Freeze instances.', 'pause'),
  resume: lifecycle('Unfreeze instances.', 'resume'),
  kill: lifecycle('Send a signal to instances.', 'kill'),
  rm: { group: 'instances', summary: 'Delete instances.', load: async () => (await import('./commands/delete.ts')).rm },
  delete: { group: 'instances', summary: 'Delete instances, or what a manifest describes.', load: async () => (await import('./commands/delete.ts')).deleteCommand },
  list: { group: 'instances', summary: 'List instances in every state.', load: async () => (await import('./commands/list.ts')).list },
  ps: { group: 'instances', summary: 'List running instances.', load: async () => (await import('./commands/list.ts')).ps },
  exec: { group: 'instances', summary: 'Run a command inside an instance.', load: async () => (await import('./commands/exec.ts')).exec },
  shell: { group: 'instances', summary: 'Open a shell inside an instance.', load: async () => (await import('./commands/exec.ts')).shell },
  attach: { group: 'instances', summary: 'Connect to the input and output of an instance.', load: async () => (await import('./commands/attach.ts')).attach },
  logs: { group: 'instances', summary: 'Show the output of an instance.', load: async () => (await import('./commands/logs.ts')).logs },
  wait: { group: 'instances', summary: 'Wait until instances end, and print their exit codes.', load: async () => (await import('./commands/wait.ts')).wait },
  rename: { group: 'instances', summary: 'Give an instance another name.', load: async () => (await import('./commands/rename.ts')).rename },
  update: { group: 'instances', summary: 'Change the spec of an instance.', load: async () => (await import('./commands/update.ts')).update },
  why: { group: 'instances', summary: 'Say why an instance is in the state that it is in.', load: async () => (await import('./commands/why.ts')).why },
  get: { group: 'kinds', summary: 'Show one object of any kind, or all of a kind.', load: async () => (await import('./commands/get.ts')).get },
  describe: { group: 'kinds', summary: 'Show one object for people, with its latest events.', load: async () => (await import('./commands/describe.ts')).describe },
  explain: { group: 'kinds', summary: 'Say what a kind, a field or a state means.', load: async () => (await import('./commands/explain.ts')).explain },
  image: kind('Images: bootstrap, import, export, tag …', 'image', ['list', 'get', 'bootstrap', 'import', 'export', 'tag', 'history', 'delete']),
  volume: kind('Volumes: data that outlives instances.', 'volume', ['list', 'get', 'create', 'delete']),
  network: kind('Networks: addresses, names and rules.', 'network', ['list', 'get', 'create', 'delete']),
  project: kind('Projects: names, quotas and rights.', 'project', ['list', 'get', 'create', 'update', 'delete']),
  pool: kind('Pools: where disks lie.', 'pool', ['list', 'get']),
  node: kind('Nodes: the hosts.', 'node', ['list', 'get']),
  operation: kind('Operations: long verbs at work.', 'operation', ['list', 'get', 'wait', 'cancel']),
  apply: { group: 'manifests', summary: 'Make what a manifest describes, and change what differs.', load: async () => (await import('./commands/apply.ts')).apply },
  events: { group: 'other', summary: 'Show or follow what happens.', load: async () => (await import('./commands/events.ts')).events },
  audit: { group: 'other', summary: 'Show who did what.', load: async () => (await import('./commands/events.ts')).audit },
  debug: { group: 'other', summary: 'Look behind the scenes: leaks, steps.', verbs: ['leaks', 'steps'], load: async (verb) => (await import('./commands/debug.ts')).debugCommand(verb) },
  completion: { group: 'other', summary: 'Print a completion script for bash, zsh or fish.', load: async () => (await import('./commands/completion.ts')).completion },
  version: { group: 'other', summary: 'Show the version.', load: async () => (await import('./commands/version.ts')).version },
  help: { group: 'other', summary: 'Show help for a command.', load: async () => (await import('./help.ts')).help },
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
  images: 'image list', rmi: 'image delete', load: 'image import', save: 'image export', tag: 'image tag', history: 'image history', inspect: 'get instance NAME -o json', ls: 'list',
  unpause: 'resume', freeze: 'pause', unfreeze: 'resume', info: 'get instance NAME', networks: 'network list', volumes: 'volume list', top: 'list -o wide', log: 'logs', console: 'attach', bash: 'shell', sh: 'shell', edit: 'apply -f FILE', patch: 'update',
};

/** Of the design, and not in this version. */
const LATER: Readonly<Record<string, string>> = {
  pull: 'registries come later', push: 'registries come later', login: 'registries come later', build: 'building images comes later', cp: 'copying files comes later', stats: 'live statistics come later',
  snapshot: 'snapshots come later', copy: 'copies come later', export: 'backups come later', import: 'backups come later', convert: 'the change of form comes later', plan: 'plans come later',
  advise: 'the decision engine comes later', recover: 'the recovery of a lost store comes later', remote: 'remote daemons come later', compose: 'compose files come later',
};

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
  if (name === '--help' || name === '-h') return { ...globals, rest: [], load: () => COMMANDS['help']!.load('') };
  if (name === '--version' || name === '-v') return { ...globals, rest, load: () => COMMANDS['version']!.load('') };
  const entry = Object.hasOwn(COMMANDS, name) ? COMMANDS[name]! : undefined;
  if (entry === undefined) throw unknownCommand(name);
  if (entry.verbs === undefined) return { ...globals, rest, load: () => entry.load('') };
  const [verb, ...afterVerb] = rest;
  if (verb === undefined || verb === '--help' || verb === '-h') return { ...globals, rest: [name], load: () => COMMANDS['help']!.load('') };
  const known = verbOf(name, entry, verb);
  return { ...globals, rest: afterVerb, load: () => entry.load(known) };
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
