import assert from 'node:assert/strict';
import { it } from 'node:test';
import { nextBackoffMs } from './backoff.ts';

it('doubles from 100 ms to a minute', () => {
  const waits: number[] = [];
  for (let i = 0; i < 12; i++) waits.push(nextBackoffMs(waits.at(-1), 0));
  assert.deepEqual(waits, [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 51_200, 60_000, 60_000]);
});

it('begins anew after ten seconds of running', () => {
  assert.equal(nextBackoffMs(60_000, 9999), 60_000);
  assert.equal(nextBackoffMs(60_000, 10_000), 100);
});
