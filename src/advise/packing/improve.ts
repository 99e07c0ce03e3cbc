/** Takes a few hosts apart and fills them anew, again and again, keeping what is better. Same input, same answer: the dice are seeded. */
import { seeded } from '../../lib/seeded.ts';
import { costOf, movedTo, type Bin } from './bin.ts';
import { fill, FILL_RULES, fullness, type FillPlan } from './fill.ts';
import type { Prepared } from './prepared.ts';

/** Taken apart at once: one more for a better mixture of types. */
const MOST_HOSTS = { oneType: 4, severalTypes: 6 };
/** Steps, each about the square of the items that are taken out: a bound in work, not in time, or two machines would differ. */
const WORK = 15_000_000;
const MAX_ROUNDS = 40_000;
/** A few hosts have been mixed in every way before long. */
const ROUNDS_PER_HOST = 200;

export function improve(prepared: Prepared, start: readonly Bin[], plan: FillPlan, lowestCost: number): Bin[] {
  const bins = start.map((bin) => smaller(prepared, bin));
  const full = bins.map((bin) => fullness(prepared, bin, plan));
  const random = seeded(0x5eed);
  const counts = new Int32Array(prepared.classes);
  let cost = costOf(prepared, bins);
  let work = 0;
  const rounds = Math.min(MAX_ROUNDS, ROUNDS_PER_HOST * bins.length);
  for (let round = 0; round < rounds && work < WORK && bins.length > 1 && cost > lowestCost; round++) {
    const chosen = choose(full, plan.types.length === 1 ? MOST_HOSTS.oneType : MOST_HOSTS.severalTypes, random);
    const old = chosen.map((at) => bins[at]!);
    const items = old.flatMap((bin) => bin.items);
    const classes = [...new Set(items)].sort((a, b) => a - b);
    for (const item of items) counts[item]!++;
    work += items.length * classes.length * plan.types.length + bins.length;
    const rule = FILL_RULES[Math.floor(random() * FILL_RULES.length)]!;
    const shaken = plan.weights.map((weights) => weights.map((weight) => weight * (0.4 + 1.2 * random())));
    const filled = fill(prepared, counts, { ...plan, rule, weights: shaken, noise: { share: random() * 0.3, random } }, classes).map((bin) => smaller(prepared, bin));
    const lost = classes.some((item) => counts[item] !== 0);
    for (const item of classes) counts[item] = 0;
    const gain = costOf(prepared, old) - costOf(prepared, filled);
    if (lost || gain < 0 || (gain === 0 && (filled.length > old.length || unevenness(prepared, filled, plan) <= unevenness(prepared, old, plan)))) continue;
    for (const at of chosen.toSorted((a, b) => b - a)) {
      bins.splice(at, 1);
      full.splice(at, 1);
    }
    bins.push(...filled);
    full.push(...filled.map((bin) => fullness(prepared, bin, plan)));
    cost -= gain;
  }
  return bins;
}

/** One nearly empty host and some others; three in four times the emptiest. */
function choose(full: readonly number[], most: number, random: () => number): number[] {
  const chosen = new Set<number>();
  if (random() < 0.75) chosen.add(full.indexOf(full.reduce((least, value) => Math.min(least, value))));
  const wanted = Math.min(full.length, 2 + Math.floor(random() * (most - 1)));
  while (chosen.size < wanted) chosen.add(Math.floor(random() * full.length));
  return [...chosen];
}

/** Grows when one host gets fuller and another emptier: the way to an empty one. */
function unevenness(prepared: Prepared, bins: readonly Bin[], plan: FillPlan): number {
  return bins.reduce((sum, bin) => sum + fullness(prepared, bin, plan) ** 2, 0);
}

/** The same host as the cheapest type that holds what is in it; types are sorted by cost. */
export function smaller(prepared: Prepared, bin: Bin): Bin {
  for (let type = 0; type < prepared.types.length && prepared.types[type]!.cost < prepared.types[bin.type]!.cost; type++) {
    const moved = movedTo(prepared, bin, type);
    if (moved !== undefined) return moved;
  }
  return bin;
}

