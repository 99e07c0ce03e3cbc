/**
 * What lists and watches leave out: values of fields with the trait `secret`. One who asks for a single object by its name
 * gets all of it (docs/decisions/0037-secret-fields-in-one-object-only.md).
 */
import { fieldRows } from '../model/define.ts';
import { KINDS, type KindName, type KindRule } from '../model/kinds.ts';
import type { BerthObject } from '../model/meta.ts';

/** Stands for a value. No field takes it, so that a list written back is refused instead of setting or losing something. */
export const HIDDEN = Object.freeze({ hidden: true });

const SECRETS: ReadonlyMap<string, readonly string[]> = new Map((Object.keys(KINDS) as KindName[]).map((kind) => {
  const { spec }: KindRule = KINDS[kind];
  return [kind, spec === undefined ? [] : fieldRows(spec).filter(({ traits }) => traits.secret === true).map(({ path }) => path)];
}));

/** The same object when there is nothing to hide. Names within a secret map stay: they say what is set. */
export function withoutSecrets<T extends BerthObject>(object: T): T {
  const paths = (SECRETS.get(object.kind) ?? []).filter((path) => member(object.spec, path.split('.')) !== undefined);
  if (paths.length === 0) return object;
  const spec = structuredClone(object.spec) as Record<string, unknown>;
  for (const path of paths) {
    const parts = path.split('.');
    const last = parts.pop()!;
    const holder = member(spec, parts) as Record<string, unknown>;
    holder[last] = hidden(holder[last]);
  }
  return { ...object, spec };
}

function hidden(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return HIDDEN;
  return Object.fromEntries(Object.keys(value).map((name) => [name, HIDDEN]));
}

function member(value: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>((inner, name) => (inner as Record<string, unknown> | undefined)?.[name], value);
}
