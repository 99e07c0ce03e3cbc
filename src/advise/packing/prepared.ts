/** Items as arrays of numbers: merged where they belong together, sorted so that the order of the input cannot matter. */
import { BerthError } from '../../model/errors.ts';
import { printable } from '../../model/ids.ts';
import type { PackingHostType, PackingItem, PackingOptions } from './packing.ts';
import { addResources, fitsWithin, NO_RESOURCES, RESOURCE_LABEL, RESOURCES, usableCapacity, type Resources } from './resources.ts';

export const DIMENSIONS = RESOURCES.length;

export interface PreparedType {
  readonly id: string;
  readonly usable: Resources;
  readonly capacity: readonly number[];
  readonly cost: number;
}

/** Items that are alike in everything but their ids are one class. */
export interface Prepared {
  readonly types: readonly PreparedType[];
  readonly classes: number;
  /** One of class c takes sizes[c × DIMENSIONS + r]. */
  readonly sizes: Float64Array;
  /** How many there are of each class. */
  readonly counts: Int32Array;
  /** For each of them, the ids of the input that it stands for. */
  readonly members: readonly (readonly (readonly string[])[])[];
  /** Numbers of labels; one shared empty array where there are none. */
  readonly labels: readonly (readonly number[])[];
  readonly apart: readonly (readonly number[])[];
  readonly labelCount: number;
  /** Types (numbers) that may have it and are large enough. */
  readonly allowed: readonly (readonly number[])[];
  readonly unplaced: readonly { readonly id: string; readonly reason: string }[];
}

interface Unit {
  readonly ids: readonly string[];
  readonly size: Resources;
  readonly labels: readonly string[];
  readonly apart: readonly string[];
  readonly hostTypes: readonly string[] | undefined;
}

const NONE: readonly never[] = [];

export function prepare(items: readonly PackingItem[], hostTypes: readonly PackingHostType[], options: PackingOptions): Prepared {
  const types = preparedTypes(hostTypes, options);
  const unplaced: { id: string; reason: string }[] = [];
  const placeable: { unit: Unit; allowed: number[]; key: string }[] = [];
  for (const unit of units(items, unplaced)) {
    const allowed = types.flatMap((type, at) => ((unit.hostTypes === undefined || unit.hostTypes.includes(type.id)) && fitsWithin(unit.size, type.usable) ? [at] : []));
    if (allowed.length > 0) {
      const key = JSON.stringify([RESOURCES.map((resource) => unit.size[resource]), unit.labels, unit.apart, allowed]);
      placeable.push({ unit, allowed, key });
    } else {
      const reason = noRoom(unit, types);
      for (const id of unit.ids) unplaced.push({ id, reason });
    }
  }
  placeable.sort((a, b) => order(a.key, b.key) || order(a.unit.ids[0]!, b.unit.ids[0]!));
  const firsts = placeable.filter(({ key }, at) => at === 0 || placeable[at - 1]!.key !== key);
  const members: (readonly string[])[][] = [];
  for (const [at, { unit, key }] of placeable.entries()) {
    if (at > 0 && placeable[at - 1]!.key === key) members.at(-1)!.push(unit.ids);
    else members.push([unit.ids]);
  }
  const numbers = new Map<string, number>();
  const numbered = (words: readonly string[]): readonly number[] => words.length === 0 ? NONE : words.map((word) => {
    const known = numbers.get(word);
    if (known !== undefined) return known;
    numbers.set(word, numbers.size);
    return numbers.size - 1;
  });
  const labels = firsts.map(({ unit }) => numbered(unit.labels));
  const apart = firsts.map(({ unit }) => numbered(unit.apart));
  return {
    types, classes: firsts.length, members, labels, apart, labelCount: numbers.size,
    sizes: Float64Array.from(firsts.flatMap(({ unit }) => RESOURCES.map((resource) => unit.size[resource]))),
    counts: Int32Array.from(members, (list) => list.length),
    allowed: firsts.map(({ allowed }) => allowed),
    unplaced: unplaced.toSorted((a, b) => order(a.id, b.id)),
  };
}

