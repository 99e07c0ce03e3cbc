/** `berth run`: make and start an instance with its input and output here, or in the background. */
import type { InstanceSpec } from '../../model/instance.ts';
import type { Command, Context, Flag } from '../command.ts';
import { daemonClient } from '../daemon-client.ts';
import { DEFAULT_DETACH_KEYS, detachKeys } from '../detach-keys.ts';
import { META_FLAGS, metaOf, SPEC_FLAGS, specOf } from '../instance-flags.ts';
import { createWithImage, PULL_FLAGS, withImage } from '../image-first.ts';
import { NO_WAIT } from '../operation.ts';
import { converse } from '../session.ts';
import type { Words } from '../words.ts';

export const DETACH_KEYS: Flag = { name: 'detach-keys', value: 'KEYS', help: `Keys that leave a terminal session (${DEFAULT_DETACH_KEYS}).` };

export const run: Command = {
  name: 'run',
  summary: 'Run a command in a new instance.',
  usage: '[flags] IMAGE [COMMAND…]',
  flags: [
    { name: 'detach', short: 'd', help: 'Run in the background and print the name.' },
    ...META_FLAGS, ...SPEC_FLAGS, ...PULL_FLAGS, DETACH_KEYS, NO_WAIT,
  ],
  words: { min: 1 },
  passAfter: 1,
  runsCommand: true,
  notes: ['Ends with the exit code of the command; 125 when Berth failed, 126 when the command cannot be run, 127 when there is none.'],
  async run(context, words) {
    const object = await objectOf(context, words);
    return words.on('detach') ? inBackground(context, words, object) : inForeground(context, words, object);
  },
};

export interface NewInstance {
  readonly meta: ReturnType<typeof metaOf>;
  readonly spec: Partial<InstanceSpec>;
}

export async function objectOf(context: Context, words: Words): Promise<NewInstance> {
  const [image = '', ...command] = words.words;
  const spec = await specOf(words, context);
  return { meta: metaOf(words), spec: { ...spec, image, ...(command.length === 0 ? {} : { command }) } };
}

async function inBackground(context: Context, words: Words, object: NewInstance): Promise<number> {
  const body = { ...object, spec: { ...object.spec, mode: 'app' as const, running: true } };
  const operation = await createWithImage(context, words, body);
  if (operation !== undefined) await context.stdio.out(`${operation.spec.target.name}\n`);
  return 0;
}

async function inForeground(context: Context, words: Words, object: NewInstance): Promise<number> {
  const terminal = object.spec.terminal === true;
  const stdin = object.spec.stdin === true;
  const keys = terminal ? detachKeys(words.text('detach-keys') ?? DEFAULT_DETACH_KEYS) : undefined;
  if (terminal && stdin && !(await context.stdio.isTerminal(0))) await context.tell('berth: standard input is not a terminal: -t gives the process one all the same.');
  const size = terminal ? await context.stdio.size() : undefined;
  const end = await withImage(context, words, object.spec.image!, async () => {
    const stream = await daemonClient(context).stream('instance.run', {}, { object, ...(size === undefined ? {} : { size }) });
    return converse(context, stream, { stdin, terminal, detachKeys: keys, inputWhenStarted: true });
  });
  return end.kind === 'exit' ? end.exit.exitCode : 0;
}
