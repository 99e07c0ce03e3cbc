/** `berth volume create`, `berth network list` …: the verbs behind a kind. */
import type { Command } from '../command.ts';
import { daemonClient } from '../daemon-client.ts';
import { eachName } from '../each-name.ts';
import { getObject } from '../get-object.ts';
import { kindOf } from '../kind-words.ts';
import { LIST_FLAGS, listKind } from '../listing.ts';
import { longVerb, NO_WAIT } from '../operation.ts';
import { formatOf, OUTPUT, writeObject } from '../output.ts';
import { VIEWS } from '../views.ts';
import { imageCommand } from './image.ts';
import { objectCommand } from './object-create.ts';
import { operationCommand } from './operation.ts';

/** Which verbs a kind has stands in command-table.ts. */
export function kindCommand(singular: string, verb: string): Command {
  if (singular === 'image') {
    const own = imageCommand(verb);
    if (own !== undefined) return own;
  }
  if (singular === 'operation' && (verb === 'wait' || verb === 'cancel')) return operationCommand(verb);
  if (verb === 'create' || verb === 'update') return objectCommand(singular, verb);
  if (verb === 'list') return listCommand(singular);
  if (verb === 'get') return getCommand(singular);
  return deleteCommand(singular);
}

function listCommand(singular: string): Command {
  const kind = kindOf(singular);
  return {
    name: `${singular} list`, summary: `List ${kind.plural}.`, usage: '[flags]', flags: LIST_FLAGS, words: { min: 0, max: 0 },
    run: (context, words) => listKind(context, daemonClient(context), kind, words),
  };
}

function getCommand(singular: string): Command {
  const kind = kindOf(singular);
  return {
    name: `${singular} get`, summary: `Show one ${singular}.`, usage: 'NAME [-o table|wide|json|yaml|name]', flags: [OUTPUT], words: { min: 1, max: 1 },
    async run(context, words) {
      const format = formatOf(words);
      await writeObject(context, await getObject(daemonClient(context), kind, words.words[0]!), VIEWS[kind.kind]!, format);
      return 0;
    },
  };
}

function deleteCommand(singular: string): Command {
  return {
    name: `${singular} delete`, summary: `Delete ${singular}s.`, usage: 'NAME…', flags: [NO_WAIT], words: { min: 1 },
    async run(context, words) {
      const client = daemonClient(context);
      return eachName(context, words.words, async (name) => {
        if (singular === 'project') await client.call('project.delete', { name });
        else if ((await longVerb(context, client, `${singular}.delete` as 'volume.delete', { name }, words)) === undefined) return;
        await context.stdio.out(`${name}\n`);
      });
    },
  };
}
