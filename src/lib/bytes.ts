/** Sizes as people write them, after docker (`512m`, `2g`, `2GB`: powers of 1024) and kubernetes (`512Mi`, `2G`). */

const LETTERS = 'kmgtpe';

export interface BytesStyle {
  /** As in kubernetes' quantities, `k M G T P E` alone are powers of 1000. Off: powers of 1024 in either case, as in docker. */
  readonly kubernetes?: boolean;
}

/**
 * Bytes. `Ki`, `KiB` and their like are powers of 1024 in both styles; a number alone is bytes. Throws RangeError with a
 * whole sentence.
 */
export function parseBytes(text: string, { kubernetes = false }: BytesStyle = {}): number {
  const quoted = JSON.stringify(text);
  const parts = /^\s*(\d{1,20}(?:\.\d{1,20})?)\s*([a-zA-Z]*)\s*$/.exec(text);
  if (parts === null) throw new RangeError(`${quoted} is no size; write for example 512MiB or 2g.`);
  const factor = unitBytes(parts[2]!, kubernetes);
  if (factor === undefined) {
    throw new RangeError(`The size ${quoted} has the unknown unit ${JSON.stringify(parts[2])}; ${kubernetes ? 'there are Ki, Mi, Gi, Ti (1024) and k, M, G, T (1000)' : 'there are k, m, g, t and KiB, MiB, GiB, TiB'}.`);
  }
  const bytes = Number(parts[1]) * factor;
  if (!Number.isSafeInteger(Math.round(bytes))) throw new RangeError(`The size ${quoted} is too large.`);
  if (factor === 1 && !Number.isInteger(bytes)) throw new RangeError(`The size ${quoted} is not a whole number of bytes.`);
  return Math.round(bytes);
}

function unitBytes(unit: string, kubernetes: boolean): number | undefined {
  if (unit === '' || (!kubernetes && /^b$/i.test(unit))) return 1;
  const power = LETTERS.indexOf(unit[0]!.toLowerCase()) + 1;
  if (power === 0) return undefined;
  const rest = unit.slice(1);
  if (!kubernetes) return /^(i?b?)$/i.test(rest) ? 1024 ** power : undefined;
  if (rest === 'i' || rest === 'iB') return unit[0] === 'k' ? undefined : 1024 ** power;
  // `m` means thousandths there, and nobody can have meant those.
  const isKnown = power === 1 ? unit[0] === 'k' : unit[0] === unit[0]!.toUpperCase();
  return rest === '' && isKnown ? 1000 ** power : undefined;
}

const NAMES = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;

/** For people: at most one decimal, `1.5GiB`; `512B`. */
export function formatBytes(bytes: number): string {
  let power = 0;
  let value = bytes;
  while (Math.abs(value) >= 1023.95 && power < NAMES.length - 1) {
    value /= 1024;
    power++;
  }
  return `${power === 0 ? Math.round(value) : Number(value.toFixed(1))}${NAMES[power]}`;
}

/** Exact: the largest unit that divides it, `1536MiB`; `parseBytes` gives the same number back in both styles. */
export function formatBytesExact(bytes: number): string {
  let power = 0;
  let value = bytes;
  while (value !== 0 && value % 1024 === 0 && power < NAMES.length - 1) {
    value /= 1024;
    power++;
  }
  return power === 0 ? String(value) : `${value}${NAMES[power]}`;
}
