/** Money as whole millionths of a currency’s unit: sums are exact, and a division rounds once, half up. */

export type Money = bigint;

const MILLIONTHS = 1_000_000n;

/** @param text digits with at most six after the point, as the price file lets through */
export function money(text: string): Money {
  const [whole, fraction = ''] = text.split('.');
  return BigInt(whole!) * MILLIONTHS + BigInt(fraction.padEnd(6, '0'));
}

/** amount × numerator ÷ denominator, rounded half up; all at least 0. */
export function share(amount: Money, numerator: bigint, denominator: bigint): Money {
  return (amount * numerator * 2n + denominator) / (denominator * 2n);
}

/** times a number that came from a measurement or a file (0.35 kW, 2.5 cores): it counts to six digits. */
export function times(amount: Money, factor: number): Money {
  return share(amount, BigInt(Math.round(factor * 1e6)), MILLIONTHS);
}

export function total(amounts: Iterable<Money>): Money {
  let sum = 0n;
  for (const amount of amounts) sum += amount;
  return sum;
}

/** Parts of an amount by whole-number weights; they add up to the amount, to the last millionth. */
export function apportion(amount: Money, weights: readonly number[]): Money[] {
  const sum = weights.reduce((all, weight) => all + BigInt(weight), 0n);
  if (sum === 0n) return weights.length === 0 ? [] : apportion(amount, weights.map(() => 1));
  let weighed = 0n;
  let given = 0n;
  return weights.map((weight) => {
    weighed += BigInt(weight);
    const upTo = amount * weighed / sum;
    const part = upTo - given;
    given = upTo;
    return part;
  });
}

/** '1234.50': no grouping, so that programs read it. */
export function moneyText(amount: Money, decimals: number): string {
  const unit = 10n ** BigInt(6 - decimals);
  const rounded = (amount < 0n ? -amount : amount) + unit / 2n;
  const digits = String(rounded / unit).padStart(decimals + 1, '0');
  const sign = amount < 0n && BigInt(digits) !== 0n ? '-' : '';
  return decimals === 0 ? `${sign}${digits}` : `${sign}${digits.slice(0, -decimals)}.${digits.slice(-decimals)}`;
}
