/** Kinds as people write them: `instance`, `instances`, `Instance`. */
import { nearest } from '../lib/nearest.ts';
import { BerthError } from '../model/errors.ts';
import { printable } from '../model/ids.ts';
import { KIND_TABLE, type KindEntry } from './generated/kind-table.ts';

/** @throws BerthError `invalid` with the nearest known kind. */
export function kindOf(word: string): KindEntry {
  const lower = word.toLowerCase();
  const all = Object.values(KIND_TABLE);
  const found = all.find((one) => one.singular === lower || one.plural === lower || one.kind.toLowerCase() === lower);
  if (found !== undefined) return found;
  const meant = nearest(lower, all.map((one) => one.singular));
  throw new BerthError('invalid', `There is no kind '${printable(word)}'.`, { hint: `${meant === undefined ? '' : `Did you mean ${meant}? `}There are ${all.map((one) => one.singular).join(', ')}.` });
}
