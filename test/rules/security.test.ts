/** Each promise of SECURITY.md names test files; its cases must be found there, and be seen to fail without their guard. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { HOME } from './source-tree.ts';

const ROW = /^\| (?<promise>[^|]+) \| (?<cases>[A-J]\d{2}(?: [A-J]\d{2})*) \| (?<files>[\w./-]+\.ts(?: [\w./-]+\.ts)*) \|$/;

interface Promised {
  readonly promise: string;
  readonly cases: readonly string[];
  readonly files: readonly string[];
}

export function promises(page: string): Promised[] {
  return page.split('\n').flatMap((line) => {
    const groups = ROW.exec(line)?.groups;
    return groups === undefined ? [] : [{ promise: groups['promise']!, cases: groups['cases']!.split(' '), files: groups['files']!.split(' ') }];
  });
}

/** `A07–A09` covers A08. */
export function mentions(text: string, id: string): boolean {
  if (text.includes(id)) return true;
  const number = Number(id.slice(1));
  return [...text.matchAll(new RegExp(`${id[0]}(\\d{2})[–-]${id[0]}?(\\d{2})`, 'g'))].some((range) => Number(range[1]) <= number && number <= Number(range[2]));
}

const all = promises(fs.readFileSync(path.join(HOME, 'SECURITY.md'), 'utf8'));

test('SECURITY.md makes promises', () => { assert.ok(all.length >= 15, `${all.length} rows`); });

/** What this version promises; a case is added with what it is about. */
const PROMISED = 'A01 A02 A05 A07-A09 A12 A13-A22 B01 B03 B04 B06 C01 C02 C06 D01-D18 E05-E07 E09 E11-E13 E14 F01-F10 F14 G01-G08 G09 G10 G11 I04 J01 J04 J06-J08 J11 J13 J14';

/** Words by which a test says that it took a guard away, or looked where nothing holds. */
const SEEN_RED = /goesRed|goes? red|withAndWithout|guardsLeftOut|[Ww]ithoutRule|without (its|the|that) (guard|walls)|done without it|assert\.AssertionError|would be noticed|is noticed/;

/** Held by what a part does, not by one guard that could be left out. */
const NO_SINGLE_GUARD: ReadonlySet<string> = new Set(['F10']);

const wanted = PROMISED.split(' ').flatMap((text) => {
  const [first = '', last = first] = text.split('-');
  return Array.from({ length: Number(last.slice(1)) - Number(first.slice(1)) + 1 }, (_, at) => `${first[0]}${String(Number(first.slice(1)) + at).padStart(2, '0')}`);
});
const textOf = (files: readonly string[]): string => files.map((file) => fs.readFileSync(path.join(HOME, file), 'utf8')).join('\n');

test('every case that was promised is in SECURITY.md', () => {
  const known = new Set(all.flatMap(({ cases }) => cases));
  assert.ok(wanted.includes('A08') && wanted.includes('D09'));
  assert.deepEqual(wanted.filter((id) => !known.has(id)), []);
});

for (const { promise, cases, files } of all) {
  test(`${promise} (${cases.join(' ')})`, () => {
    assert.deepEqual(cases.filter((id) => !mentions(textOf(files), id)), [], `not found in ${files.join(', ')}`);
  });
}

for (const id of wanted.filter((one) => !NO_SINGLE_GUARD.has(one))) {
  test(`${id} is seen to fail without its guard`, () => {
    const rows = all.filter(({ cases }) => cases.includes(id));
    assert.ok(rows.some(({ files }) => SEEN_RED.test(textOf(files))), `none of ${rows.flatMap(({ files }) => files).join(', ')} takes a guard away`);
  });
}

test('a case that is nowhere, or a file that is not there, is noticed', () => {
  assert.equal(mentions('A05, A07–A09 go red', 'A08'), true);
  assert.equal(mentions('A05, A07–A09 go red', 'A06'), false);
  assert.deepEqual(promises('| x | A01 B02 | test/a.test.ts |\n| y | none | z |').map((row) => row.cases), [['A01', 'B02']]);
});
