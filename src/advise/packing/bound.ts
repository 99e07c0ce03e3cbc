/** What no packing can beat, so that each packing can be judged. */
import { DIMENSIONS, type Prepared } from './prepared.ts';
import type { PackingBound } from './packing.ts';
import { resourcePrices } from './prices.ts';
import { RESOURCE_LABEL, RESOURCES } from './resources.ts';

/** Pairs are compared among so many of the largest items. */
const CLIQUE_ITEMS = 400;
/** Of the family u(k); more find nothing that matters here. */
const ROUNDING_STEPS = 20;
const THRESHOLDS = 60;
const MOST_ROUNDS = 2000;
const LEAST_ROUNDS = 400;
/** Items × types × rounds. */
const PRICE_WORK = 2_000_000;

export function lowerBound(prepared: Prepared): PackingBound {
  const parts = independentParts(prepared).map((part) => partBound(prepared, part));
  const first = parts[0];
  if (first === undefined) return { hosts: 0, cost: 0, argument: 'nothing to place' };
  const hosts = parts.reduce((sum, part) => sum + part.hosts, 0);
  const cost = parts.reduce((sum, part) => sum + part.cost, 0);
  return { hosts, cost, argument: parts.length === 1 ? first.argument : `${parts.length} sets of hosts apart, the largest by ${parts.toSorted((a, b) => b.hosts - a.hosts)[0]!.argument}` };
}

interface Part {
  readonly types: readonly number[];
  readonly items: readonly number[];
}

/** Items and types that have nothing to do with the others: their bounds add up. */
function independentParts(prepared: Prepared): readonly Part[] {
  const root = prepared.types.map((_, type) => type);
  const find = (type: number): number => (root[type] === type ? type : find(root[type]!));
  for (const allowed of prepared.allowed) for (const type of allowed) root[find(type)] = find(allowed[0]!);
  const parts = new Map<number, { types: number[]; items: number[] }>();
  for (const [type] of prepared.types.entries()) {
    const part = parts.get(find(type));
    if (part === undefined) parts.set(find(type), { types: [type], items: [] });
    else part.types.push(type);
  }
  for (let item = 0; item < prepared.classes; item++) parts.get(find(prepared.allowed[item]![0]!))!.items.push(item);
  return [...parts.values()].filter(({ items }) => items.length > 0);
}

/** Any subset of items that only some types may have is a bound on those types, and so on all. */
function partBound(prepared: Prepared, part: Part): PackingBound {
  const subsets = new Map<string, readonly number[]>([[part.types.join(), part.types]]);
  for (const item of part.items) subsets.set(prepared.allowed[item]!.join(), prepared.allowed[item]!);
  let best: PackingBound = { hosts: 0, cost: 0, argument: '' };
  for (const types of subsets.values()) {
    const items = part.items.filter((item) => prepared.allowed[item]!.every((type) => types.includes(type)));
    const bound = boundOn(prepared, items, types);
    best = {
      hosts: Math.max(best.hosts, bound.hosts), cost: Math.max(best.cost, bound.cost),
      argument: bound.hosts > best.hosts ? bound.argument : best.argument,
    };
  }
  return best;
}

function boundOn(prepared: Prepared, items: readonly number[], types: readonly number[]): PackingBound {
  const hostTypes = types.map((type) => prepared.types[type]!);
  const cheapest = Math.min(...hostTypes.map(({ cost }) => cost));
  const counts = new Int32Array(prepared.classes);
  for (const item of items) counts[item] = prepared.counts[item]!;
  const rounds = Math.min(MOST_ROUNDS, Math.max(LEAST_ROUNDS, Math.floor(PRICE_WORK / Math.max(1, items.length * types.length))));
  const volume = resourcePrices(prepared, counts, types, () => 1, rounds);
  const scarce = RESOURCES.filter((_, r) => volume.shares.some((shares, t) => shares[r]! > 0.1 && volume.loads[t]![r]! > 0));
  const found = [
    { hosts: keptApart(prepared, items), argument: 'copies that keep apart' },
    { hosts: roundedUp(volume.bound), argument: `${scarce.map((resource) => RESOURCE_LABEL[resource]).join(' and ') || 'copies that keep apart'}, by volume` },
    { hosts: pairwiseApart(prepared, items, hostTypes.map(({ capacity }) => capacity)), argument: 'items of which no two fit together' },
    ...blends(hostTypes.map(({ capacity }) => capacity)).map(({ weights, what }) => ({ hosts: byRounding(blended(prepared, items, weights)), argument: `${what}, by rounded sizes` })),
  ];
  const { hosts, argument } = found.reduce((best, one) => (one.hosts > best.hosts ? one : best));
  const cost = types.length === 1 ? 0 : roundedUp(resourcePrices(prepared, counts, types, (type) => prepared.types[type]!.cost, rounds).bound);
  return { hosts, argument, cost: Math.max(hosts * cheapest, cost) };
}

