/**
 * Fills one host after the other, each time with the item that suits what is left of it best: the bin-centric greedy
 * rules of Panigrahy, Talwar, Uyeda and Wieder, “Heuristics for Vector Bin Packing” (2011), with a choice among host types.
 */
import { hasRoom, openBin, put, type Bin } from './bin.ts';
import { DIMENSIONS, type Prepared } from './prepared.ts';

/** dot: large where much is left · norm: leaves the least behind · size: largest first */
export const FILL_RULES = ['dot', 'norm', 'size'] as const;
export type FillRule = (typeof FILL_RULES)[number];

export interface FillPlan {
  readonly rule: FillRule;
  /** Types to choose from, by number. */
  readonly types: readonly number[];
  /** How much each resource counts, for a whole host of the type; by number of the type. */
  readonly weights: readonly (readonly number[])[];
  /** What one of each class is worth, in the unit of cost: a host is never worth more than it costs. */
  readonly worth: Float64Array;
  /** How well a class suits a type, 0 to 1, by number of the type: dear where the type is short of what it takes. Missing: all alike. */
  readonly suits?: readonly (Float64Array | undefined)[] | undefined;
  /** Adds noise to each choice: a share of the score. */
  readonly noise?: { readonly share: number; readonly random: () => number } | undefined;
}

/**
 * @param counts how many of each class to place; emptied here. What no type of the plan may have stays in it.
 * @param classes those with a count, where they are known to be few
 */
export function fill(prepared: Prepared, counts: Int32Array, plan: FillPlan, classes: Iterable<number> = counts.keys()): Bin[] {
  const bins: Bin[] = [];
  const open: number[] = [];
  for (const item of classes) if (counts[item]! > 0 && plan.types.some((type) => prepared.allowed[item]!.includes(type))) open.push(item);
  const groups = spreadGroups(prepared, open);
  const demand = demandOf(prepared, counts, open);
  while (open.length > 0) {
    const forced = urgent(prepared, counts, groups, hostsFor(prepared, demand, plan));
    let best: Bin | undefined;
    let bestValue = -1;
    for (const type of plan.types) {
      const bin = filled(prepared, counts, open, plan, type, forced);
      const value = fullness(prepared, bin, plan);
      if (bin.items.length > 0 && value > bestValue) {
        best = bin;
        bestValue = value;
      }
    }
    if (best === undefined) break;
    for (const item of best.items) {
      counts[item]!--;
      for (let r = 0; r < DIMENSIONS; r++) demand[r]! -= prepared.sizes[item * DIMENSIONS + r]!;
    }
    bins.push(best);
    let kept = 0;
    for (const item of open) if (counts[item]! > 0) open[kept++] = item;
    open.length = kept;
  }
  return bins;
}

function filled(prepared: Prepared, counts: Int32Array, open: readonly number[], plan: FillPlan, type: number, forced: readonly number[]): Bin {
  const bin = openBin(prepared, type);
  for (const item of forced) if (hasRoom(prepared, bin, item)) put(prepared, bin, item);
  // What does not fit now will not fit later: the list only shrinks.
  const live = open.filter((item) => hasRoom(prepared, bin, item));
  const room = live.map((item) => counts[item]! - (forced.length === 0 ? 0 : bin.items.filter((one) => one === item).length));
  const weights = plan.weights[type]!;
  const suits = plan.suits?.[type];
  const scale = prepared.types[type]!.capacity.map((value) => (value === 0 ? 0 : 1 / value));
  while (live.length > 0) {
    let best = -1;
    let bestScore = Number.NEGATIVE_INFINITY;
    let kept = 0;
    for (let at = 0; at < live.length; at++) {
      const item = live[at]!;
      if (room[at]! <= 0 || !hasRoom(prepared, bin, item)) continue;
      live[kept] = item;
      room[kept] = room[at]!;
      let score = scoreOf(prepared, bin, item, plan.rule, weights, scale);
      if (suits !== undefined) score = score > 0 ? score * suits[item]! : score / Math.max(1e-9, suits[item]!);
      if (plan.noise !== undefined) score *= 1 + plan.noise.share * plan.noise.random();
      if (score > bestScore) {
        bestScore = score;
        best = kept;
      }
      kept++;
    }
    if (best === -1) break;
    live.length = kept;
    put(prepared, bin, live[best]!);
    room[best]!--;
  }
  return bin;
}

function scoreOf(prepared: Prepared, { left }: Bin, item: number, rule: FillRule, weights: readonly number[], scale: readonly number[]): number {
  const { sizes } = prepared;
  const at = item * DIMENSIONS;
  let score = 0;
  for (let r = 0; r < DIMENSIONS; r++) {
    const size = sizes[at + r]! * scale[r]!;
    if (rule === 'dot') score += weights[r]! * size * left[r]! * scale[r]!;
    else if (rule === 'size') score += weights[r]! * size;
    else {
      const behind = left[r]! * scale[r]! - size;
      score -= weights[r]! * behind * behind;
    }
  }
  return score;
}

/** What is in it is worth so much of what it costs. */
export function fullness(prepared: Prepared, bin: Bin, plan: FillPlan): number {
  let sum = 0;
  for (const item of bin.items) sum += plan.worth[item]!;
  return sum / prepared.types[bin.type]!.cost;
}

export function demandOf(prepared: Prepared, counts: Int32Array, classes: Iterable<number> = counts.keys()): Float64Array {
  const demand = new Float64Array(DIMENSIONS);
  for (const item of classes) {
    for (let r = 0; r < DIMENSIONS; r++) demand[r]! += counts[item]! * prepared.sizes[item * DIMENSIONS + r]!;
  }
  return demand;
}

/** About how many hosts are still to come. */
function hostsFor(prepared: Prepared, demand: Float64Array, plan: FillPlan): number {
  const largest = plan.types.reduce((most, type) => most.map((value, r) => Math.max(value, prepared.types[type]!.capacity[r]!)), Array<number>(DIMENSIONS).fill(0));
  let hosts = 0;
  for (let r = 0; r < DIMENSIONS; r++) if (largest[r]! > 0) hosts = Math.max(hosts, demand[r]! / largest[r]!);
  return Math.ceil(hosts);
}

/** Classes by a label that keeps its own carriers apart: as many hosts as there are of them. */
function spreadGroups(prepared: Prepared, open: readonly number[]): readonly (readonly number[])[] {
  const groups = new Map<number, number[]>();
  for (const item of open) {
    for (const label of prepared.labels[item]!) {
      if (!prepared.apart[item]!.includes(label)) continue;
      const group = groups.get(label);
      if (group === undefined) groups.set(label, [item]);
      else group.push(item);
    }
  }
  return [...groups.values()];
}

/** One of each group that would need more hosts than are still to come: left for later, it would open hosts of its own. */
function urgent(prepared: Prepared, counts: Int32Array, groups: readonly (readonly number[])[], hosts: number): readonly number[] {
  const forced: number[] = [];
  for (const group of groups) {
    let left = 0;
    let largest = -1;
    for (const item of group) {
      if (counts[item]! === 0) continue;
      left += counts[item]!;
      if (largest === -1 || prepared.sizes[item * DIMENSIONS + 1]! > prepared.sizes[largest * DIMENSIONS + 1]!) largest = item;
    }
    if (left >= hosts && largest !== -1 && !forced.includes(largest)) forced.push(largest);
  }
  return forced;
}
