/** Each promise of SECURITY.md names a test file; its cases must be found there. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { HOME } from './source-tree.ts';

const ROW = /^\| (?<promise>[^|]+) \| (?<cases>[A-J]\d{2}(?: [A-J]\d{2})*) \| (?<file>[\w./-]+\.ts) \|$/;

interface Promised {
  readonly promise: string;
  readonly cases: readonly string[];
  readonly file: string;
}

export function promises(page: string): Promised[] {
  return page.split('\n').flatMap((line) => {
    const groups = ROW.exec(line)?.groups;
    return groups === undefined ? [] : [{ promise: groups['promise']!, cases: groups['cases']!.split(' '), file: groups['file']! }];
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

for (const { promise, cases, file } of all) {
  test(`${promise} (${cases.join(' ')})`, () => {
    const text = fs.readFileSync(path.join(HOME, file), 'utf8');
    assert.deepEqual(cases.filter((id) => !mentions(text, id)), [], `not found in ${file}`);
  });
}

test('a case that is nowhere, or a file that is not there, is noticed', () => {
  assert.equal(mentions('A05, A07–A09 go red', 'A08'), true);
  assert.equal(mentions('A05, A07–A09 go red', 'A06'), false);
  assert.deepEqual(promises('| x | A01 B02 | test/a.test.ts |\n| y | none | z |').map((row) => row.cases), [['A01', 'B02']]);
});
