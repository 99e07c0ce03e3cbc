/** `berth apply -f FILE`. */
import type { Command } from '../command.ts';
import { applyManifests } from '../manifest-apply.ts';
import { NO_WAIT } from '../operation.ts';

export const apply: Command = {
  name: 'apply',
  summary: 'Make what a manifest describes, and change what differs.',
  usage: '-f FILE [-f FILE…]',
  flags: [{ name: 'file', short: 'f', value: 'FILE', repeat: true, help: 'YAML or JSON, several documents with --- between them; - is standard input.', also: ['filename'] }, NO_WAIT],
  words: { min: 0, max: 0 },
  notes: ['A manifest is the whole wish: a field of spec that is not in it is unset, except `running`. Prints a line an object: created, updated, unchanged.'],
  run: applyManifests,
};
