/** `berth create` and `berth launch`. */
import type { Command } from '../command.ts';
import { createWithImage, PULL_FLAGS } from '../image-first.ts';
import { META_FLAGS, SPEC_FLAGS } from '../instance-flags.ts';
import { NO_WAIT } from '../operation.ts';
import { objectOf } from './run.ts';

export const create: Command = {
  name: 'create',
  summary: 'Make an instance without starting it.',
  usage: '[flags] IMAGE [COMMAND…]',
  flags: [...META_FLAGS, ...SPEC_FLAGS, ...PULL_FLAGS, NO_WAIT],
  words: { min: 1 },
  passAfter: 1,
  async run(context, words) {
    const body = await objectOf(context, words);
    const operation = await createWithImage(context, words, body);
    if (operation !== undefined) await context.stdio.out(`${operation.spec.target.name}\n`);
    return 0;
  },
};

export const launch: Command = {
  name: 'launch',
  summary: 'Make and start an OS container, or a VM with --vm.',
  usage: '[flags] IMAGE [NAME]',
  flags: [...META_FLAGS, ...SPEC_FLAGS, ...PULL_FLAGS, NO_WAIT],
  words: { min: 1, max: 2 },
  async run(context, words) {
    const [image = '', name = words.text('name')] = words.words;
    const made = await objectOf(context, { ...words, words: [image] });
    const body = { meta: { ...made.meta, ...(name === undefined ? {} : { name }) }, spec: { ...made.spec, mode: 'os', running: true } };
    const operation = await createWithImage(context, words, body);
    if (operation !== undefined) await context.stdio.out(`${operation.spec.target.name}\n`);
    return 0;
  },
};
