/** Prices of a file. */
import { parseInput } from '../model/define.ts';
import { priceFile, type PriceFile } from '../model/prices.ts';

/** @throws BerthError `invalid` with every wrong field by its path. */
export function pricesFrom(content: unknown): PriceFile {
  return parseInput(priceFile, content, 'price file');
}
