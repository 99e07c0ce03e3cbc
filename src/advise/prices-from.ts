/** Prices of a file. */
import { parseInput } from '../model/define.ts';
import { BerthError } from '../model/errors.ts';
import { priceFile, type PriceFile } from '../model/prices.ts';

/** @throws BerthError `invalid` with every wrong field by its path. */
export function pricesFrom(content: unknown): PriceFile {
  try {
    return parseInput(priceFile, content, 'price file');
  } catch (error) {
    if (!(error instanceof BerthError)) throw error;
    throw new BerthError(error.code, error.message, { fields: error.fields, hint: 'examples/prices.yaml shows every field.' });
  }
}
