import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, describe, it } from 'node:test';
import { until } from '../../../../test/lib/until.ts';
import { BerthError } from '../../../model/errors.ts';
import { storeContract } from '../contract.ts';
import type { Store, WatchBatch } from '../driver.ts';
import { openSqliteStore } from './store.ts';

const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-store-'));
after(() => fs.rmSync(dir, { recursive: true }));

let count = 0;
const freshFile = (): string => path.join(dir, `${count++}.db`);
storeContract({ name: 'sqlite', open: () => openSqliteStore(freshFile()) });

function put(store: Store, key: string, value: string, lease?: string): ReturnType<Store['txn']> {
  return store.txn([], [{ put: key, value: Buffer.from(value), lease }]);
}

async function firstBatches(store: Store, afterRevision: number, wanted: number): Promise<WatchBatch[]> {
  const batches: WatchBatch[] = [];
  for await (const batch of store.watch('', afterRevision, AbortSignal.timeout(10_000))) {
    batches.push(batch);
    if (batches.length === wanted) break;
  }
  return batches;
}

/** Commits in the write-ahead log: frames that say how large the database is (https://sqlite.org/walformat.html). */
function commitsIn(wal: Buffer): number {
  let commits = 0;
  for (let at = 32; at + 24 <= wal.length; at += 24 + 4096) {
    if (wal.compare(wal, 16, 24, at + 8, at + 16) === 0 && wal.readUInt32BE(at + 4) !== 0) commits++;
  }
  return commits;
}

function rows(file: string, table: string): number {
  const db = new DatabaseSync(file, { readOnly: true });
  try {
    return (db.prepare(`SELECT count(*) AS n FROM ${table}`).get() as { n: number }).n;
  } finally {
    db.close();
  }
}

describe('store on SQLite', () => {
  it('keeps keys, history, leases and revisions over a restart, and watches from before it', async () => {
    const file = freshFile();
    let store = await openSqliteStore(file);
    const lease = await store.grantLease(60_000);
    await put(store, 'a', 'one');
    await put(store, 'a', 'two', lease);
    await store.txn([], [{ put: 'b', value: Buffer.from('x') }, { put: 'c', value: Buffer.alloc(0) }]);
    await store.txn([], [{ delete: 'b' }]);
    const before = await firstBatches(store, 0, 4);
    await store[Symbol.asyncDispose]();

    store = await openSqliteStore(file);
    assert.equal(await store.revision(), 4);
    assert.deepEqual(await store.get('a'), { key: 'a', value: new Uint8Array(Buffer.from('two')), createRevision: 1, modRevision: 2, version: 2, lease });
    assert.equal(Buffer.from((await store.get('a', 1))!.value).toString(), 'one');
    assert.deepEqual(await firstBatches(store, 0, 4), before);
    assert.equal((await put(store, 'd', 'x')).revision, 5);
    await store.revokeLease(lease);
    assert.equal(await store.get('a'), undefined);
    await store.compact(6);
    await store[Symbol.asyncDispose]();

    store = await openSqliteStore(file);
    assert.equal(await store.revision(), 6);
    await assert.rejects(store.get('a', 5), (error) => error instanceof BerthError && error.details?.['reason'] === 'compacted');
    await assert.rejects(store.keepAlive(lease), (error) => error instanceof BerthError && error.code === 'notFound');
    await store[Symbol.asyncDispose]();
  });

  it('a lease that ran while the store was closed ends after its time', async () => {
    const file = freshFile();
    let store = await openSqliteStore(file);
    await put(store, 'a', 'x', await store.grantLease(1000));
    await store[Symbol.asyncDispose]();
    store = await openSqliteStore(file);
    assert.ok(await store.get('a'));
    await until(async () => (await store.get('a')) === undefined, { what: 'the end of the lease' });
    await store[Symbol.asyncDispose]();
  });

  it('a hundred concurrent transactions share one commit, each with its own revision', async () => {
    const file = freshFile();
    const store = await openSqliteStore(file);
    const commits = commitsIn(fs.readFileSync(`${file}-wal`));
    const results = await Promise.all(Array.from({ length: 100 }, (_, i) => store.txn([{ key: `k${i % 50}`, absent: true }], [{ put: `k${i % 50}`, value: Buffer.from(`${i}`) }])));
    assert.equal(commitsIn(fs.readFileSync(`${file}-wal`)), commits + 1);
    assert.deepEqual(results.map(({ succeeded }) => succeeded), Array.from({ length: 100 }, (_, i) => i < 50));
    assert.deepEqual(results.slice(0, 50).map(({ revision }) => revision), Array.from({ length: 50 }, (_, i) => i + 1));
    assert.ok(results.slice(50).every(({ revision }) => revision === 50));
    await store[Symbol.asyncDispose]();
  });

  it('what was asked for before closing is written, what comes later is refused', async () => {
    const file = freshFile();
    const store = await openSqliteStore(file);
    const last = put(store, 'a', 'x');
    const closing = store[Symbol.asyncDispose]();
    assert.equal((await last).revision, 1);
    await assert.rejects(put(store, 'b', 'x'), (error) => error instanceof BerthError && error.code === 'unavailable');
    await closing;
    assert.equal(rows(file, 'live'), 1);
  });

  it('compaction gives the rows back, also when it was cut short', async () => {
    const file = freshFile();
    let store = await openSqliteStore(file);
    for (let i = 0; i < 40; i++) await Promise.all(Array.from({ length: 50 }, (_, j) => put(store, `k${j % 7}`, `${i}`)));
    await store.txn([], [{ deletePrefix: 'k0' }]);
    await store.compact(await store.revision());
    await store[Symbol.asyncDispose](); // right after the promise: the sweep is not done
    assert.ok(rows(file, 'history') > 6);
    store = await openSqliteStore(file);
    const marks = async (): Promise<number> => {
      await put(store, 'beat', 'x');
      await store[Symbol.asyncDispose]();
      const left = rows(file, 'history');
      store = await openSqliteStore(file);
      return left;
    };
    await until(async () => (await marks()) < 60, { what: 'the end of the sweep' });
    assert.deepEqual((await store.range({ prefix: 'k' })).values.map(({ key }) => key), ['k1', 'k2', 'k3', 'k4', 'k5', 'k6']);
    await store[Symbol.asyncDispose]();
  });

  it('a watch that catches up is told when compaction overtakes it', async () => {
    const store = await openSqliteStore(freshFile());
    for (let i = 0; i < 4; i++) await Promise.all(Array.from({ length: 100 }, (_, j) => put(store, `k${j}`, `${i}`)));
    const reader = store.watch('', 0, AbortSignal.timeout(10_000))[Symbol.asyncIterator]();
    assert.equal((await reader.next()).value?.revision, 1);
    await store.compact(300);
    await assert.rejects(async () => {
      for (;;) if ((await reader.next()).done === true) return;
    }, (error) => error instanceof BerthError && error.details?.['reason'] === 'compacted');
    await store[Symbol.asyncDispose]();
  });
});
