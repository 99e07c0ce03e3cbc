/** Durations as people write them: `90s`, `1m30s`, `1.5h`, `250ms`, `2d`. */

const UNITS = [['d', 86_400_000], ['h', 3_600_000], ['m', 60_000], ['s', 1000], ['ms', 1]] as const;
const MS_BY_UNIT: ReadonlyMap<string, number> = new Map(UNITS);

/**
 * Milliseconds. `bareUnit` is the unit of a number without one (docker's `--stop-timeout 10` means seconds); without it
 * such a number is refused. Throws RangeError with a whole sentence.
 */
export function parseDuration(text: string, { bareUnit }: { readonly bareUnit?: 'ms' | 's' } = {}): number {
  const trimmed = text.trim();
  const quoted = JSON.stringify(text);
  if (trimmed === '0') return 0;
  if (/^\d+(\.\d+)?$/.test(trimmed)) {
    if (bareUnit === undefined) throw new RangeError(`The duration ${quoted} has no unit; write for example ${trimmed}s.`);
    return whole(Number(trimmed) * MS_BY_UNIT.get(bareUnit)!, quoted);
  }
  if (trimmed.length > 64 || !/^(\d+(\.\d+)?[a-zµ]+)+$/.test(trimmed)) throw new RangeError(`${quoted} is no duration; write for example 90s, 1m30s or 250ms.`);
  let total = 0;
  let smaller = Infinity;
  for (const [, number, unit] of trimmed.matchAll(/(\d+(?:\.\d+)?)([a-zµ]+)/g)) {
    const unitMs = MS_BY_UNIT.get(unit!);
    if (unitMs === undefined) throw new RangeError(`The duration ${quoted} has the unknown unit ${JSON.stringify(unit)}; there are d, h, m, s and ms.`);
    if (unitMs >= smaller) throw new RangeError(`The units of the duration ${quoted} must go from the largest to the smallest.`);
    smaller = unitMs;
    total += Number(number) * unitMs;
  }
  return whole(total, quoted);
}

function whole(ms: number, quoted: string): number {
  const rounded = Math.round(ms);
  if (!Number.isSafeInteger(rounded)) throw new RangeError(`The duration ${quoted} is too long.`);
  return rounded;
}

/** Exact: `parseDuration` gives the same number back. 0 is `0s`. */
export function formatDuration(durationMs: number): string {
  let left = Math.round(Math.abs(durationMs));
  if (left === 0) return '0s';
  let text = durationMs < 0 ? '-' : '';
  for (const [unit, unitMs] of UNITS) {
    const count = Math.floor(left / unitMs);
    if (count > 0) text += `${count}${unit}`;
    left -= count * unitMs;
  }
  return text;
}
