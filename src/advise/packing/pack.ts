/**
 * How many hosts, of which types, hold a set of instances, and how far from the best that can be. Several greedy rules are
 * tried and the cheapest outcome is improved; large estates are dealt into parts of like mixture, so that time grows with their size.
 */
import { costOf, openBin, type Bin } from './bin.ts';
import { lowerBound } from './bound.ts';
import { demandOf, fill, FILL_RULES, fullness, type FillPlan } from './fill.ts';
import { improve, smaller } from './improve.ts';
import type { PackedHost, Packing, PackingBound, PackingHostType, PackingItem, PackingOptions } from './packing.ts';
import { DIMENSIONS, order, prepare, type Prepared } from './prepared.ts';
import { RESOURCES, type Resources } from './resources.ts';
import { resourcePrices } from './prices.ts';
import { sparesFor } from './spare.ts';
import { spread } from './spread.ts';

/** Of one part. */
const PART_CLASSES = 2000;
const PART_ITEMS = 5000;
/** Types that are tried alone. */
const MOST_ALONE = 8;
const MOST_PAIRED = 5;
const MOST_PAIRED_ITEMS = 2000;

/** @throws BerthError `invalid` for no host types, ids that are there twice, sizes that are no whole numbers */
export function pack(items: readonly PackingItem[], hostTypes: readonly PackingHostType[], options: PackingOptions = {}): Packing {
  const prepared = prepare(items, hostTypes, options);
  const bound = lowerBound(prepared);
  const { bins, spares } = best(prepared, bound, options.spareHosts ?? 0);
  return {
    hosts: named(prepared, bins), spares: spares.map((type) => prepared.types[type]!.id), unplaced: prepared.unplaced,
    cost: costOf(prepared, bins), spareCost: spareCost(prepared, spares), bound,
  };
}

interface Attempt {
  readonly bins: readonly Bin[];
  /** Types that it chose from. */
  readonly types: readonly number[];
  readonly spares: readonly number[];
  /** With the spares. */
  readonly cost: number;
}

function spareCost(prepared: Prepared, spares: readonly number[]): number {
  return spares.reduce((sum, type) => sum + prepared.types[type]!.cost, 0);
}

function best(prepared: Prepared, bound: PackingBound, failures: number): Attempt {
  const attempt = (bins: readonly Bin[], types: readonly number[]): Attempt => {
    const spares = sparesFor(prepared, bins, failures);
    return { bins, types, spares, cost: costOf(prepared, bins) + spareCost(prepared, spares) };
  };
  if (prepared.classes === 0) return attempt([], []);
  const parts = Math.ceil(Math.max(prepared.classes / PART_CLASSES, prepared.counts.reduce((sum, count) => sum + count, 0) / PART_ITEMS));
  let chosen: Attempt | undefined;
  for (const types of choices(prepared, parts === 1 ? failures : 0)) {
    for (const rule of [...FILL_RULES, 'spread'] as const) {
      const next = attempt(inParts(prepared, parts, rule, types), types);
      if (chosen === undefined || better(next, chosen)) chosen = next;
      if (failures === 0 && chosen.cost <= bound.cost) return chosen;
    }
  }
  for (const bins of pairedAttempts(prepared)) {
    const next = attempt(bins, prepared.types.map((_, type) => type));
    if (better(next, chosen!)) chosen = next;
  }
  const { bins, types } = chosen!;
  // What the chosen types cannot hold went onto others: then all of them take part.
  const plan = planFor(prepared, 'dot', bins.every(({ type }) => types.includes(type)) && everywhere(prepared, types) ? types : undefined);
  const improved = attempt(improve(prepared, bins, plan, bound.cost), types);
  return better(improved, chosen!) ? improved : chosen!;
}

/** Another type has as much of everything, and costs no more. */
function outdone(prepared: Prepared, type: number): boolean {
  const { capacity, cost } = prepared.types[type]!;
  return prepared.types.some((other, at) => at !== type && other.capacity.every((room, r) => room >= capacity[r]!) && (other.cost < cost || (other.cost === cost && at < type)));
}

