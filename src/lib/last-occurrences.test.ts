import assert from 'node:assert/strict';
import { it } from 'node:test';
import { lastOccurrences } from './last-occurrences.ts';

it('lastOccurrences keeps the uppermost of equal layers', () => {
  assert.deepEqual(lastOccurrences(['base', 'empty', 'a', 'empty', 'b', 'empty']), ['base', 'a', 'b', 'empty']);
  assert.deepEqual(lastOccurrences([]), []);
});
