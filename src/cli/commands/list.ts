/** `berth list` and `berth ps`. */
import type { Instance } from '../../model/instance-status.ts';
import type { Command, Flag } from '../command.ts';
import { daemonClient } from '../daemon-client.ts';
import { kindOf } from '../kind-words.ts';
import { LIST_FLAGS, listKind } from '../listing.ts';

const ALL: Flag = { name: 'all', short: 'a', help: 'In every state.' };
/** What docker calls running: there is a process. */
const UP: ReadonlySet<string> = new Set(['starting', 'running', 'paused', 'stopping', 'unsupervised', 'backoff']);

export const list: Command = {
  name: 'list',
  summary: 'List instances in every state.',
  usage: '[flags]',
  flags: [ALL, ...LIST_FLAGS],
  words: { min: 0, max: 0 },
  run: (context, words) => listKind(context, daemonClient(context), kindOf('instance'), words),
};

export const ps: Command = {
  name: 'ps',
  summary: 'List running instances.',
  usage: '[flags]',
  flags: [ALL, ...LIST_FLAGS],
  words: { min: 0, max: 0 },
  run: (context, words) => listKind(context, daemonClient(context), kindOf('instance'), words, words.on('all') ? {} : { keep: (one) => UP.has((one as Instance).status.state) }),
};
