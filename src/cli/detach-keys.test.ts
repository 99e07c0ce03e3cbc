import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_DETACH_KEYS, detachKeys } from './detach-keys.ts';

const CTRL_P = 16;
const CTRL_Q = 17;
const typed = (keys: string, ...chunks: readonly (readonly number[])[]) => {
  const filter = detachKeys(keys)!;
  return chunks.map((chunk) => {
    const { bytes, detach } = filter.filter(Uint8Array.from(chunk));
    return detach ? [...bytes, 'detach'] : [...bytes];
  });
};

test('the keys in a row leave, in one chunk or in two', () => {
  assert.deepEqual(typed(DEFAULT_DETACH_KEYS, [97, CTRL_P, CTRL_Q, 98]), [[97, 'detach']]);
  assert.deepEqual(typed(DEFAULT_DETACH_KEYS, [CTRL_P], [CTRL_Q]), [[], ['detach']]);
});

test('what only looked like them reaches the process', () => {
  assert.deepEqual(typed(DEFAULT_DETACH_KEYS, [CTRL_P, 97], [CTRL_Q]), [[CTRL_P, 97], [CTRL_Q]]);
  assert.deepEqual(typed(DEFAULT_DETACH_KEYS, [CTRL_P, CTRL_P, CTRL_Q]), [[CTRL_P, 'detach']]);
});

test('other keys, and none', () => {
  assert.deepEqual(typed('ctrl-@,x', [0, 120]), [['detach']]);
  assert.deepEqual(typed('q', [97, 113]), [[97, 'detach']]);
  assert.equal(detachKeys(''), undefined);
  assert.throws(() => detachKeys('ctrl-1'), /no key/);
});
