/** Damage is loud: every way in which a store's files can be wrong, and the ways of ending that must not look like one. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, describe, it } from 'node:test';
import { BerthError } from '../../../model/errors.ts';
import { openFile } from './open.ts';
import { asideName, MIGRATIONS, schemaVersion, type Migration } from './schema.ts';
import { openSqliteStore } from './store.ts';

const root = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-open-'));
after(() => fs.rmSync(root, { recursive: true }));
let count = 0;

function freshFile(): string {
  const dir = path.join(root, String(count++));
  fs.mkdirSync(dir);
  return path.join(dir, 'state.db');
}

/** A store with some transactions of 3 KB in it, closed. */
async function closedStore(txns = 20): Promise<string> {
  const file = freshFile();
  const store = await openSqliteStore(file);
  for (let i = 0; i < txns; i++) await store.txn([], [{ put: `key/${i}`, value: Buffer.alloc(3000, `value-${i} `) }]);
  await store[Symbol.asyncDispose]();
  return file;
}

/** The files as a power cut would leave them after the last of some acknowledged transactions. */
async function crashedStore(txns = 20): Promise<string> {
  const file = freshFile();
  const store = await openSqliteStore(file);
  for (let i = 0; i < txns; i++) await store.txn([], [{ put: `key/${i}`, value: Buffer.alloc(3000, `value-${i} `) }]);
  const copy = freshFile();
  for (const end of ['', '-wal', '.exists']) fs.copyFileSync(file + end, copy + end);
  await store[Symbol.asyncDispose]();
  return copy;
}

async function keysOf(file: string): Promise<number> {
  await using store = await openSqliteStore(file);
  return (await store.range({ prefix: '' })).values.length;
}

async function refused(file: string, message: RegExp): Promise<void> {
  const before = contents(file);
  await assert.rejects(keysOf(file), (error) => {
    assert.ok(error instanceof BerthError, String(error));
    assert.deepEqual([error.code, error.details?.['reason']], ['unavailable', 'corrupt'], error.message);
    assert.match(error.message, message);
    assert.match(error.hint ?? '', /backup|recover/);
    return true;
  });
  assert.deepEqual(contents(file), before, 'the damaged files must stay as they are');
}

function contents(file: string): Record<string, string> {
  const dir = path.dirname(file);
  return Object.fromEntries(fs.readdirSync(dir).sort().map((name) => [name, createHash('sha256').update(fs.readFileSync(path.join(dir, name))).digest('hex')]));
}

function flip(file: string, at: number): void {
  const bytes = fs.readFileSync(file);
  bytes[at < 0 ? bytes.length + at : at]! ^= 0x10;
  fs.writeFileSync(file, bytes);
}

describe('a damaged store is refused', () => {
  it('gone', async () => {
    const file = await closedStore();
    fs.rmSync(file);
    await refused(file, /it is gone/);
  });

  it('empty', async () => {
    const file = await closedStore();
    fs.truncateSync(file, 0);
    await refused(file, /it is empty/);
  });

  it('cut off, by little and by much, closed and crashed', async () => {
    for (const make of [closedStore, crashedStore]) {
      for (const part of [0.99, 0.5, 0.01]) {
        const file = await make(200);
        fs.truncateSync(file, Math.floor(fs.statSync(file).size * part));
        await refused(file, /damaged/);
      }
    }
  });

  it('cut off at a page', async () => {
    const file = await closedStore();
    fs.truncateSync(file, fs.statSync(file).size - 4096);
    await refused(file, /another length/);
  });

  it('garbage', async () => {
    const file = await closedStore();
    fs.writeFileSync(file, Buffer.alloc(8192, 'garbage!'));
    await refused(file, /does not begin like a database/);
  });

  it('a database of another program', async () => {
    const file = freshFile();
    const db = new DatabaseSync(file);
    db.exec('CREATE TABLE t (x); PRAGMA user_version = 1');
    db.close();
    await refused(file, /another program/);
  });

  it('a symbolic link', async () => {
    const file = await closedStore();
    fs.renameSync(file, `${file}.real`);
    fs.symlinkSync(`${file}.real`, file);
    await assert.rejects(keysOf(file), BerthError);
  });

  it('a bit of a value flipped while it was closed: seen when it is read', async () => {
    const file = await closedStore();
    const at = fs.readFileSync(file).indexOf('value-7 value-7 ');
    assert.ok(at > 0);
    flip(file, at);
    await refusedRead(file);
  });

  it('a bit of a value flipped and then a crash: seen at the start', async () => {
    const file = await closedStore();
    flip(file, fs.readFileSync(file).indexOf('value-7 value-7 '));
    fs.writeFileSync(`${file}.exists`, 'closing\n');
    await refused(file, /is not what was written/);
  });

  it('the index and the history tell different things', async () => {
    const file = await closedStore();
    const db = new DatabaseSync(file);
    db.exec("DELETE FROM live WHERE key = 'key/3'");
    db.close();
    fs.writeFileSync(`${file}.exists`, 'closing\n');
    await refused(file, /differ about "key\/3"/);
  });

  it('the log of a crashed store is gone, empty or cut off', async () => {
    const gone = await crashedStore();
    fs.rmSync(`${gone}-wal`);
    await refused(gone, /log is gone/);
    const empty = await crashedStore();
    fs.truncateSync(`${empty}-wal`, 0);
    await refused(empty, /log is gone/);
    const cut = await crashedStore();
    fs.truncateSync(`${cut}-wal`, 20);
    await refused(cut, /cut off/);
  });

  it('a bit of the log flipped in front of acknowledged commits', async () => {
    const first = await crashedStore();
    flip(`${first}-wal`, 32 + 24 + 100);
    await refused(first, /at least \d+ commits lie behind/);
    const header = await crashedStore();
    flip(`${header}-wal`, 17);
    await refused(header, /header/);
  });
});

