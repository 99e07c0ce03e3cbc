import assert from 'node:assert/strict';
import { it } from 'node:test';
import { keyedQueue } from './keyed-queue.ts';

it('runs one at a time for a key and many keys side by side', async () => {
  await using queue = keyedQueue();
  const log: string[] = [];
  const gate = Promise.withResolvers<void>();
  const first = queue.run('a', async () => { log.push('a1'); await gate.promise; log.push('a1 end'); return 1; });
  const second = queue.run('a', async () => { log.push('a2'); return 2; });
  await queue.run('b', async () => { log.push('b'); });
  assert.deepEqual([log, queue.busy('a'), queue.busy('b'), queue.size], [['a1', 'b'], true, false, 1]);
  gate.resolve();
  assert.deepEqual([await first, await second], [1, 2]);
  assert.deepEqual(log, ['a1', 'b', 'a1 end', 'a2']);
  await queue.idle();
  assert.equal(queue.size, 0);
});

it('goes on after work that failed, also when it threw at once', async () => {
  await using queue = keyedQueue();
  const bad = queue.run('a', () => { throw new Error('broken'); });
  const good = queue.run('a', async () => 'fine');
  await assert.rejects(bad, /broken/);
  assert.equal(await good, 'fine');
});

it('never starts what was aborted while it waited', async () => {
  await using queue = keyedQueue();
  const gate = Promise.withResolvers<void>();
  const stop = new AbortController();
  let started = false;
  const first = queue.run('a', () => gate.promise);
  const second = queue.run('a', async () => { started = true; }, stop.signal);
  const third = queue.run('a', async () => 'third');
  stop.abort(new Error('no longer wanted'));
  await assert.rejects(second, /no longer wanted/);
  await assert.rejects(queue.run('a', async () => undefined, stop.signal), /no longer wanted/);
  gate.resolve();
  await first;
  assert.equal(await third, 'third');
  assert.equal(started, false);
});

it('hands the signal to what runs, and closing waits for it', async () => {
  const queue = keyedQueue();
  const running = queue.run('a', (signal) => new Promise<string>((resolve) => signal.addEventListener('abort', () => resolve('stopped'))));
  const waiting = queue.run('a', async () => undefined);
  const refused = assert.rejects(waiting, /closed/);
  await new Promise((resolve) => setImmediate(resolve));
  await queue[Symbol.asyncDispose]();
  // The queue aborted what ran: it told its end itself or was told that the queue is closed.
  assert.equal(await running, 'stopped');
  await refused;
  await assert.rejects(queue.run('b', async () => undefined), /closed/);
});
