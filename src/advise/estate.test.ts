import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { estateDecisions, exampleEstate } from '../../test/lib/example-estate.ts';

const PINNED = fs.readFileSync(path.join(import.meta.dirname, '../../test/fixtures/advise/estate-decisions.yaml'), 'utf8');

test('the example estate has at least forty workloads, each with a name of its own', () => {
  const names = exampleEstate().map((one) => one.meta.name);
  assert.ok(names.length >= 40);
  assert.equal(new Set(names).size, names.length);
});

test('every decision of the example estate is the pinned one, with its top reasons', () => {
  const pinned = parse(PINNED) as { decisions: Record<string, unknown>; placement: unknown; redFlags: unknown };
  const fresh = parse(estateDecisions()) as typeof pinned;
  for (const [name, decision] of Object.entries(fresh.decisions)) assert.deepEqual(decision, pinned.decisions[name], `${name}: write the pins anew with test/fixtures/advise/write-estate-decisions.ts when this is meant`);
  assert.deepEqual(Object.keys(fresh.decisions), Object.keys(pinned.decisions));
  assert.deepEqual([fresh.placement, fresh.redFlags], [pinned.placement, pinned.redFlags]);
});

test('the example estate meets every answer', () => {
  const answers = new Set(Object.values((parse(PINNED) as { decisions: Record<string, { form: string }> }).decisions).map((one) => one.form));
  assert.deepEqual([...answers].sort(), ['appContainer', 'host', 'microVM', 'none', 'osContainer', 'vm']);
});
