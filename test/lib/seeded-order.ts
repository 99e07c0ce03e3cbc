import { seeded } from '../../src/lib/seeded.ts';

/** The same order for the same seed: a sample that failed is repeated by its seed. */
export function seededOrder<T>(items: readonly T[], seed: number): T[] {
  const next = seeded(seed);
  return items.map((item) => ({ item, rank: next() })).toSorted((a, b) => a.rank - b.rank).map(({ item }) => item);
}

/** Whole numbers below a bound; the same for the same seed. */
export function seededBelow(seed: number): (below: number) => number {
  const next = seeded(seed);
  return (below) => Math.floor(next() * below);
}
