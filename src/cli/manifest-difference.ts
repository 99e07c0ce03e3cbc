/** What must change for an object to be as its manifest says: a merge patch. */
import type { FieldEntry } from './field-entry.ts';

type Fields = Readonly<Record<string, unknown>>;

/** People and verbs change these; a manifest that is silent about them leaves them alone. */
const LEFT_ALONE = new Set(['running']);
const PATCHED_META = ['labels', 'owner', 'purpose'];

/** Of spec: undefined when nothing differs. Fields that the manifest does not have are unset, unless they hold their default. */
export function specPatch(wish: Fields, current: Fields, fields: readonly FieldEntry[]): Fields | undefined {
  const patch: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(wish)) {
    const defaults = fields.find((one) => one.path === name)?.defaults ?? {};
    if (!sameWish(value, current[name], defaults, '')) patch[name] = replacing(value, current[name]);
  }
  for (const [name, value] of Object.entries(current)) {
    if (Object.hasOwn(wish, name) || LEFT_ALONE.has(name) || value === undefined || value === null) continue;
    const defaults = fields.find((one) => one.path === name)?.defaults;
    if (defaults === undefined || !isEqual(value, defaults[''])) patch[name] = null;
  }
  return Object.keys(patch).length === 0 ? undefined : patch;
}

export function metaPatch(wish: Fields, current: Fields): Fields | undefined {
  const patch: Record<string, unknown> = {};
  for (const name of PATCHED_META) {
    if (isEqual(wish[name], current[name]) || (name === 'labels' && isEqual(wish[name] ?? {}, current[name] ?? {}))) continue;
    patch[name] = wish[name] === undefined ? null : replacing(wish[name], current[name]);
  }
  return Object.keys(patch).length === 0 ? undefined : patch;
}

/** A merge patch would keep members that the wish does not have: they are unset by name. */
function replacing(wish: unknown, current: unknown): unknown {
  if (!isFields(wish) || !isFields(current)) return wish;
  const gone = Object.keys(current).filter((name) => !Object.hasOwn(wish, name)).map((name) => [name, null] as const);
  return { ...Object.fromEntries(Object.entries(wish).map(([name, value]) => [name, replacing(value, current[name])])), ...Object.fromEntries(gone) };
}

/** Equal once the daemon's defaults are filled in; `path` leads into `defaults`, lists do not add to it. */
function sameWish(wish: unknown, current: unknown, defaults: Fields, path: string): boolean {
  if (Array.isArray(wish) && Array.isArray(current)) return wish.length === current.length && wish.every((one, at) => sameWish(one, current[at], defaults, path));
  if (!isFields(wish) || !isFields(current)) return isEqual(wish, current);
  return [...new Set([...Object.keys(wish), ...Object.keys(current)])].every((name) => {
    const inner = path === '' ? name : `${path}.${name}`;
    const wished = Object.hasOwn(wish, name) ? wish[name] : defaults[inner];
    return sameWish(wished, current[name], defaults, inner);
  });
}

export function isEqual(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((one, at) => isEqual(one, b[at]));
  if (!isFields(a) || !isFields(b)) return false;
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every((name) => Object.hasOwn(b, name) && isEqual(a[name], b[name]));
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
