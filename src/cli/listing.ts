/** Lists of any kind, once or as they change. */
import type { Client } from '../client/client.ts';
import { problemError } from '../client/problem.ts';
import { terminalSafeLine } from '../lib/terminal-safe.ts';
import { BerthError } from '../model/errors.ts';
import type { BerthObject } from '../model/meta.ts';
import type { VerbName } from '../model/verbs.ts';
import type { Context, Flag } from './command.ts';
import type { KindEntry } from './generated/kind-table.ts';
import { formatOf, OUTPUT, tableText, writeList, yamlText, type Format } from './output.ts';
import { VIEWS, type View } from './views.ts';
import type { Words } from './words.ts';

export const LIST_FLAGS: readonly Flag[] = [
  OUTPUT,
  { name: 'quiet', short: 'q', help: 'Names only.' },
  { name: 'filter', short: 'f', value: 'KEY=VALUE', repeat: true, help: 'Only what matches: name, state, form, label, image, network, volume …' },
  { name: 'all-projects', short: 'A', help: 'Of all projects.' },
  { name: 'watch', help: 'Stay, and write every change.' },
];

interface ListAnswer {
  readonly revision: number;
  readonly items: readonly BerthObject[];
}

export async function listKind(context: Context, client: Client, kind: KindEntry, words: Words, more: { readonly keep?: (item: BerthObject) => boolean; readonly view?: () => Promise<View>; readonly query?: Readonly<Record<string, string | number>> } = {}): Promise<number> {
  const { keep = () => true, query = {} } = more;
  const format = formatOf(words);
  const verb = `${kind.singular}.list` as 'instance.list';
  const input = { project: words.on('all-projects') ? '-' : undefined, query: { ...query, filter: words.all('filter') } };
  if (words.on('watch')) return watchKind(context, client, kind, { verb, input, keep, format });
  const { items } = (await client.call(verb, input)) as ListAnswer;
  const kept = items.filter(keep);
  if (words.on('quiet') && !words.given('output')) await context.stdio.out(kept.map((one) => `${terminalSafeLine(one.meta.name)}\n`).join(''));
  else await writeList(context, kept, (format === 'table' || format === 'wide' ? await more.view?.() : undefined) ?? VIEWS[kind.kind]!, format);
  return 0;
}

interface Watch {
  readonly verb: VerbName;
  readonly input: { readonly project: string | undefined; readonly query: Readonly<Record<string, string | number | readonly string[]>> };
  readonly keep: (item: BerthObject) => boolean;
  readonly format: Format;
}

type Change = { readonly type: 'list'; readonly items: readonly BerthObject[] } | { readonly type: 'put'; readonly object: BerthObject } | { readonly type: 'delete'; readonly key: string } | { readonly type: 'error' };

async function watchKind(context: Context, client: Client, kind: KindEntry, { verb, input, keep, format }: Watch): Promise<number> {
  const known = new Map<string, BerthObject>();
  let isFirst = true;
  for await (const line of client.lines(verb, { ...input, query: { ...input.query, watch: 1 } })) {
    const change = line as Change;
    if (change.type === 'error') throw problemError(change);
    if (change.type === 'delete') {
      await writeDeleted(context, kind, change.key, known, format);
      continue;
    }
    const items = (change.type === 'list' ? change.items : [change.object]).filter(keep);
    for (const item of items) known.set(`${item.meta.project}/${item.meta.name}`, item);
    await writeChanged(context, kind, items, format, isFirst);
    isFirst = false;
  }
  throw new BerthError('unavailable', 'The daemon ended the watch.', { hint: 'Start it again: it begins with the whole list.' });
}

async function writeChanged(context: Context, kind: KindEntry, items: readonly BerthObject[], format: Format, withTitles: boolean): Promise<void> {
  const view = VIEWS[kind.kind]!;
  if (format === 'json') return context.stdio.out(items.map((item) => `${JSON.stringify(item)}\n`).join(''));
  if (format === 'yaml') {
    for (const item of items) await context.stdio.out(`---\n${await yamlText(item)}`);
    return undefined;
  }
  if (format === 'name') return writeList(context, items, view, format);
  if (items.length === 0 && !withTitles) return undefined;
  const text = await tableText(context, items, view, format === 'wide');
  return context.stdio.out(withTitles ? text : text.slice(text.indexOf('\n') + 1));
}

async function writeDeleted(context: Context, kind: KindEntry, key: string, known: Map<string, BerthObject>, format: Format): Promise<void> {
  const name = key.split('/').at(-1) ?? '';
  for (const [path, item] of known) {
    if (item.meta.name !== name && path !== key) continue;
    known.delete(path);
    if (format === 'json') return context.stdio.out(`${JSON.stringify({ deleted: true, kind: kind.kind, meta: item.meta })}\n`);
    if (format === 'table' || format === 'wide') return context.stdio.out(`${terminalSafeLine(item.meta.name)}  deleted\n`);
  }
  return undefined;
}
