/** The one table of criteria and weights, in the order in which the guide explains them. */
import { COST } from './cost.ts';
import type { Criterion } from './criterion.ts';
import { INSIDE } from './inside.ts';
import { LIFE } from './life.ts';
import { TRUST } from './trust.ts';

const ORDER = [
  'applications', 'copies', 'hands', 'origin', 'sharing', 'surface', 'boundary', 'system', 'devices', 'privileges', 'start',
  'releases', 'patching', 'state', 'variation', 'density', 'uptime', 'parts', 'effort', 'tooling', 'blast',
] as const;

const ALL = [...INSIDE, ...TRUST, ...LIFE, ...COST];

export const CRITERIA: readonly Criterion[] = ORDER.map((id) => ALL.find((one) => one.id === id)!);
