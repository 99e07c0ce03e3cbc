import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { IdSpan } from './claimed-ids.ts';
import { IdPool } from './id-pool.ts';

const SHAPE = { areas: [{ first: 1000, last: 1059 }, { first: 2000, last: 2019 }], step: 10, stepsPerChunk: 2 };

function poolOver(held: Set<number>, claims: readonly IdSpan[]): { pool: IdPool; leased: number[] } {
  const leased: number[] = [];
  const pool = new IdPool(SHAPE, async (choose) => {
    const chunk = choose(held, claims);
    if (chunk === undefined) throw new Error('none is left');
    held.add(chunk);
    leased.push(chunk);
    return chunk;
  });
  return { pool, leased };
}

test('ids come by the chunk, around what roots and the host hold', async () => {
  const { pool, leased } = poolOver(new Set([1020]), [{ first: 1019, last: 1019 }]);
  assert.deepEqual([await pool.take(), await pool.take(), await pool.take()], [1040, 1050, 2000]);
  assert.deepEqual(leased, [1040, 2000]);
  await pool.take();
  await assert.rejects(pool.take(), /none is left/);
});

test('takers at the same time share one lease', async () => {
  const { pool, leased } = poolOver(new Set(), []);
  assert.deepEqual((await Promise.all([pool.take(), pool.take()])).toSorted(), [1000, 1010]);
  assert.deepEqual(leased, [1000]);
});

test('what is given back is taken again, once', async () => {
  const { pool } = poolOver(new Set(), []);
  const id = await pool.take();
  pool.give(id);
  pool.give(id);
  assert.equal(await pool.take(), id);
  assert.notEqual(await pool.take(), id);
});

test('an inherited chunk hands out only what nobody uses', async () => {
  const { pool, leased } = poolOver(new Set([1000]), []);
  pool.inherit(1000, [{ first: 1000, last: 1009 }]);
  assert.equal(await pool.take(), 1010);
  pool.keep(1000);
  pool.give(1000);
  assert.equal(await pool.take(), 1000);
  assert.deepEqual(leased, []);
});

test('ids of other areas are never handed out', async () => {
  const { pool } = poolOver(new Set(), []);
  pool.keep(500);
  pool.give(500);
  assert.notEqual(await pool.take(), 500);
  assert.equal(pool.chunkOf(500), undefined);
  assert.equal(pool.chunkOf(1035), 1020);
});
