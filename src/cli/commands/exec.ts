/** `berth exec` and `berth shell`. */
import type { ExecRequest } from '../../model/routes.ts';
import type { Command, Context, Flag } from '../command.ts';
import { daemonClient } from '../daemon-client.ts';
import { DEFAULT_DETACH_KEYS, detachKeys } from '../detach-keys.ts';
import { readTextFile } from '../input-file.ts';
import { environmentLines, environmentPairs } from '../instance-values.ts';
import { converse } from '../session.ts';
import type { Words } from '../words.ts';
import { DETACH_KEYS } from './run.ts';

const WHERE: readonly Flag[] = [
  { name: 'env', short: 'e', value: 'NAME[=VALUE]', repeat: true, help: 'Environment of the command.' },
  { name: 'env-file', value: 'FILE', repeat: true, help: 'Environment from a file of NAME=VALUE lines.' },
  { name: 'user', short: 'u', value: 'USER[:GROUP]', help: 'User of the command.' },
  { name: 'workdir', short: 'w', value: 'DIR', help: 'Where the command starts.' },
];

export const exec: Command = {
  name: 'exec',
  summary: 'Run a command inside an instance.',
  usage: '[flags] NAME [--] COMMAND…',
  flags: [
    { name: 'interactive', short: 'i', help: 'Pass standard input on.' },
    { name: 'tty', short: 't', help: 'Give the command a terminal.' },
    ...WHERE, DETACH_KEYS,
  ],
  words: { min: 2 },
  passAfter: 1,
  dropSeparator: true,
  runsCommand: true,
  async run(context, words) {
    const [name = '', ...command] = words.words;
    return execute(context, words, name, { command, stdin: words.on('interactive'), terminal: words.on('tty') });
  },
};

/** The best shell that is there, as a login shell would be. */
const SHELL = ['/bin/sh', '-c', 'if [ -x /bin/bash ]; then exec /bin/bash -l; fi; exec /bin/sh -l'];

export const shell: Command = {
  name: 'shell',
  summary: 'Open a shell inside an instance.',
  usage: '[flags] NAME',
  flags: [...WHERE, DETACH_KEYS],
  words: { min: 1, max: 1 },
  runsCommand: true,
  async run(context, words) {
    return execute(context, words, words.words[0]!, { command: [...SHELL], stdin: true, terminal: await context.stdio.isTerminal(0) });
  },
};

async function execute(context: Context, words: Words, name: string, what: Pick<ExecRequest, 'command' | 'stdin' | 'terminal'>): Promise<number> {
  const env: Record<string, string> = {};
  for (const file of words.all('env-file')) Object.assign(env, environmentPairs('env-file', environmentLines(await readTextFile(file, context.stdio)), context.env));
  Object.assign(env, environmentPairs('env', words.all('env'), context.env));
  const terminal = what.terminal === true;
  const keys = terminal ? detachKeys(words.text('detach-keys') ?? DEFAULT_DETACH_KEYS) : undefined;
  const size = terminal ? await context.stdio.size() : undefined;
  const user = words.text('user');
  const workdir = words.text('workdir');
  const request: ExecRequest = {
    ...what,
    ...(terminal && env['TERM'] === undefined && context.env['TERM'] !== undefined ? { env: { TERM: context.env['TERM'], ...env } } : Object.keys(env).length === 0 ? {} : { env }),
    ...(user === undefined ? {} : { user }), ...(workdir === undefined ? {} : { workdir }), ...(size === undefined ? {} : { size }),
  };
  const stream = await daemonClient(context).stream('instance.exec', { name }, request);
  const end = await converse(context, stream, { stdin: what.stdin === true, terminal, detachKeys: keys });
  return end.kind === 'exit' ? end.exit.exitCode : 0;
}
