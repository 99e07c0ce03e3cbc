import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BerthError } from '../model/errors.ts';
import { wantsJson } from './output.ts';
import type { Words } from './words.ts';

const words = (output?: string): Words => ({ words: [], text: (name) => (name === 'output' ? output : undefined), all: () => [], on: () => false, given: () => output !== undefined });

test('json when it is asked for, the plain form when nothing is, and no other word', () => {
  assert.deepEqual([words(), words('table'), words('json')].map((one) => wantsJson(one)), [false, false, true]);
  assert.deepEqual([words(), words('text'), words('json')].map((one) => wantsJson(one, 'text')), [false, false, true]);
  for (const [given, plain, hint] of [['yaml', 'table', 'There are table, json.'], ['jsn', 'text', 'Did you mean json? There are text, json.'], ['table', 'text', 'There are text, json.']] as const) {
    assert.throws(() => wantsJson(words(given), plain), (error: unknown) => error instanceof BerthError && error.code === 'invalid' && error.hint === hint, given);
  }
});
