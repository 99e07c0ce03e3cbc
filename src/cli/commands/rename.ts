/** `berth rename`. */
import type { Command } from '../command.ts';
import { daemonClient } from '../daemon-client.ts';

export const rename: Command = {
  name: 'rename',
  summary: 'Give an instance another name.',
  usage: 'OLD NEW',
  flags: [],
  words: { min: 2, max: 2 },
  async run(context, words) {
    const [name, newName] = words.words as [string, string];
    await daemonClient(context).call('instance.rename', { name, body: { name: newName } });
    await context.stdio.out(`${newName}\n`);
    return 0;
  },
};
