/** `berth events` and `berth audit`. */
import type { Command } from '../command.ts';
import { daemonClient } from '../daemon-client.ts';
import { integerValue } from '../instance-values.ts';
import { kindOf } from '../kind-words.ts';
import { LIST_FLAGS, listKind } from '../listing.ts';
import type { Words } from '../words.ts';

const LIMIT = { name: 'limit', short: 'n', value: 'N', help: 'Only the newest.' } as const;

function query(words: Words): Readonly<Record<string, number>> {
  const limit = words.text('limit');
  return limit === undefined ? {} : { limit: integerValue('limit', limit) };
}

export const events: Command = {
  name: 'events',
  summary: 'Show or follow what happens.',
  usage: '[flags]',
  flags: [...LIST_FLAGS.filter((flag) => flag.name !== 'watch' && flag.name !== 'quiet'), { name: 'watch', also: ['follow'], help: 'Stay, and write every event as it happens.' }, LIMIT],
  words: { min: 0, max: 0 },
  notes: ['Filters: target=NAME, type=instance. (a beginning of a type).'],
  run: (context, words) => listKind(context, daemonClient(context), kindOf('event'), words, { query: query(words) }),
};

export const audit: Command = {
  name: 'audit',
  summary: 'Show who did what.',
  usage: '[flags]',
  flags: [...LIST_FLAGS.filter((flag) => flag.name !== 'watch' && flag.name !== 'quiet'), LIMIT],
  words: { min: 0, max: 0 },
  run: (context, words) => listKind(context, daemonClient(context), kindOf('audit'), words, { query: query(words) }),
};
