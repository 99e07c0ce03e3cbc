import assert from 'node:assert/strict';
import { it } from 'node:test';
import { pullQueue } from './pull-queue.ts';

it('hands everything on in order, and ends after it', async () => {
  const queue = pullQueue<number>(10, () => undefined);
  queue.push(1, 1);
  queue.push(2, 1);
  queue.end();
  const seen: number[] = [];
  for await (const item of queue) seen.push(item);
  assert.deepEqual(seen, [1, 2]);
});

it('tells the writer to stop when enough is held, and to go on when half of it was read', async () => {
  let drained = 0;
  const queue = pullQueue<number>(4, () => { drained++; });
  assert.equal(queue.push(1, 2), true);
  assert.equal(queue.push(2, 2), false);
  const reader = queue[Symbol.asyncIterator]();
  await reader.next();
  assert.equal(drained, 1);
  await reader.next();
  assert.equal(drained, 1);
});

it('wakes a reader that waits', async () => {
  let finished = 0;
  const queue = pullQueue<string>(4, () => undefined, () => { finished++; });
  const reader = queue[Symbol.asyncIterator]();
  const first = reader.next();
  assert.equal(queue.push('a', 9), true);
  assert.deepEqual(await first, { done: false, value: 'a' });
  const second = reader.next();
  queue.end();
  assert.equal((await second).done, true);
  assert.equal(finished, 1);
  assert.equal((await reader.next()).done, true);
  assert.equal(finished, 1);
});

it('drops what is held when nobody wants it', async () => {
  const queue = pullQueue<number>(4, () => undefined);
  queue.push(1, 1);
  queue.drop();
  assert.equal((await queue[Symbol.asyncIterator]().next()).done, true);
  assert.equal(queue.push(2, 1), false);
});
