import assert from 'node:assert/strict';
import { it } from 'node:test';
import { deadlineIn } from './deadline.ts';

it('counts down on the clock that it was given', () => {
  let now = 1000;
  const deadline = deadlineIn(500, () => now);
  assert.deepEqual([deadline.leftMs(), deadline.passed()], [500, false]);
  now = 1499;
  assert.deepEqual([deadline.leftMs(), deadline.passed()], [1, false]);
  now = 1600;
  assert.deepEqual([deadline.leftMs(), deadline.passed()], [0, true]);
});

it('lets the first of work and deadline win', async () => {
  assert.equal(await deadlineIn(60_000).race(Promise.resolve('done'), () => new Error('late')), 'done');
  assert.equal(await deadlineIn(Infinity).race(Promise.resolve('done'), () => new Error('late')), 'done');
  await assert.rejects(deadlineIn(60_000).race(Promise.reject(new Error('broken')), () => new Error('late')), /broken/);
  await assert.rejects(deadlineIn(5).race(new Promise(() => undefined), () => new Error('late')), /late/);
});
