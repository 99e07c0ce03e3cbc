/** What a durable transaction of the SQLite store costs beside the floor: a bare INSERT in a commit of its own. Prints JSON. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { openSqliteStore } from '../../src/drivers/store/sqlite/store.ts';

const ROUNDS = Number(process.env['ROUNDS'] ?? 500);
const VALUE = Buffer.alloc(2048, 'v');
const dir = fs.mkdtempSync(path.join(process.env['BENCH_DIR'] ?? os.tmpdir(), 'berth-bench-'));

function median(times: number[]): number {
  return times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)]!;
}

async function timed(work: () => unknown): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

try {
  const db = new DatabaseSync(path.join(dir, 'floor.db'));
  db.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE t (id INTEGER PRIMARY KEY, v BLOB)');
  const insert = db.prepare('INSERT INTO t (v) VALUES (?)');
  const file = path.join(dir, 'store.db');
  const opening = await timed(async () => (await openSqliteStore(file))[Symbol.asyncDispose]());
  const store = await openSqliteStore(file);
  const floor: number[] = [];
  const single: number[] = [];
  // Interleaved, so that what else the disk does hits both alike.
  for (let i = 0; i < ROUNDS; i++) {
    floor.push(await timed(() => insert.run(VALUE)));
    single.push(await timed(() => store.txn([{ key: `k/${i}`, absent: true }], [{ put: `k/${i}`, value: VALUE }])));
  }
  const grouped = await timed(() => Promise.all(Array.from({ length: 100 }, (_, i) => store.txn([], [{ put: `g/${i}`, value: VALUE }]))));
  const range = await timed(() => store.range({ prefix: 'k/', limit: 500 }));
  await store[Symbol.asyncDispose]();
  const reopening = await timed(async () => (await openSqliteStore(file))[Symbol.asyncDispose]());
  db.close();
  const round = (value: number): number => Number(value.toFixed(3));
  console.log(JSON.stringify({
    name: 'store', rounds: ROUNDS, floorMs: round(median(floor)), txnMs: round(median(single)),
    ratio: round(median(single) / median(floor)), worstTxnMs: round(Math.max(...single)), worstFloorMs: round(Math.max(...floor)),
    hundredConcurrentTxnsMs: round(grouped), range500Ms: round(range), createMs: round(opening), reopenMs: round(reopening),
  }));
} finally {
  fs.rmSync(dir, { recursive: true });
}
