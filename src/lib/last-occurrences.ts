/**
 * Each value once, where it stands last. For layers, lowest first: one that occurs again higher up brings nothing where
 * it lies lower (whatever it has is there above), and an overlay refuses the same directory twice.
 */
export function lastOccurrences<T>(values: readonly T[]): readonly T[] {
  return [...new Set(values.toReversed())].reverse();
}