/** A little less than a whole number is that number: the sum came out of floating point. */
function roundedUp(value: number): number {
  return Math.ceil(value - 1e-9 * Math.max(1, value));
}

function keptApart(prepared: Prepared, items: readonly number[]): number {
  const carriers = new Map<number, number>();
  for (const item of items) {
    for (const label of prepared.labels[item]!) if (prepared.apart[item]!.includes(label)) carriers.set(label, (carriers.get(label) ?? 0) + prepared.counts[item]!);
  }
  return Math.max(0, ...carriers.values());
}

/** Greedy, largest first: a set in which each two exceed every type, or refuse each other. */
function pairwiseApart(prepared: Prepared, items: readonly number[], capacities: readonly (readonly number[])[]): number {
  const largest = capacities.reduce((most, capacity) => most.map((value, r) => Math.max(value, capacity[r]!)));
  const share = (item: number, r: number): number => (largest[r] === 0 ? 0 : prepared.sizes[item * DIMENSIONS + r]! / largest[r]!);
  const weight = (item: number): number => Math.max(share(item, 0), share(item, 1), share(item, 2), share(item, 3));
  const sorted = items.map((item) => ({ item, weight: weight(item) })).toSorted((a, b) => b.weight - a.weight || a.item - b.item).slice(0, CLIQUE_ITEMS);
  const apart = (a: number, b: number): boolean =>
    prepared.apart[a]!.some((label) => prepared.labels[b]!.includes(label)) || prepared.apart[b]!.some((label) => prepared.labels[a]!.includes(label))
    || capacities.every((capacity) => capacity.some((room, r) => prepared.sizes[a * DIMENSIONS + r]! + prepared.sizes[b * DIMENSIONS + r]! > room));
  const clique: number[] = [];
  let size = 0;
  for (const { item } of sorted) {
    if (!clique.every((other) => apart(item, other))) continue;
    clique.push(item);
    size += apart(item, item) ? prepared.counts[item]! : 1;
  }
  return size;
}

/** One resource that stands for several: what fits in each of them fits in any mean of them. */
interface Blend {
  /** Per unit of each resource, so that a full host is 1. */
  readonly weights: readonly number[];
  readonly what: string;
}

function blends(capacities: readonly (readonly number[])[]): readonly Blend[] {
  // A size counts against the largest type: what holds there holds on smaller ones.
  const largest = RESOURCES.map((_, r) => Math.max(...capacities.map((capacity) => capacity[r]!)));
  const sets = RESOURCES.reduce<number[][]>((all, _, r) => [...all, ...all.map((set) => [...set, r])], [[]]).filter((set) => set.length > 0 && set.every((r) => largest[r]! > 0));
  return sets.map((set) => ({ weights: RESOURCES.map((_, r) => (set.includes(r) ? 1 / set.length / largest[r]! : 0)), what: set.map((r) => RESOURCE_LABEL[RESOURCES[r]!]).join(' and ') }));
}

/** Whole numbers of parts of a host, rounded down, so that no bound comes from rounding. */
const PARTS = 2 ** 30;

function blended(prepared: Prepared, items: readonly number[], weights: readonly number[]): readonly Sized[] {
  return items.map((item) => {
    const share = weights.reduce((sum, weight, r) => sum + weight * prepared.sizes[item * DIMENSIONS + r]!, 0);
    return { size: Math.min(PARTS, Math.floor(share * PARTS + 1e-6)), count: prepared.counts[item]! };
  });
}

interface Sized {
  readonly size: number;
  readonly count: number;
}

/**
 * Dual-feasible functions on one resource: sizes are rounded so that no set that fits a host gets more than 1 in sum, so
 * the sum over all is a bound. The families are those of Martello and Toth (thresholds) and Fekete and Schepers, “New classes of fast
 * lower bounds for bin packing problems” (2001).
 */
function byRounding(items: readonly Sized[]): number {
  const capacity = PARTS;
  const sized = items.filter(({ size }) => size > 0).toSorted((a, b) => a.size - b.size);
  let best = 0;
  for (let k = 1; k <= ROUNDING_STEPS; k++) {
    let sum = 0;
    for (const { size, count } of sized) {
      const times = (k + 1) * size;
      sum += count * (times % capacity === 0 ? times / capacity / (k + 1) : Math.floor(times / capacity) / k);
    }
    best = Math.max(best, roundedUp(sum));
  }
  const halves = [...new Set(sized.filter(({ size }) => size * 2 <= capacity).map(({ size }) => size))];
  const step = Math.max(1, Math.floor(halves.length / THRESHOLDS));
  for (let at = 0; at < halves.length; at += step) {
    const threshold = halves[at]!;
    let sum = 0;
    for (const { size, count } of sized) sum += count * (size > capacity - threshold ? 1 : size < threshold ? 0 : size / capacity);
    best = Math.max(best, roundedUp(sum));
  }
  return best;
}
