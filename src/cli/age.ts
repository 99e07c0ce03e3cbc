/** How long ago, in one or two units: `12s`, `3m`, `4h`, `2d`. */

const UNITS = [['d', 86_400], ['h', 3600], ['m', 60], ['s', 1]] as const;

export function ageOf(moment: string, nowMs: number = Date.now()): string {
  const then = Date.parse(moment);
  if (Number.isNaN(then)) return '-';
  const seconds = Math.max(0, Math.floor((nowMs - then) / 1000));
  for (const [unit, length] of UNITS) if (seconds >= length * (unit === 'd' ? 2 : 1)) return `${Math.floor(seconds / length)}${unit}`;
  return '0s';
}
