/** Writes what .build/inside-*.json say into docs/reference/inside-debian.md, between its marks; the words around them are kept. */
import fs from 'node:fs';
import path from 'node:path';
import { DEBIAN_SUITES, type DebianSuite } from '../../src/drivers/content/bootstrap/debian.ts';
import { hostFilesInside, NOT_INSIDE } from './inside-files.ts';
import { readInsideResult, type InsideResult } from './inside-record.ts';

const PAGE = path.resolve(import.meta.dirname, '../../docs/reference/inside-debian.md');
const BEGIN = '<!-- From .build/inside-*.json by test/lib/inside-page.ts. -->', END = '<!-- End of what is generated. -->';
const NAMES: Readonly<Record<DebianSuite, string>> = { bookworm: 'Debian 12', trixie: 'Debian 13' };

const table = (titles: readonly string[], rows: readonly (readonly string[])[]): string => [titles, titles.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');

function cell(result: InsideResult | undefined, name: string): string {
  const part = result?.parts.find((one) => one.part === name);
  if (part === undefined) return 'not run';
  const counted = part.pass + part.fail === 1 ? (part.fail === 0 ? 'yes' : '**no**') : part.fail === 0 ? `${part.pass} of ${part.pass}` : `**${part.pass} of ${part.pass + part.fail}**`;
  return `${counted}, ${part.seconds < 90 ? `${part.seconds} s` : `${Math.round(part.seconds / 60)} min`}`;
}

/** @param results one for each suite that has been looked at */
export function insideTables(results: readonly InsideResult[]): string {
  const suites = DEBIAN_SUITES.map((suite) => ({ name: NAMES[suite], result: results.find((one) => one.suite === suite) }));
  const { first, rest } = hostFilesInside();
  const files = [...first, ...rest].map((name) => `test/host/${name}`);
  const seen = results.flatMap(({ parts }) => parts.map(({ part }) => part));
  const others = [...new Set(seen)].filter((part) => !files.includes(part));
  const times = (result: InsideResult): string => {
    const all = result.parts.map(({ at }) => at.slice(0, 16).replace('T', ' ')).sort();
    return [...new Set([all[0], all.at(-1)])].join(' to ');
  };
  const facts = [...new Set(results.flatMap((one) => Object.keys(one.facts)))];
  const reasons = [...new Set(Object.values(NOT_INSIDE))];
  return [
    table(['', ...suites.map(({ name }) => name)], [
      ['looked at (UTC)', ...suites.map(({ result }) => (result === undefined ? 'not yet' : times(result)))],
      ...facts.map((fact) => [fact, ...suites.map(({ result }) => result?.facts[fact] ?? '–')]),
      ...others.map((part) => [part, ...suites.map(({ result }) => cell(result, part))]),
      ...files.map((part) => [part, ...suites.map(({ result }) => cell(result, part))]),
    ]),
    'Left out:',
    table(['files of test/host', 'because'], reasons.map((reason) => [Object.keys(NOT_INSIDE).filter((name) => NOT_INSIDE[name] === reason).join(', '), reason])),
  ].join('\n\n');
}

if (import.meta.main) {
  const page = fs.readFileSync(PAGE, 'utf8');
  const from = page.indexOf(BEGIN), to = page.indexOf(END);
  if (from < 0 || to < from) throw new TypeError(`${PAGE} has no marks`);
  const results = DEBIAN_SUITES.flatMap((suite) => readInsideResult(suite) ?? []);
  fs.writeFileSync(PAGE, `${page.slice(0, from)}${BEGIN}\n\n${insideTables(results)}\n\n${page.slice(to)}`);
}
