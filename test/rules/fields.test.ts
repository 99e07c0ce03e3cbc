/** Every field of the model is looked at from inside in every form, or refused there with a reason: no field without its look. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import * as z from 'zod';
import { everyForm, field, fieldRows } from '../../src/model/define.ts';
import { FORMS } from '../../src/model/forms.ts';
import { CHANGED_BY_THEIR_LOOK, FIELD_LOOKS, fields, lookOf, rowOf, unseenCells } from '../lib/field-looks.ts';

test('every cell of field and form has its look, or its refusal', () => {
  assert.deepEqual(unseenCells(fields(), rowOf), []);
  assert.deepEqual(Object.keys(FIELD_LOOKS).filter((name) => fields().every((one) => one.path !== name)), [], 'looks at fields that are no more');
});

test('a field that changes what runs is changed and looked at again', () => {
  const live = fields().filter(({ traits }) => traits.change === 'live').map(({ path: name }) => name);
  const changed = fields().filter((one) => rowOf(one)?.next !== undefined).map(({ path: name }) => name);
  assert.deepEqual([...changed, ...CHANGED_BY_THEIR_LOOK].toSorted(), live.toSorted());
});

test('a look that lies elsewhere is there, and speaks of the field', () => {
  for (const one of fields()) {
    for (const look of FORMS.map((form) => lookOf(rowOf(one)!, form))) {
      if (typeof look !== 'string') continue;
      assert.match(fs.readFileSync(path.resolve(import.meta.dirname, '../..', look), 'utf8'), new RegExp(`\\b${one.path}\\b`), `${look} does not speak of ${one.path}`);
    }
  }
});

test('a new field without a look is seen, and one that has looks for some forms', () => {
  const means = { ...everyForm('Something.'), vm: { refused: 'Not there.' } };
  const rows = fieldRows(z.strictObject({ novelty: field(z.string(), 'New.', { change: 'live', means }) }));
  assert.deepEqual(unseenCells(rows, () => undefined), ['novelty in app container', 'novelty in OS container', 'novelty in microVM', 'novelty in VM'], 'a refusal needs a value that is refused');
  assert.deepEqual(unseenCells(rows, () => ({ value: undefined, see: { appContainer: async () => undefined } })), ['novelty in OS container', 'novelty in microVM']);
});
