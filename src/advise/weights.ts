/** The user's own weights over those of the table: `{ criterion: number, … }`, as the content of a YAML or JSON file. */
import { BerthError, type FieldError } from '../model/errors.ts';
import type { Weights } from './decision.ts';
import { CRITERIA } from './criteria/table.ts';

/** No single criterion may drown all others: constraints are there for what must not happen. */
export const MAX_WEIGHT = 100;

export const DEFAULT_WEIGHTS: Weights = Object.fromEntries(CRITERIA.map((one) => [one.id, one.weight]));

/** @throws BerthError `invalid` with every wrong line by its path. */
export function weightsFrom(content: unknown): Weights {
  const wrong = (fields: readonly FieldError[]): never => {
    throw new BerthError('invalid', `The weights are not valid: ${fields[0]!.path}: ${fields[0]!.message}.`, {
      fields, hint: `Write a map of criterion to a number from 0 to ${MAX_WEIGHT}; the criteria stand in docs/reference/advise.md.`,
    });
  };
  if (typeof content !== 'object' || content === null || Array.isArray(content)) return wrong([{ path: 'weights', message: 'is not a map of criterion to number' }]);
  const fields: FieldError[] = [];
  const weights: Record<string, number> = {};
  for (const [id, value] of Object.entries(content as Record<string, unknown>)) {
    if (!Object.hasOwn(DEFAULT_WEIGHTS, id)) fields.push({ path: id.slice(0, 64), message: 'no such criterion' });
    else if (typeof value !== 'number' || !(value >= 0 && value <= MAX_WEIGHT)) fields.push({ path: id, message: `is not a number from 0 to ${MAX_WEIGHT}` });
    else weights[id] = value;
  }
  return fields.length > 0 ? wrong(fields.slice(0, 20)) : weights;
}
