/**
 * Price file: what hosts cost and how full they may be. Amounts are decimal text (`"1499.90"`) or numbers, of any one
 * currency; they are counted exactly, in millionths. Sizes are bytes or text (`512GiB`).
 */
import * as z from 'zod';
import { parseBytes } from '../lib/bytes.ts';
import { plainText } from './text.ts';

const AMOUNT = /^\d{1,10}(\.\d{1,6})?$/;
/** At most ten digits before the point and six after it; never negative. Kept as text: a number would not be exact. */
const amount = z.union([z.string(), z.number()]).transform(String).refine((text) => AMOUNT.test(text), { message: 'not an amount such as 1499.90' });
const share = z.number().min(0).max(0.95);
const factor = z.number().min(0.1).max(100);
const months = z.number().int().min(1).max(240);

const size = z.union([z.number().int().min(0).max(2 ** 53 - 1), z.string().max(40)]).transform((value, context) => {
  if (typeof value === 'number') return value;
  try {
    return parseBytes(value);
  } catch (error) {
    context.addIssue({ code: 'custom', message: (error as Error).message });
    return z.NEVER;
  }
});

const hostType = z.strictObject({
  name: plainText(64, 'a name').min(1),
  cpus: z.number().min(0.1).max(65_536).describe('CPUs that the operating system sees.'),
  cores: z.number().int().min(1).max(65_536).optional().describe('Cores that licences count; as many as cpus when missing.'),
  memory: size,
  disk: size,
  maxInstances: z.number().int().min(1).max(100_000).default(1000),
  hardwareVirtualization: z.boolean().default(true).describe('Without it, no VM is placed there.'),
  capital: amount.default('0').describe('Price of the machine.'),
  depreciationMonths: months.optional(),
  runningPerMonth: amount.default('0').describe('Rack, network, support; or the rent of a rented one.'),
  watts: z.number().min(0).max(100_000).default(0).describe('Mean draw, cooling included.'),
  licences: z.array(z.strictObject({ name: plainText(128, 'a name').min(1), per: z.enum(['core', 'machine']), costPerMonth: amount })).max(32).default([]),
});

const perResource = <T extends z.ZodType>(schema: T): z.ZodObject<{ cpus: z.ZodOptional<T>; memory: z.ZodOptional<T>; disk: z.ZodOptional<T> }> =>
  z.strictObject({ cpus: schema.optional(), memory: schema.optional(), disk: schema.optional() });

export const priceFile = z.strictObject({
  /** Set in the file that comes with Berth: its numbers are nobody's. */
  example: z.boolean().default(false),
  note: plainText(512, 'a note').optional(),
  currency: z.string().regex(/^[A-Z]{3}$/, 'not a currency such as EUR (ISO 4217)'),
  /** Digits after the point when an amount is shown: 2 for EUR, 0 for JPY. */
  decimals: z.number().int().min(0).max(4).default(2),
  depreciationMonths: months.default(48),
  energyPerKwh: amount.default('0'),
  labour: z.strictObject({
    perOperatingSystemPerMonth: amount.default('0').describe('Keeping one operating system patched, watched and backed up.'),
    perImagePerMonth: amount.default('0').describe('Keeping one image rebuilt.'),
  }).prefault({}),
  /** A container’s licence per core counts the cores of its hosts (what most contracts say), or its own CPUs. */
  licencePerCoreInContainers: z.enum(['host', 'own']).default('host'),
  capacity: z.strictObject({
    headroom: perResource(share).prefault({}).describe('Share of each host that stays empty.'),
    overcommit: perResource(factor).prefault({}).describe('How much more than there is may be promised.'),
    spareHosts: z.number().int().min(0).max(16).default(1).describe('Hosts that may fail at once.'),
  }).prefault({}),
  hostTypes: z.array(hostType).min(1).max(32),
}).refine(({ hostTypes }) => new Set(hostTypes.map(({ name }) => name)).size === hostTypes.length, { message: 'two host types have the same name', path: ['hostTypes'] });

export type PriceFile = z.infer<typeof priceFile>;
export type HostTypePrice = PriceFile['hostTypes'][number];
