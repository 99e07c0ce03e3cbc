import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as z from 'zod';
import { parseInput } from './define.ts';
import { BerthError } from './errors.ts';

const sample = z.strictObject({
  memoryBytes: z.number().int().min(4 * 1024 * 1024).max(1024 ** 4),
  cpus: z.number().min(0.01).lt(9),
  type: z.enum(['filesystem', 'block']),
  kind: z.literal('Instance'),
  name: z.string().min(2).max(5).regex(/^[a-z]+$/, 'use letters'),
  list: z.array(z.string()).max(1),
  on: z.boolean(),
}).partial();

function wrong(input: unknown): string {
  try {
    parseInput(sample, input, 'request', '', 'instance');
  } catch (error) {
    assert.ok(error instanceof BerthError);
    return error.message.replace('The request is not valid: ', '');
  }
  return 'valid';
}

test('what is wrong with a field is said in its own words, sizes as sizes', () => {
  assert.equal(wrong({ memoryBytes: 1 }), 'memoryBytes: must be at least 4MiB.');
  assert.equal(wrong({ memoryBytes: 2 ** 50 }), 'memoryBytes: must be at most 1TiB.');
  assert.equal(wrong({ memoryBytes: 4194304.5 }), 'memoryBytes: must be a whole number.');
  assert.equal(wrong({ cpus: 0 }), 'cpus: must be at least 0.01.');
  assert.equal(wrong({ cpus: 9 }), 'cpus: must be less than 9.');
  assert.equal(wrong({ cpus: 'many' }), 'cpus: must be a number.');
  assert.equal(wrong({ type: 'disk' }), 'type: must be one of filesystem, block.');
  assert.equal(wrong({ kind: 'Pod' }), 'kind: must be Instance.');
  assert.equal(wrong({ name: 'abcdef' }), 'name: must have at most 5 characters.');
  assert.equal(wrong({ list: ['a', 'b'] }), 'list: must have at most 1 entries.');
  assert.equal(wrong({ on: 'yes' }), 'on: must be true or false.');
  assert.equal(wrong(5), 'must be an object.');
});

test('what a schema says itself stays', () => {
  assert.equal(wrong({ name: 'A1' }), 'name: use letters.');
});

test('a field that is due and not there is missing', () => {
  assert.throws(() => parseInput(z.strictObject({ image: z.string() }), {}, 'request'), { message: 'The request is not valid: image: is missing.' });
});

test('the hint leads to what the field is, of the kind that was meant', () => {
  const hint = (input: unknown, kind?: string): string | undefined => {
    try {
      parseInput(z.strictObject({ meta: z.strictObject({ name: z.string() }).optional(), spec: sample }), input, 'request', '', kind);
    } catch (error) {
      return (error as BerthError).hint;
    }
    return 'none';
  };
  assert.equal(hint({ spec: { memoryBytes: 1 } }, 'instance'), '`berth explain instance.memoryBytes` says what it takes.');
  assert.equal(hint({ spec: { memory: 1 } }, 'instance'), '`berth explain instance` lists the fields.');
  assert.equal(hint({ spec: { cpus: 0 } }, 'volume'), '`berth explain volume.cpus` says what it takes.');
  assert.equal(hint({ spec: {}, meta: { name: 1 } }, 'instance'), undefined);
  assert.equal(hint({ spec: { cpus: 0 } }), undefined);
});
