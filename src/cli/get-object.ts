/** One object of any kind. Images are found by reference, events and records of the audit only in their lists. */
import type { Client } from '../client/client.ts';
import { BerthError } from '../model/errors.ts';
import { printable } from '../model/ids.ts';
import type { BerthObject } from '../model/meta.ts';
import type { KindEntry } from './generated/kind-table.ts';

export async function getObject(client: Client, kind: KindEntry, name: string): Promise<BerthObject> {
  if (kind.kind === 'Image') return client.call('image.get', { query: { reference: name } });
  if (kind.verbs.includes('get')) return client.call(`${kind.singular}.get` as 'instance.get', { name });
  const { items } = await client.call(`${kind.singular}.list` as 'event.list');
  const found = items.find((one) => one.meta.name === name);
  if (found === undefined) throw new BerthError('notFound', `There is no ${kind.singular} '${printable(name)}'.`, { hint: `\`berth get ${kind.singular}\` lists them.` });
  return found;
}
