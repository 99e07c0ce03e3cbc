/** What is wrong with one field, for people: zod's own messages speak of its types; messages that a schema brings stay as they are. */
import type * as z from 'zod';
import { formatBytesExact } from '../lib/bytes.ts';

type Issue = z.core.$ZodIssue;

const TYPES: Readonly<Record<string, string>> = {
  string: 'a text', number: 'a number', int: 'a whole number', boolean: 'true or false', array: 'a list', object: 'an object', record: 'an object',
};
const COUNTED: Readonly<Record<string, string>> = { string: 'characters', array: 'entries' };

/** `field` is the last part of its path: one that ends in Bytes is said as a size. */
export function issueSentence(issue: Issue, field: string): string {
  switch (issue.code) {
    case 'too_small': return isOwn(issue, /^Too small: /) ? bound('least', issue.origin, issue.minimum, issue.inclusive !== false, field) : issue.message;
    case 'too_big': return isOwn(issue, /^Too big: /) ? bound('most', issue.origin, issue.maximum, issue.inclusive !== false, field) : issue.message;
    case 'invalid_type': {
      if (!isOwn(issue, /^Invalid input: expected /)) return issue.message;
      return issue.message.endsWith('received undefined') ? 'is missing' : `must be ${TYPES[issue.expected] ?? issue.expected}`;
    }
    case 'invalid_value': return isOwn(issue, /^Invalid (option|input): expected /) ? `must be ${issue.values.length === 1 ? '' : 'one of '}${issue.values.map(String).join(', ')}` : issue.message;
    default: return issue.message;
  }
}

function isOwn(issue: Issue, own: RegExp): boolean {
  return own.test(issue.message);
}

function bound(side: 'least' | 'most', origin: string, limit: number | bigint, inclusive: boolean, field: string): string {
  const counted = COUNTED[origin];
  if (counted !== undefined) return `must have at ${side} ${limit} ${counted}`;
  const value = field.endsWith('Bytes') ? formatBytesExact(Number(limit)) : String(limit);
  return inclusive ? `must be at ${side} ${value}` : `must be ${side === 'least' ? 'more' : 'less'} than ${value}`;
}
