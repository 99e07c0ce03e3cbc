import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parallel } from './parallel.ts';
import { Slots } from './slots.ts';

test('so many at once, in turn, and the failure of one frees its place', async () => {
  const slots = new Slots(2);
  let running = 0;
  let most = 0;
  const order: number[] = [];
  await Promise.allSettled(Array.from({ length: 8 }, (_, i) => slots.run(async () => {
    most = Math.max(most, ++running);
    order.push(i);
    await Promise.resolve();
    running--;
    if (i % 2 === 0) throw new Error('no');
  })));
  assert.deepEqual([most, order], [2, [0, 1, 2, 3, 4, 5, 6, 7]]);
});

test('who is cancelled while he waits never starts', async () => {
  const slots = new Slots(1);
  const first = Promise.withResolvers<void>();
  const holding = slots.run(() => first.promise);
  const stop = new AbortController();
  let started = false;
  const waiting = slots.run(async () => { started = true; }, stop.signal);
  stop.abort(new Error('left'));
  await assert.rejects(waiting, /left/);
  first.resolve();
  await holding;
  await slots.run(async () => undefined);
  assert.equal(started, false);
  await assert.rejects(slots.run(async () => undefined, stop.signal), /left/);
});

test('parallel work starts nothing after a failure, and ends when all that started has', async () => {
  const started: number[] = [];
  const ended: number[] = [];
  await assert.rejects(parallel([0, 1, 2, 3, 4], 2, async (i) => {
    started.push(i);
    await Promise.resolve();
    if (i === 1) throw new Error('no');
    await Promise.resolve();
    ended.push(i);
  }), /no/);
  assert.deepEqual([started, ended], [[0, 1], [0]]);
  await parallel([], 3, () => assert.fail('nothing to do'));
});
