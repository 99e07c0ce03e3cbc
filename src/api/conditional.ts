/** If-Match on the generation (RFC 9110 §13.1.1). */
import { BerthError } from '../model/errors.ts';
import type { Call } from './context.ts';

export function generationOf(call: Call): number | undefined {
  const header = call.headers['if-match'];
  if (header === undefined || header === '*') return undefined;
  const match = /^"?(\d{1,15})"?$/.exec(header);
  if (match === null) throw new BerthError('invalid', 'If-Match must be the generation in quotes.', { hint: 'If-Match: "3"' });
  return Number(match[1]);
}
