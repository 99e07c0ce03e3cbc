/** Places one item after the other on the open host that suits it best: good where copies must keep apart. */
import { hasRoom, openBin, put, type Bin } from './bin.ts';
import { demandOf, type FillPlan } from './fill.ts';
import { DIMENSIONS, type Prepared } from './prepared.ts';

/**
 * @param counts how many of each class to place; emptied here. What no type of the plan may have stays in it.
 * @param start hosts that are there already, filled further here; those that stay empty are left out
 */
export function spread(prepared: Prepared, counts: Int32Array, plan: FillPlan, start: readonly Bin[] = []): Bin[] {
  const bins = [...start];
  for (const item of inOrder(prepared, counts, plan)) {
    // Several copies that keep apart must not look at the same host twice.
    const isAlone = prepared.labels[item]!.some((label) => prepared.apart[item]!.includes(label));
    let from = 0;
    while (counts[item]! > 0) {
      const at = isAlone ? nextWithRoom(prepared, bins, item, from) : bestHost(prepared, bins, item, plan);
      if (at === -1) {
        const type = cheapestFor(prepared, item, plan);
        if (type === undefined) break;
        bins.push(openBin(prepared, type));
        put(prepared, bins.at(-1)!, item);
        from = bins.length;
      } else {
        put(prepared, bins[at]!, item);
        from = at + 1;
      }
      counts[item]!--;
    }
  }
  return bins.filter((bin) => bin.items.length > 0);
}

/** What keeps apart from most comes first, then by size. */
function inOrder(prepared: Prepared, counts: Int32Array, plan: FillPlan): readonly number[] {
  const carriers = new Int32Array(prepared.labelCount);
  for (let item = 0; item < counts.length; item++) for (const label of prepared.labels[item]!) carriers[label]! += counts[item]!;
  const most = demandOf(prepared, counts);
  const rank = (item: number): number => prepared.apart[item]!.reduce((sum, label) => Math.max(sum, carriers[label]!), 0);
  const weight = (item: number): number => {
    let sum = plan.worth[item]!;
    for (let r = 0; r < DIMENSIONS; r++) sum += most[r] === 0 ? 0 : prepared.sizes[item * DIMENSIONS + r]! / most[r]! * 1e-9;
    return sum;
  };
  return Array.from(counts, (count, item) => ({ item, count, rank: rank(item), weight: weight(item) }))
    .filter(({ count }) => count > 0)
    .sort((a, b) => b.rank - a.rank || b.weight - a.weight || a.item - b.item)
    .map(({ item }) => item);
}

function nextWithRoom(prepared: Prepared, bins: readonly Bin[], item: number, from: number): number {
  for (let at = from; at < bins.length; at++) if (hasRoom(prepared, bins[at]!, item)) return at;
  return -1;
}

/** Where least would be left, weighted. */
function bestHost(prepared: Prepared, bins: readonly Bin[], item: number, plan: FillPlan): number {
  let best = -1;
  let least = Number.POSITIVE_INFINITY;
  for (const [at, bin] of bins.entries()) {
    if (!hasRoom(prepared, bin, item)) continue;
    const { capacity } = prepared.types[bin.type]!;
    const weights = plan.weights[bin.type]!;
    let behind = 0;
    for (let r = 0; r < DIMENSIONS; r++) if (capacity[r]! > 0) behind += weights[r]! * ((bin.left[r]! - prepared.sizes[item * DIMENSIONS + r]!) / capacity[r]!) ** 2;
    if (behind < least) {
      least = behind;
      best = at;
    }
  }
  return best;
}

/** The type that it suits best; the cheapest of those. */
function cheapestFor(prepared: Prepared, item: number, plan: FillPlan): number | undefined {
  const suits = (type: number): number => plan.suits?.[type]?.[item] ?? 1;
  return plan.types.filter((type) => prepared.allowed[item]!.includes(type))
    .reduce<number | undefined>((best, type) => (best === undefined || suits(type) > suits(best) + 1e-12 ? type : best), undefined);
}
