/** `berth rm [-f] NAME…`, `berth delete [--force] NAME…` and `berth delete -f FILE`: there -f is always a file. */
import type { Client } from '../../client/client.ts';
import { BerthError } from '../../model/errors.ts';
import type { Command, Context } from '../command.ts';
import { daemonClient } from '../daemon-client.ts';
import { eachName } from '../each-name.ts';
import { deleteManifests } from '../manifest-apply.ts';
import { longVerb, NO_WAIT } from '../operation.ts';
import type { Words } from '../words.ts';

const FORCE_HELP = 'Kill it first when it runs.';

export const rm: Command = {
  name: 'rm',
  summary: 'Delete instances.',
  usage: '[-f|--force] NAME…',
  flags: [{ name: 'force', short: 'f', help: FORCE_HELP }, NO_WAIT],
  words: { min: 1 },
  run: (context, words) => deleteInstances(context, words),
};

export const deleteCommand: Command = {
  name: 'delete',
  summary: 'Delete instances, or what a manifest describes.',
  usage: '[--force] NAME… | -f FILE',
  flags: [{ name: 'force', help: FORCE_HELP }, { name: 'file', short: 'f', value: 'FILE', repeat: true, help: 'Delete what this manifest describes; - is standard input.', also: ['filename'] }, NO_WAIT],
  words: { min: 0 },
  async run(context, words) {
    if (!words.given('file')) {
      if (words.words.length === 0) throw new BerthError('invalid', 'Say what to delete: berth delete NAME… or berth delete -f FILE.');
      return deleteInstances(context, words);
    }
    if (words.words.length > 0) throw new BerthError('invalid', 'Give either names or -f FILE.', { hint: 'To delete a running instance: berth delete --force NAME.' });
    return deleteManifests(context, words);
  },
};

function deleteInstances(context: Context, words: Words): Promise<number> {
  const client = daemonClient(context);
  return eachName(context, words.words, async (name) => {
    if (await deleteInstance(context, client, name, words)) await context.stdio.out(`${name}\n`);
  });
}

/** Answers false when nobody waited for the end. */
export async function deleteInstance(context: Context, client: Client, name: string, words: Words): Promise<boolean> {
  return (await longVerb(context, client, 'instance.delete', { name, query: words.on('force') ? { force: 1 } : {} }, words)) !== undefined;
}
