/** `berth get KIND [NAME]`. */
import type { Command } from '../command.ts';
import { daemonClient } from '../daemon-client.ts';
import { getObject } from '../get-object.ts';
import { kindOf } from '../kind-words.ts';
import { LIST_FLAGS, listKind } from '../listing.ts';
import { formatOf, writeObject } from '../output.ts';
import { VIEWS } from '../views.ts';

export const get: Command = {
  name: 'get',
  summary: 'Show one object of any kind, or all of a kind.',
  usage: 'KIND [NAME] [-o table|wide|json|yaml|name]',
  flags: LIST_FLAGS,
  words: { min: 1, max: 2 },
  async run(context, words) {
    const [kindWord = '', slashed] = words.words[0]!.split('/', 2);
    const kind = kindOf(kindWord);
    const name = words.words[1] ?? slashed;
    const client = daemonClient(context);
    if (name === undefined) return listKind(context, client, kind, words);
    const format = formatOf(words);
    await writeObject(context, await getObject(client, kind, name), VIEWS[kind.kind]!, format);
    return 0;
  },
};
