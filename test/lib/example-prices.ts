/** The price file that comes with Berth, and smaller ones. */
import fs from 'node:fs';
import path from 'node:path';
import { parse } from 'yaml';
import { parseInput } from '../../src/model/define.ts';
import { priceFile, type PriceFile } from '../../src/model/prices.ts';

export function examplePrices(): PriceFile {
  return pricesFrom(parse(fs.readFileSync(path.join(import.meta.dirname, '../../examples/prices.yaml'), 'utf8')));
}

export function pricesFrom(value: unknown): PriceFile {
  return parseInput(priceFile, value, 'price file');
}
