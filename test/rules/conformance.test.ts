/** docs/reference/conformance.md says what the suites do today, and every runtime has the same cases, run or refused. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import { CONFORMANCE_FILE, conformancePage, runtimeCases } from '../lib/conformance-page.ts';

test('the page of conformance is fresh (`npm run generate`)', () => {
  assert.equal(fs.readFileSync(CONFORMANCE_FILE, 'utf8'), conformancePage());
});

test('no case is lost: each runtime runs or refuses all of them, each once', () => {
  const all = [...runtimeCases()].map(([name, { ran, refused }]) => [name, [...ran, ...refused.map(({ title }) => title)].sort()] as const);
  const [, titles] = all[0]!;
  assert.ok(titles.length > 50 && new Set(titles).size === titles.length);
  for (const [name, own] of all) assert.deepEqual(own, titles, name);
});
