/** Any value as indented lines for people: sizes and durations with their units, short lists on one line. */
import { formatBytes } from '../lib/bytes.ts';
import { formatDuration } from '../lib/duration.ts';

export function describedLines(value: unknown, indent: string): string[] {
  if (typeof value !== 'object' || value === null) return [`${indent}${String(value)}`];
  return Object.entries(value).flatMap(([name, member]): string[] => {
    const label = Array.isArray(value) ? '-' : `${name}:`;
    const short = shortText(name, member);
    if (short !== undefined) return short === '' ? [] : [`${indent}${label} ${short}`];
    const [first = '', ...more] = describedLines(member, `${indent}  `);
    // A list's element begins on the line of its dash.
    return Array.isArray(value) ? [`${indent}- ${first.trimStart()}`, ...more] : [`${indent}${label}`, first, ...more];
  });
}

function shortText(name: string, value: unknown): string | undefined {
  if (value === undefined || value === null) return '';
  if (typeof value === 'number' && /[bB]ytes$/.test(name)) return formatBytes(value);
  if (typeof value === 'number' && name.endsWith('Ms')) return formatDuration(value);
  // A text of several lines keeps them, and cannot look like other fields.
  if (typeof value === 'string') return value.includes('\n') ? JSON.stringify(value) : value;
  if (typeof value !== 'object') return String(value);
  if (Array.isArray(value) && value.every((one) => typeof one !== 'object')) return value.map(String).join(', ');
  return Object.keys(value).length === 0 ? '' : undefined;
}
