import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { tee } from './tee.ts';

const turn = (): Promise<void> => new Promise((resolve) => { setImmediate(resolve); });

async function all<T>(source: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of source) items.push(item);
  return items;
}

function counted(to: number) {
  const state = { given: 0, closed: false };
  async function* source(): AsyncGenerator<number> {
    try {
      while (state.given < to) yield state.given++;
    } finally {
      state.closed = true;
    }
  }
  return { state, source: source() };
}

describe('tee', () => {
  it('gives both everything in order', async () => {
    const [left, right] = tee(counted(100).source);
    const expected = Array.from({ length: 100 }, (_, i) => i);
    assert.deepEqual(await Promise.all([all(left), all(right)]), [expected, expected]);
  });

  it('lets neither run far ahead', async () => {
    const { state, source } = counted(1000);
    const [left, right] = tee(source, 4);
    const fast = all(left);
    for (let i = 0; i < 50; i++) await turn();
    assert.ok(state.given <= 5, String(state.given));
    assert.equal((await all(right)).length, 1000);
    assert.equal((await fast).length, 1000);
  });

  it('does not wait for one that left, whether or not it ever read', async () => {
    const [left, right] = tee(counted(100).source, 2);
    right.close();
    assert.equal((await all(left)).length, 100);
    const again = tee(counted(100).source, 2);
    const reading = all(again[0]);
    for await (const item of again[1]) if (item === 3) break;
    assert.equal((await reading).length, 100);
    const waiting = tee(counted(100).source, 1);
    const first = all(waiting[0]);
    await turn();
    waiting[1].close();
    assert.equal((await first).length, 100);
  });

  it('closes the source when both have left, and ends who waits', async () => {
    const { state, source } = counted(100);
    const [left, right] = tee(source, 1);
    const iterator = left[Symbol.asyncIterator]();
    await iterator.next();
    const waits = iterator.next();
    left.close();
    right.close();
    assert.equal((await waits).done, true);
    await turn();
    assert.equal(state.closed, true);
  });

  it('tells both what the source fails with, after what came before', async () => {
    async function* failing(): AsyncGenerator<number> {
      yield 1;
      throw new Error('cut');
    }
    for (const reader of tee(failing())) {
      const iterator = reader[Symbol.asyncIterator]();
      assert.deepEqual(await iterator.next(), { done: false, value: 1 });
      await assert.rejects(iterator.next(), /cut/);
    }
  });
});
