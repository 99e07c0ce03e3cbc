/** One host while it is being filled. */
import { DIMENSIONS, type Prepared } from './prepared.ts';

export interface Bin {
  readonly type: number;
  /** What is left, by resource. */
  readonly left: Float64Array;
  /** Classes of its items, one entry for each item. */
  readonly items: number[];
  /** How often each label is carried, and refused, by its items. */
  readonly labels: Map<number, number>;
  readonly apart: Map<number, number>;
}

export function openBin(prepared: Prepared, type: number): Bin {
  return { type, left: Float64Array.from(prepared.types[type]!.capacity), items: [], labels: new Map(), apart: new Map() };
}

export function hasRoom(prepared: Prepared, bin: Bin, item: number): boolean {
  const at = item * DIMENSIONS;
  const { sizes } = prepared;
  const { left } = bin;
  if (sizes[at]! > left[0]! || sizes[at + 1]! > left[1]! || sizes[at + 2]! > left[2]! || sizes[at + 3]! > left[3]!) return false;
  const labels = prepared.labels[item]!;
  const apart = prepared.apart[item]!;
  for (let i = 0; i < apart.length; i++) if (bin.labels.has(apart[i]!)) return false;
  for (let i = 0; i < labels.length; i++) if (bin.apart.has(labels[i]!)) return false;
  return prepared.allowed[item]!.length === prepared.types.length || prepared.allowed[item]!.includes(bin.type);
}

export function put(prepared: Prepared, bin: Bin, item: number): void {
  bin.items.push(item);
  for (let r = 0; r < DIMENSIONS; r++) bin.left[r]! -= prepared.sizes[item * DIMENSIONS + r]!;
  for (const label of prepared.labels[item]!) bin.labels.set(label, (bin.labels.get(label) ?? 0) + 1);
  for (const label of prepared.apart[item]!) bin.apart.set(label, (bin.apart.get(label) ?? 0) + 1);
}

/** The same items on another type; undefined when they do not fit there. */
export function movedTo(prepared: Prepared, bin: Bin, type: number): Bin | undefined {
  const { capacity } = prepared.types[type]!;
  const old = prepared.types[bin.type]!.capacity;
  const left = Float64Array.from(bin.left, (value, r) => value + capacity[r]! - old[r]!);
  if (left.some((value) => value < 0) || bin.items.some((item) => !prepared.allowed[item]!.includes(type))) return undefined;
  return { ...bin, type, left };
}

export function costOf(prepared: Prepared, bins: readonly Bin[]): number {
  return bins.reduce((sum, bin) => sum + prepared.types[bin.type]!.cost, 0);
}
