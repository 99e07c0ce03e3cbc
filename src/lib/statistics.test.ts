import assert from 'node:assert/strict';
import { test } from 'node:test';
import { median, quantile, quartileSpread, slopeOf } from './statistics.ts';

test('the middle and the spread', () => {
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(median([4, 1, 2, 3]), 2.5);
  assert.equal(quantile([0, 10], 0.25), 2.5);
  assert.equal(quartileSpread([1, 2, 3, 4, 5]), 1);
  assert.ok(Number.isNaN(median([])));
});

test('a slope takes no notice of what is there from the beginning', () => {
  const exact = slopeOf([[1, 110], [2, 120], [3, 130]])!;
  assert.deepEqual([exact.slope, exact.n], [10, 3]);
  assert.ok(exact.error < 1e-9);
  const rough = slopeOf([[1, 10], [2, 21], [3, 29], [4, 40]])!;
  assert.ok(Math.abs(rough.slope - 9.8) < 1e-9 && rough.error > 0);
  assert.equal(slopeOf([[1, 1]]), undefined);
  assert.equal(slopeOf([[1, 1], [1, 2]]), undefined);
});