/**
 * So many hosts of one type, and what they do not hold on another: few large ones beside small ones for copies that keep
 * apart, which no rule finds that looks at one host at a time.
 */
function pairedAttempts(prepared: Prepared): readonly (readonly Bin[])[] {
  const items = prepared.counts.reduce((sum, count) => sum + count, 0);
  if (prepared.labelCount === 0 || prepared.types.length < 2 || prepared.types.length > MOST_PAIRED || items > MOST_PAIRED_ITEMS) return [];
  const found: Bin[][] = [];
  for (const [first] of prepared.types.entries()) {
    const most = once(prepared, prepared.counts.slice(), 'dot', [first]).filter(({ type }) => type === first).length;
    const step = Math.max(1, Math.floor(most / 12));
    for (const [second] of prepared.types.entries()) {
      if (second === first) continue;
      const plan = { ...planFor(prepared, 'norm'), types: [second] };
      const any = planFor(prepared, 'norm');
      for (let hosts = step; hosts < most; hosts += step) {
        const counts = prepared.counts.slice();
        const bins = spread(prepared, counts, plan, Array.from({ length: hosts }, () => openBin(prepared, first)));
        found.push([...bins, ...spread(prepared, counts, any)].map((bin) => smaller(prepared, bin)));
      }
    }
  }
  return found;
}

function better(a: Attempt, b: Attempt): boolean {
  return a.cost < b.cost || (a.cost === b.cost && a.bins.length + a.spares.length < b.bins.length + b.spares.length);
}

function everywhere(prepared: Prepared, types: readonly number[]): boolean {
  return prepared.allowed.every((allowed) => allowed.some((type) => types.includes(type)));
}

/** All types, and each alone; where spares are kept, pairs, too: one large host in the mixture makes each spare a large one. */
function choices(prepared: Prepared, failures: number): readonly (readonly number[])[] {
  const all = prepared.types.map((_, type) => type);
  if (all.length === 1) return [all];
  const pairs = failures > 0 && all.length > 2 && all.length <= MOST_PAIRED ? all.flatMap((a) => all.filter((b) => b > a).map((b) => [a, b])) : [];
  return [all, ...all.filter((type) => !outdone(prepared, type)).slice(0, MOST_ALONE).map((type) => [type]), ...pairs];
}

type Rule = FillPlan['rule'] | 'spread';

function inParts(prepared: Prepared, parts: number, rule: Rule, types: readonly number[]): Bin[] {
  if (parts === 1) return once(prepared, prepared.counts.slice(), rule, types);
  const bins = dealt(prepared, parts).flatMap((counts) => once(prepared, counts, rule, types));
  // Each part leaves a last host that is half empty: the emptiest are packed together once more.
  const plan = planFor(prepared, 'dot');
  const sorted = bins.map((bin) => ({ bin, value: fullness(prepared, bin, plan) })).toSorted((a, b) => b.value - a.value).map(({ bin }) => bin);
  const kept = sorted.slice(0, Math.max(0, sorted.length - 4 * parts));
  const again = new Int32Array(prepared.classes);
  for (const bin of sorted.slice(kept.length)) for (const item of bin.items) again[item]!++;
  const together = [...kept, ...once(prepared, again, rule, types)];
  return costOf(prepared, together) < costOf(prepared, bins) ? together : bins;
}

function once(prepared: Prepared, counts: Int32Array, rule: Rule, types: readonly number[]): Bin[] {
  const bins: Bin[] = [];
  // What the chosen types cannot have goes onto any.
  for (const choice of [types, prepared.types.map((_, type) => type)]) {
    if (counts.every((count) => count === 0)) break;
    const plan = planFor(prepared, rule === 'spread' ? 'norm' : rule, choice);
    bins.push(...(rule === 'spread' ? spread(prepared, counts, plan) : fill(prepared, counts, plan)));
  }
  return bins.map((bin) => smaller(prepared, bin));
}

