import assert from 'node:assert/strict';
import { it } from 'node:test';
import { boundedQueue } from './bounded-queue.ts';

const overflow = (): Error => new Error('too slow');

it('hands over in order, before and after the reader waits', async () => {
  const queue = boundedQueue<number>(5000, overflow);
  for (let i = 0; i < 3000; i++) queue.push(i);
  const got: number[] = [];
  const reading = (async () => {
    for await (const item of queue) {
      got.push(item);
      if (item === 3001) return;
    }
  })();
  await new Promise((resolve) => setImmediate(resolve));
  queue.push(3000);
  queue.push(3001);
  await reading;
  assert.deepEqual(got, Array.from({ length: 3002 }, (_, i) => i));
  assert.equal(queue.closed, true);
});

it('fails when more waits than allowed, but takes one heavy item alone', async () => {
  const queue = boundedQueue<string>(10, overflow);
  queue.push('heavy', 50);
  assert.deepEqual([queue.waiting, queue.closed], [50, false]);
  queue.push('one more', 1);
  assert.deepEqual([queue.waiting, queue.closed], [0, true]);
  const reader = queue[Symbol.asyncIterator]();
  await assert.rejects(reader.next(), /too slow/);
  assert.equal((await reader.next()).done, true);
});

it('ends and fails at once, also for a reader that waits', async () => {
  const ended = boundedQueue<string>(10, overflow);
  const waiting = ended[Symbol.asyncIterator]().next();
  ended.end();
  assert.equal((await waiting).done, true);
  ended.push('late');
  assert.equal(ended.waiting, 0);

  const failed = boundedQueue<string>(10, overflow);
  failed.push('dropped');
  failed.fail(new Error('broken'));
  failed.fail(new Error('again'));
  await assert.rejects(failed[Symbol.asyncIterator]().next(), /broken/);
});
