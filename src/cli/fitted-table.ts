/** Tables of objects that fit the terminal: before cells are cut, columns say the same in fewer words or go, in an order of their own. */
import { displayWidth, textTable } from '../lib/text-table.ts';
import type { ViewColumn } from './views.ts';

/** Without a width nothing gives way. */
export function fittedTable<T>(columns: readonly ViewColumn<T>[], items: readonly T[], width: number | undefined): string {
  let shown = columns.filter((column) => column.ifAny !== true || items.some((item) => column.cell(item) !== '-'));
  const draw = (limit?: number): string => textTable(shown.map(({ title, align }) => ({ title, ...(align === undefined ? {} : { align }) })), items.map((item) => shown.map((column) => column.cell(item))), limit === undefined ? {} : { width: limit });
  const isTooWide = (): boolean => width !== undefined && draw().split('\n').some((line) => displayWidth(line) > width);
  for (const column of columns.filter((one) => one.gives !== undefined).toSorted((a, b) => a.gives!.order - b.gives!.order)) {
    if (!isTooWide()) break;
    const cell = column.gives!.cell;
    shown = cell === undefined ? shown.filter((one) => one !== column) : shown.map((one) => (one === column ? { ...one, cell } : one));
  }
  return draw(width);
}
