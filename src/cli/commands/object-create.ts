/** create and update of volumes, networks and projects: their flags are the fields of the model. */
import { BerthError } from '../../model/errors.ts';
import type { Client } from '../../client/client.ts';
import type { Command, Context, Flag } from '../command.ts';
import { daemonClient } from '../daemon-client.ts';
import type { FieldEntry } from '../field-entry.ts';
import { FIELD_TABLE } from '../generated/field-table.ts';
import { META_FLAGS, metaOf } from '../instance-flags.ts';
import { bytesValue, integerValue } from '../instance-values.ts';
import { kindOf } from '../kind-words.ts';
import { idempotencyKey, longVerb, NO_WAIT } from '../operation.ts';
import type { Words } from '../words.ts';

export function objectCommand(singular: string, verb: 'create' | 'update'): Command {
  const { kind } = kindOf(singular);
  const fields = FIELD_TABLE[kind]!.filter((field) => field.flag !== undefined && (verb === 'create' || field.change !== 'never'));
  const own = fields.map((field): Flag => ({ name: field.flag!, short: field.short, value: field.value, help: field.describe }));
  const meta = META_FLAGS.filter((flag) => flag.name !== 'name');
  return {
    name: `${singular} ${verb}`,
    summary: verb === 'create' ? `Make a ${singular}.` : `Change a ${singular}.`,
    usage: '[flags] NAME',
    flags: [...own, ...(verb === 'create' ? meta : []), ...(verb === 'create' && singular !== 'project' ? [NO_WAIT] : [])],
    words: { min: 1, max: 1 },
    async run(context, words) {
      const client = daemonClient(context);
      const name = words.words[0]!;
      const spec = Object.fromEntries(fields.filter((field) => words.given(field.flag!)).map((field) => [field.path, fieldValue(field, words)]));
      if (verb === 'update') {
        if (Object.keys(spec).length === 0) throw new BerthError('invalid', 'Say what to change.', { hint: `\`berth ${singular} update --help\` lists the flags.` });
        if (singular === 'project') await client.call('project.update', { name, body: { spec } });
        else await growVolume(context, client, name, spec);
      } else {
        const body = { meta: { ...metaOf(words), name }, spec };
        if (singular === 'project') await client.call('project.create', { body });
        else if ((await longVerb(context, client, `${singular}.create` as 'volume.create', { body, idempotencyKey: idempotencyKey() }, words)) === undefined) return 0;
      }
      await context.stdio.out(`${name}\n`);
      return 0;
    },
  };
}

async function growVolume(context: Context, client: Client, name: string, spec: Readonly<Record<string, unknown>>): Promise<void> {
  await client.call('volume.update', { name, body: { spec } });
  const { items } = await client.call('instance.list', { query: { filter: [`volume=${name}`, 'state=running'] } });
  if (items.length > 0) await context.tell(`berth: ${items.map(({ meta }) => `'${meta.name}'`).join(', ')} will see the new size from the next start on.`);
}

function fieldValue(field: FieldEntry, words: Words): unknown {
  const flag = field.flag!;
  if (field.type === 'boolean') return words.on(flag);
  const text = words.text(flag)!;
  if (field.type !== 'integer' && field.type !== 'number') return text;
  return field.value === 'BYTES' ? bytesValue(flag, text) : integerValue(flag, text);
}