describe('what was acknowledged is known beside the store', () => {
  /** As kill -9 leaves the files, and the system goes on. */
  async function killedStore(): Promise<string> {
    const file = freshFile();
    const store = await openSqliteStore(file);
    for (let i = 0; i < 20; i++) await store.txn([], [{ put: `key/${i}`, value: Buffer.alloc(3000, `value-${i} `) }]);
    const copy = freshFile();
    for (const end of ['', '-wal', '.exists', '.acknowledged']) fs.copyFileSync(file + end, copy + end);
    await store[Symbol.asyncDispose]();
    return copy;
  }

  it('a log that was cut anywhere, or whose last commit is damaged, is refused', async () => {
    for (const part of [0.5, 0.99]) {
      const cut = await killedStore();
      fs.truncateSync(`${cut}-wal`, Math.floor(fs.statSync(`${cut}-wal`).size * part));
      await refused(cut, /ends at revision \d+, and revision 20 had been acknowledged/);
    }
    const short = await killedStore();
    fs.truncateSync(`${short}-wal`, fs.statSync(`${short}-wal`).size - 1);
    await refused(short, /revision 20 had been acknowledged/);
    const flipped = await killedStore();
    flip(`${flipped}-wal`, -100);
    await refused(flipped, /revision 20 had been acknowledged/);
  });

  it('an older copy of the whole store is refused until somebody says that it is meant', async () => {
    const file = freshFile();
    let store = await openSqliteStore(file);
    await store.txn([], [{ put: 'key/1', value: Buffer.from('1') }]);
    await store[Symbol.asyncDispose]();
    fs.copyFileSync(file, `${file}.backup`);
    store = await openSqliteStore(file);
    await store.txn([], [{ put: 'key/2', value: Buffer.from('2') }]);
    await store[Symbol.asyncDispose]();
    fs.renameSync(`${file}.backup`, file);
    await refused(file, /it ends at revision 1, and revision 2 had been acknowledged/);
    fs.rmSync(`${file}.acknowledged`);
    assert.equal(await keysOf(file), 1);
  });

  it('a record that is not readable is no damage of the store, and compaction is none either', async () => {
    const file = await killedStore();
    flip(`${file}.acknowledged`, 3);
    assert.equal(await keysOf(file), 20);
    const store = await openSqliteStore(file);
    for (let i = 0; i < 20; i++) await store.txn([], [{ delete: `key/${i}` }]);
    await store.compact(await store.revision());
    await store[Symbol.asyncDispose]();
    assert.equal(await keysOf(file), 0);
  });
});

async function refusedRead(file: string): Promise<void> {
  await using store = await openSqliteStore(file);
  await assert.rejects(store.get('key/7'), (error) => error instanceof BerthError && error.details?.['reason'] === 'corrupt');
  await assert.rejects(store.range({ prefix: '' }), BerthError);
  assert.ok(await store.get('key/8'));
}

