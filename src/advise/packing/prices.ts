/**
 * Prices of each resource on each host type at which no host is worth more than it costs. What the items are worth at such
 * prices, each on the type where it is cheapest, is what any packing costs at least: the dual of “give each item to a type, buy
 * fractions of hosts”. Any prices that keep the rule give a true bound; better ones give a higher bound.
 */
import { DIMENSIONS, type Prepared } from './prepared.ts';

export interface Prices {
  /** For types[t], the price of each resource; Σ price × capacity ≤ cost. */
  readonly prices: readonly (readonly number[])[];
  /** What one of each class is worth; 0 for classes that were not asked for. */
  readonly worth: Float64Array;
  /** Share of a host's cost that each resource of types[t] bears; then, for each of the largest groups, that of having a place for one of it. */
  readonly shares: readonly (readonly number[])[];
  /** Load that the items would put on types[t], in hosts, by resource. */
  readonly loads: readonly (readonly number[])[];
  /** What all items are worth. */
  readonly bound: number;
}

const ROUNDS = 400;
/** Groups that count as resources. */
const GROUPS = 30;

/**
 * Multiplicative ascent: the share of a resource grows with its load on the type. Deterministic.
 * @param counts how many of each class; each must have a type among `types`
 * @param cost of types[t]; 1 for each makes the bound one of hosts
 * @param rounds more give a higher bound, slowly
 */
export function resourcePrices(prepared: Prepared, counts: Int32Array, types: readonly number[], cost: (type: number) => number, rounds = ROUNDS): Prices {
  const costs = types.map(cost);
  const capacities = types.map((type) => prepared.types[type]!.capacity);
  const groups = largestGroups(prepared, counts);
  const items = itemsOf(prepared, counts, types, groups);
  const start = capacities.map((capacity) => normalized([...capacity.map((room) => (room > 0 ? 1 : 0)), ...groups.map(() => 1)]));
  const judged = (shares: readonly (readonly number[])[]): Prices => evaluate(prepared, counts, items, capacities, costs, shares, groups.length);
  let best = judged(start);
  for (let r = 0; r < DIMENSIONS + groups.length; r++) {
    if (start.some((row) => row[r] === 0)) continue;
    const alone = judged(start.map((row) => row.map((_, other) => (other === r ? 1 : 0))));
    if (alone.bound > best.bound) best = alone;
  }
  // One type: the best price is on one resource alone, and was looked at.
  if (types.length === 1) return best;
  let current = judged(start);
  let mean = current.shares.map((shares) => [...shares]);
  for (let round = 1; round <= rounds; round++) {
    const step = 4 / Math.sqrt(round) / Math.max(1e-9, current.bound);
    const shares = current.shares.map((row, t) => normalized(row.map((share, r) => (share === 0 ? 0 : Math.max(1e-6, share * Math.exp(Math.min(30, step * costs[t]! * current.loads[t]![r]! * types.length)))))));
    current = judged(shares);
    if (current.bound > best.bound) best = current;
    mean = mean.map((row, t) => row.map((share, r) => share + (shares[t]![r]! - share) * 2 / (round + 1)));
    if (round % 20 !== 0) continue;
    const averaged = judged(mean.map(normalized));
    if (averaged.bound > best.bound) best = averaged;
  }
  return best;
}

interface Items {
  readonly classes: readonly number[];
  /** Positions in the list of types. */
  readonly allowed: readonly (readonly number[])[];
  /** The largest groups that it belongs to, by their place among the shares. */
  readonly groups: readonly (readonly number[])[];
}

function itemsOf(prepared: Prepared, counts: Int32Array, types: readonly number[], groups: readonly number[]): Items {
  const classes: number[] = [];
  const allowed: (readonly number[])[] = [];
  const everywhere = types.map((_, at) => at);
  for (let item = 0; item < counts.length; item++) {
    if (counts[item] === 0) continue;
    const mine = prepared.allowed[item]!.length === prepared.types.length ? everywhere : everywhere.filter((at) => prepared.allowed[item]!.includes(types[at]!));
    if (mine.length === 0) continue;
    classes.push(item);
    allowed.push(mine);
  }
  const place = new Map(groups.map((label, at) => [label, DIMENSIONS + at]));
  const none: readonly number[] = [];
  const mine = classes.map((item) => (prepared.labels[item]!.length === 0 ? none : prepared.labels[item]!.filter((label) => place.has(label) && prepared.apart[item]!.includes(label)).map((label) => place.get(label)!)));
  return { classes, allowed, groups: mine };
}

function evaluate(prepared: Prepared, counts: Int32Array, { classes, allowed, groups }: Items, capacities: readonly (readonly number[])[], costs: readonly number[], shares: readonly (readonly number[])[], groupCount: number): Prices {
  const prices = shares.map((row, t) => row.slice(0, DIMENSIONS).map((share, r) => (capacities[t]![r] === 0 ? 0 : costs[t]! * share / capacities[t]![r]!)));
  const worth = new Float64Array(prepared.classes);
  const taken = capacities.map(() => Array<number>(DIMENSIONS + groupCount).fill(0));
  const { sizes } = prepared;
  let bound = 0;
  for (let n = 0; n < classes.length; n++) {
    const item = classes[n]!;
    const at = item * DIMENSIONS;
    const own = groups[n]!;
    let least = Number.POSITIVE_INFINITY;
    let where = -1;
    for (const t of allowed[n]!) {
      const row = prices[t]!;
      let places = 0;
      for (let g = 0; g < own.length; g++) places += shares[t]![own[g]!]!;
      const value = costs[t]! * places + row[0]! * sizes[at]! + row[1]! * sizes[at + 1]! + row[2]! * sizes[at + 2]! + row[3]! * sizes[at + 3]!;
      if (value < least) {
        least = value;
        where = t;
      }
    }
    worth[item] = least;
    bound += least * counts[item]!;
    const row = taken[where]!;
    for (let r = 0; r < DIMENSIONS; r++) row[r]! += counts[item]! * sizes[at + r]!;
    for (let g = 0; g < own.length; g++) row[own[g]!]! += counts[item]!;
  }
  return { prices, worth, shares, bound, loads: taken.map((row, t) => row.map((value, r) => (r >= DIMENSIONS ? value : capacities[t]![r] === 0 ? 0 : value / capacities[t]![r]!))) };
}

/** Labels that keep many of their carriers apart: each host has one place for one of them, as if it were a resource. */
function largestGroups(prepared: Prepared, counts: Int32Array): readonly number[] {
  const carriers = new Map<number, number>();
  for (let item = 0; item < counts.length; item++) {
    for (const label of prepared.labels[item]!) if (counts[item]! > 0 && prepared.apart[item]!.includes(label)) carriers.set(label, (carriers.get(label) ?? 0) + counts[item]!);
  }
  return [...carriers].filter(([, count]) => count > 1).toSorted((a, b) => b[1] - a[1] || a[0] - b[0]).slice(0, GROUPS).map(([label]) => label);
}

function normalized(row: readonly number[]): number[] {
  const sum = row.reduce((total, value) => total + value, 0);
  return sum === 0 ? row.map(() => 0) : row.map((value) => value / sum);
}