function preparedTypes(hostTypes: readonly PackingHostType[], options: PackingOptions): PreparedType[] {
  if (hostTypes.length === 0) throw new BerthError('invalid', 'There is no host type to pack onto.', { hint: 'The price file lists host types.' });
  const types = hostTypes.map((type) => {
    const usable = usableCapacity(type.capacity, options);
    // A type without a price must still cost something, or as many as anybody likes would be the best answer.
    return { id: type.id, usable, capacity: RESOURCES.map((resource) => usable[resource]), cost: Math.max(1, type.cost) };
  }).sort((a, b) => a.cost - b.cost || order(a.id, b.id));
  const twice = types.find((type, at) => types.findIndex((other) => other.id === type.id) !== at);
  if (twice !== undefined) throw new BerthError('invalid', `The host type '${printable(twice.id)}' is listed twice.`);
  return types;
}

function units(items: readonly PackingItem[], unplaced: { id: string; reason: string }[]): Unit[] {
  const seen = new Set<string>();
  const groups = new Map<string, PackingItem[]>();
  const found: Unit[] = [];
  for (const item of items.toSorted((a, b) => order(a.id, b.id))) {
    if (seen.has(item.id)) throw new BerthError('invalid', `The item '${printable(item.id)}' is there twice.`);
    seen.add(item.id);
    for (const resource of RESOURCES) {
      const value = item.size[resource];
      if (!Number.isSafeInteger(value) || value < 0) throw new BerthError('invalid', `The size of '${printable(item.id)}' has ${RESOURCE_LABEL[resource]} ${value}, which is no whole number of at least 0.`);
    }
    if (item.together === undefined) found.push(unitOf([item]));
    else if (groups.get(item.together)?.push(item) === undefined) groups.set(item.together, [item]);
  }
  for (const [key, members] of groups) {
    const clash = clashWithin(members);
    if (clash === undefined) found.push(unitOf(members));
    else for (const { id } of members) unplaced.push({ id, reason: `the group '${printable(key)}' must lie on one host, but its members keep apart from '${printable(clash)}'` });
  }
  return found;
}

function unitOf(members: readonly PackingItem[]): Unit {
  const sorted = (words: readonly (readonly string[] | undefined)[]): readonly string[] => [...new Set(words.flatMap((list) => list ?? []))].toSorted(order);
  const lists = members.flatMap(({ hostTypes }) => (hostTypes === undefined ? [] : [hostTypes]));
  return {
    ids: members.map(({ id }) => id).toSorted(order),
    size: members.reduce((sum, { size }) => addResources(sum, size), NO_RESOURCES),
    labels: sorted(members.map(({ labels }) => labels)), apart: sorted(members.map(({ apartFrom }) => apartFrom)),
    hostTypes: lists.length === 0 ? undefined : lists.reduce((left, list) => left.filter((id) => list.includes(id))),
  };
}

/** The label that two members of a group refuse in each other. */
function clashWithin(members: readonly PackingItem[]): string | undefined {
  const carriers = new Map<string, number>();
  for (const { labels = [] } of members) for (const label of new Set(labels)) carriers.set(label, (carriers.get(label) ?? 0) + 1);
  for (const { apartFrom = [], labels = [] } of members) {
    const clash = apartFrom.find((label) => (carriers.get(label) ?? 0) > (labels.includes(label) ? 1 : 0));
    if (clash !== undefined) return clash;
  }
  return undefined;
}

function noRoom(unit: Unit, types: readonly PreparedType[]): string {
  const open = types.filter(({ id }) => unit.hostTypes === undefined || unit.hostTypes.includes(id));
  if (open.length === 0) return 'no host type that may have it is in the price file';
  const short = RESOURCES.find((resource) => open.every(({ usable }) => unit.size[resource] > usable[resource]));
  const what = short === undefined ? 'no host type has room for all that it takes together' : `it takes more ${RESOURCE_LABEL[short]} (${unit.size[short]}) than any host type has left for use (${Math.max(...open.map(({ usable }) => usable[short]))})`;
  return unit.ids.length > 1 ? `${what}, together with what must lie beside it` : what;
}

/** By UTF-16 units: the same everywhere, without a locale. */
export function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