describe('an end that is no damage', () => {
  it('a crash loses nothing that was acknowledged', async () => {
    assert.equal(await keysOf(await crashedStore()), 20);
  });

  it('a torn last commit goes, the ones before it stay', async () => {
    const flipped = await crashedStore();
    flip(`${flipped}-wal`, -100);
    assert.equal(await keysOf(flipped), 19);
    const cut = await crashedStore();
    fs.truncateSync(`${cut}-wal`, fs.statSync(`${cut}-wal`).size - 1000);
    assert.equal(await keysOf(cut), 19);
  });

  it('a crash while opening or closing', async () => {
    const closing = await crashedStore();
    fs.writeFileSync(`${closing}.exists`, 'closing\n');
    assert.equal(await keysOf(closing), 20);
    const closed = await closedStore();
    fs.writeFileSync(`${closed}.exists`, 'closing\n');
    assert.equal(await keysOf(closed), 20);
    const opened = await crashedStore();
    fs.writeFileSync(`${opened}.exists`, 'clean\n');
    assert.equal(await keysOf(opened), 20);
    const unmarked = await crashedStore();
    fs.rmSync(`${unmarked}.exists`);
    assert.equal(await keysOf(unmarked), 20);
    const garbled = await closedStore();
    fs.writeFileSync(`${garbled}.exists`, '\0\0\0');
    assert.equal(await keysOf(garbled), 20);
  });

  it('a crash while the first file was made', async () => {
    const file = freshFile();
    fs.writeFileSync(file, '');
    assert.equal(await keysOf(file), 0);
  });

  it('only the owner may read a new file', async () => {
    const file = await closedStore(1);
    assert.deepEqual([file, `${file}.exists`].map((name) => fs.statSync(name).mode & 0o777), [0o600, 0o600]);
  });
});

describe('one file, one process', () => {
  it('a second opener is refused while the first goes on', async () => {
    const file = await closedStore(1);
    await using store = await openSqliteStore(file);
    await assert.rejects(openSqliteStore(file), (error) => error instanceof BerthError && error.code === 'busy');
    const other = new DatabaseSync(file, { timeout: 0 });
    assert.throws(() => other.exec('BEGIN IMMEDIATE'), /locked/);
    other.close();
    assert.equal((await store.txn([], [{ put: 'x', value: Buffer.from('x') }])).succeeded, true);
  });
});

describe('versions of the schema', () => {
  it('a newer one is refused and left alone', async () => {
    const file = await closedStore(1);
    const db = new DatabaseSync(file);
    db.exec('PRAGMA user_version = 99');
    db.close();
    await assert.rejects(openSqliteStore(file), (error) => error instanceof BerthError && error.code === 'unsupported' && error.details?.['reason'] === 'newerSchema');
    const again = new DatabaseSync(file, { readOnly: true });
    assert.equal(schemaVersion(again), 99);
    again.close();
  });

  const later: Migration[] = [
    ...MIGRATIONS,
    { from: 1, apply: (db) => db.exec('CREATE TABLE second (x)') },
    { from: 2, apply: (db) => db.exec('CREATE TABLE third (x)') },
  ];

  it('an older one is put aside and brought up to date', async () => {
    const file = await closedStore();
    const opened = await openFile(file, later);
    assert.equal(schemaVersion(opened.db), 3);
    opened.db.exec('SELECT * FROM second, third');
    await opened.close();
    const aside = new DatabaseSync(asideName(file, 1), { readOnly: true });
    assert.deepEqual([schemaVersion(aside), (aside.prepare('SELECT count(*) AS n FROM live').get() as { n: number }).n], [1, 20]);
    aside.close();
  });

  it('a crashed older one takes its log along into the copy', async () => {
    const file = await crashedStore();
    await (await openFile(file, later)).close();
    const aside = new DatabaseSync(asideName(file, 1), { readOnly: true });
    assert.equal((aside.prepare('SELECT count(*) AS n FROM live').get() as { n: number }).n, 20);
    aside.close();
  });

  it('killed in any step, the next start goes on from there', async () => {
    for (const killedAt of [1, 2]) {
      const file = await closedStore();
      const steps = later.map((step) => (step.from !== killedAt ? step : {
        from: step.from,
        apply(db: DatabaseSync) {
          step.apply(db);
          throw new Error('killed');
        },
      }));
      await assert.rejects(openFile(file, steps), /killed/);
      const aside = fs.readFileSync(asideName(file, 1));
      const opened = await openFile(file, later);
      assert.equal(schemaVersion(opened.db), 3);
      await opened.close();
      assert.ok(fs.readFileSync(asideName(file, 1)).equals(aside), 'the first copy is the one to keep');
      const result = new DatabaseSync(file, { readOnly: true });
      assert.equal((result.prepare('SELECT count(*) AS n FROM live').get() as { n: number }).n, 20);
      result.close();
    }
  });
});