/** Classes are sorted by their shape, so every part gets the same mixture. */
function dealt(prepared: Prepared, parts: number): Int32Array[] {
  const shares = Array.from({ length: parts }, () => new Int32Array(prepared.classes));
  let next = 0;
  for (let item = 0; item < prepared.classes; item++) {
    const count = prepared.counts[item]!;
    const each = Math.floor(count / parts);
    for (const share of shares) share[item] = each;
    for (let rest = count - each * parts; rest > 0; rest--) shares[next++ % parts]![item]!++;
  }
  return shares;
}

function planFor(prepared: Prepared, rule: FillPlan['rule'], types: readonly number[] = prepared.types.map((_, type) => type)): FillPlan {
  const key = types.join();
  const known = plans.get(prepared) ?? new Map<string, Omit<FillPlan, 'rule'>>();
  plans.set(prepared, known);
  const plan = known.get(key) ?? weighed(prepared, types);
  known.set(key, plan);
  return { ...plan, rule };
}

/** The same for every rule and every part of the estate, and dear to find. */
const plans = new WeakMap<Prepared, Map<string, Omit<FillPlan, 'rule'>>>();

function weighed(prepared: Prepared, types: readonly number[]): Omit<FillPlan, 'rule'> {
  const { prices, worth, loads } = resourcePrices(prepared, prepared.counts, types, (type) => prepared.types[type]!.cost);
  const demand = demandOf(prepared, prepared.counts);
  const weights = prepared.types.map(({ capacity }, type) => {
    const at = types.indexOf(type);
    const load = at === -1 || loads[at]!.every((value) => value === 0) ? capacity.map((room, r) => (room === 0 ? 0 : demand[r]! / room)) : loads[at]!.slice(0, DIMENSIONS);
    const most = Math.max(...load) || 1;
    return load.map((value) => value / most);
  });
  if (types.length > 1) return { types, weights, worth, suits: suitability(prepared, types, prices, worth) };
  // At one bottleneck alone hosts would look equally full whatever else is in them: the other resources count a little.
  const { capacity, cost } = prepared.types[types[0]!]!;
  const row = weights[types[0]!]!;
  const sum = row.reduce((total, weight) => total + weight, 0) || 1;
  const blended = worth.map((value, item) => 0.7 * value + 0.3 * cost * row.reduce((total, weight, r) => total + (capacity[r] === 0 ? 0 : weight / sum * prepared.sizes[item * DIMENSIONS + r]! / capacity[r]!), 0));
  return { types, weights, worth: blended };
}

/** A class suits a type as far as it is not dearer there than where it is cheapest. Squared twice: what suits another type better waits. */
function suitability(prepared: Prepared, types: readonly number[], prices: readonly (readonly number[])[], worth: Float64Array): readonly (Float64Array | undefined)[] {
  return prepared.types.map((_, type) => {
    const at = types.indexOf(type);
    if (at === -1) return undefined;
    return worth.map((least, item) => {
      const here = prices[at]!.reduce((total, price, r) => total + price * prepared.sizes[item * DIMENSIONS + r]!, 0);
      return here === 0 ? 1 : (least / here) ** 4;
    });
  });
}

/** Puts ids back: of each class in their order, hosts by what is in them. */
function named(prepared: Prepared, bins: readonly Bin[]): PackedHost[] {
  const next = new Int32Array(prepared.classes);
  const sorted = bins.map((bin) => ({ bin, items: bin.items.toSorted((a, b) => a - b) }))
    .sort((a, b) => a.bin.type - b.bin.type || compareLists(a.items, b.items));
  return sorted.map(({ bin, items }) => {
    const type = prepared.types[bin.type]!;
    return {
      type: type.id, items: items.flatMap((item) => prepared.members[item]![next[item]!++]!).toSorted(order), usable: type.usable,
      used: Object.fromEntries(RESOURCES.map((resource, r) => [resource, type.capacity[r]! - bin.left[r]!])) as Resources,
    };
  });
}

function compareLists(a: readonly number[], b: readonly number[]): number {
  for (let i = 0; i < Math.min(a.length, b.length); i++) if (a[i] !== b[i]) return a[i]! - b[i]!;
  return a.length - b.length;
}
