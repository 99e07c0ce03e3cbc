/** `berth operation wait` and `cancel`. */
import type { Command } from '../command.ts';
import { daemonClient } from '../daemon-client.ts';
import { eachName } from '../each-name.ts';
import { finish } from '../operation.ts';

export function operationCommand(verb: 'wait' | 'cancel'): Command {
  return {
    name: `operation ${verb}`,
    summary: verb === 'wait' ? 'Wait until operations are finished.' : 'Undo what operations did so far.',
    usage: 'NAME…',
    flags: [],
    words: { min: 1 },
    async run(context, words) {
      const client = daemonClient(context);
      return eachName(context, words.words, async (name) => {
        if (verb === 'cancel') await client.call('operation.cancel', { name });
        else await finish(context, client, await client.call('operation.get', { name }));
        await context.stdio.out(`${name}\n`);
      });
    },
  };
}
