/** How objects are written: table, wide, json, yaml, name. Standard output carries data only. */
import { nearest } from '../lib/nearest.ts';
import { terminalSafeLine } from '../lib/terminal-safe.ts';
import { BerthError } from '../model/errors.ts';
import { printable } from '../model/ids.ts';
import type { BerthObject } from '../model/meta.ts';
import type { Context, Flag } from './command.ts';
import { fittedTable } from './fitted-table.ts';
import { paint } from './paint.ts';
import type { View } from './views.ts';
import type { Words } from './words.ts';

export const FORMATS = ['table', 'wide', 'json', 'yaml', 'name'] as const;
export type Format = (typeof FORMATS)[number];

export const OUTPUT: Flag = { name: 'output', short: 'o', value: FORMATS.join('|'), help: 'How to write it.' };

export function formatOf(words: Words, missing: Format = 'table'): Format {
  const text = words.text('output');
  return text === undefined ? (words.on('quiet') ? 'name' : missing) : oneFormat(text, FORMATS);
}

/** Of a command whose answer is no list of objects. @throws BerthError `invalid` for a format that is not among them. */
export function oneFormat<F extends string>(text: string, formats: readonly F[]): F {
  const format = formats.find((one) => one === text);
  if (format !== undefined) return format;
  const meant = nearest(text, formats);
  throw new BerthError('invalid', `-o ${printable(text)}: there is no such format.`, { hint: `${meant === undefined ? '' : `Did you mean ${meant}? `}There are ${formats.join(', ')}.` });
}

/** Of a command that writes JSON or, when nothing else is said, `plain`. @throws BerthError `invalid` for another word. */
export function wantsJson(words: Words, plain: 'table' | 'text' = 'table'): boolean {
  return oneFormat(words.text('output') ?? plain, [plain, 'json']) === 'json';
}

/** A list: json and yaml are an array; name is KIND/NAME lines. */
export async function writeList(context: Context, items: readonly BerthObject[], view: View, format: Format): Promise<void> {
  if (format === 'json') return context.stdio.out(`${JSON.stringify(items, undefined, 2)}\n`);
  if (format === 'yaml') return context.stdio.out(await yamlText(items));
  if (format === 'name') return items.length === 0 ? undefined : context.stdio.out(items.map((item) => `${view.singular}/${terminalSafeLine(item.meta.name)}\n`).join(''));
  return context.stdio.out(await tableText(context, items, view, format === 'wide'));
}

export async function writeObject(context: Context, item: BerthObject, view: View, format: Format): Promise<void> {
  if (format === 'json') return context.stdio.out(`${JSON.stringify(item, undefined, 2)}\n`);
  if (format === 'yaml') return context.stdio.out(await yamlText(item));
  return writeList(context, [item], view, format);
}

export async function yamlText(value: unknown): Promise<string> {
  const { stringify } = await import('yaml');
  return stringify(value, { lineWidth: 0, aliasDuplicateObjects: false });
}

export async function tableText(context: Context, items: readonly BerthObject[], view: View, wide: boolean): Promise<string> {
  const columns = view.columns.filter((column) => wide || column.wide !== true);
  const text = fittedTable(columns, items, wide ? undefined : await terminalWidth(context));
  const paints = await paint(1, context.stdio, context.env);
  const end = text.indexOf('\n');
  return paints.bold(text.slice(0, end)) + text.slice(end);
}

/** Of COLUMNS or of the terminal; undefined where the output goes elsewhere: nothing is cut then. */
export async function terminalWidth({ stdio, env }: Pick<Context, 'stdio' | 'env'>): Promise<number | undefined> {
  const columns = Number(env['COLUMNS']);
  if (Number.isInteger(columns) && columns > 0) return Math.max(20, columns);
  return (await stdio.size())?.columns;
}
