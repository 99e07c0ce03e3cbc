/** `berth attach`: the input and output of what runs; `berth console`: the same, by its name for systems. */
import { hasTerminal } from '../../model/instance-status.ts';
import type { Command, Context } from '../command.ts';
import { daemonClient } from '../daemon-client.ts';
import { DEFAULT_DETACH_KEYS, detachKeys } from '../detach-keys.ts';
import { writeAnswer } from '../output-file.ts';
import { converse } from '../session.ts';
import type { Words } from '../words.ts';
import { DETACH_KEYS } from './run.ts';

export const attach: Command = {
  name: 'attach',
  summary: 'Connect to the input and output of an instance.',
  usage: '[flags] NAME',
  flags: [{ name: 'no-stdin', help: 'Only watch: pass no input on.' }, DETACH_KEYS],
  words: { min: 1, max: 1 },
  runsCommand: true,
  notes: [`On a terminal, ${DEFAULT_DETACH_KEYS} leaves and the instance goes on.`],
  run: connect,
};

export const consoleCommand: Command = {
  ...attach,
  name: 'console',
  summary: 'Connect to the console of a system, to log in; or take a picture of its screen.',
  flags: [...attach.flags, { name: 'screenshot', value: 'FILE|-', help: 'Write what a VM of a disk image shows on its screen, as PNG.' }],
  run: async (context, words) => (words.text('screenshot') === undefined ? connect(context, words) : takePicture(context, words.words[0]!, words.text('screenshot')!)),
};

async function takePicture(context: Context, name: string, file: string): Promise<number> {
  await writeAnswer(context, file, 'A picture', () => daemonClient(context).open('instance.screenshot', { name }));
  return 0;
}

async function connect(context: Context, words: Words): Promise<number> {
  const client = daemonClient(context);
  const name = words.words[0]!;
  const instance = await client.call('instance.get', { name });
  const system = instance.status.mode === 'os';
  const stdin = (instance.spec.stdin === true || system) && !words.on('no-stdin');
  const terminal = hasTerminal(instance);
  const keys = terminal ? detachKeys(words.text('detach-keys') ?? DEFAULT_DETACH_KEYS) : undefined;
  const size = terminal ? await context.stdio.size() : undefined;
  const stream = await client.stream('instance.attach', { name }, { stdin, ...(size === undefined ? {} : { size }) });
  const end = await converse(context, stream, { stdin, terminal, detachKeys: keys, leaveOnSignal: system });
  return end.kind === 'exit' ? end.exit.exitCode : 0;
}
