/** Body of POST /v1/advise: the files of an estate, and what they are weighed with. Bounded by the edge as every body is. */
import * as z from 'zod';
import { figures } from './figures.ts';
import { priceFile } from './prices.ts';
import { dataText, plainText } from './text.ts';

export const ADVICE_FORMATS = ['json', 'yaml', 'markdown', 'html', 'csv', 'manifests'] as const;
export type AdviceFormat = (typeof ADVICE_FORMATS)[number];

export const adviseRequest = z.strictObject({
  /** In any of the formats that `berth advise` reads; told apart by what is in them. */
  files: z.array(z.strictObject({ name: plainText(255, 'a file name').min(1), text: dataText(1024 * 1024) })).min(1).max(256),
  /** Weight by criterion, over those of the table. */
  weights: z.record(plainText(64, 'a criterion'), z.number()).optional(),
  prices: priceFile.optional(),
  /** Those of the node that answers when missing. */
  figures: figures.optional(),
  /** Can the hosts run VMs in hardware? What the node is when missing. */
  hardwareVirtualization: z.boolean().optional(),
  /** With every point of each decision. */
  explain: z.boolean().optional(),
  format: z.enum(ADVICE_FORMATS).default('json'),
});
export type AdviseRequest = z.infer<typeof adviseRequest>;
