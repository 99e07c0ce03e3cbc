import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { exitRecord, readReason, type WatcherWords } from './exit-record.ts';

const said = (words: Partial<WatcherWords>): WatcherWords => ({ exitCode: 0, reason: 'exited', qemuStatus: 137, finishedAtMs: 5, ...words });
const monitor = { exitCode: 9, finishedAtMs: 7 };

test('the watcher knows the code, the monitor the time', () => {
  assert.deepEqual(exitRecord(said({ exitCode: 7 }), monitor, 0), { exitCode: 7, reason: 'exited', finishedAtMs: 7 });
  assert.deepEqual(exitRecord(said({ exitCode: 7 }), undefined, 0), { exitCode: 7, reason: 'exited', finishedAtMs: 5 });
  assert.deepEqual(exitRecord(said({ exitCode: 137, reason: 'oom' }), monitor, 0).reason, 'oom');
});

test('a machine that the host killed for memory says so, one that vanished has no code', () => {
  assert.deepEqual(exitRecord(said({ exitCode: 137, reason: 'killed' }), monitor, 1).reason, 'oom');
  assert.deepEqual(exitRecord(said({ exitCode: 255, reason: 'unknown', qemuStatus: 0 }), monitor, 0).exitCode, undefined);
  assert.deepEqual(exitRecord(undefined, { exitCode: 137, finishedAtMs: 7 }, 0), { exitCode: undefined, reason: 'unknown', finishedAtMs: 7 });
});

test('words that were cut or made up are none', (t) => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-exit-'));
  t.after(() => { fs.rmSync(dir, { recursive: true }); });
  const file = path.join(dir, 'reason');
  assert.equal(readReason(file), undefined);
  for (const text of ['', '7 exited 137', '7 exited', '7 happy 137\n', '7777 exited 137\n', '7 exited 137\nmore']) {
    fs.writeFileSync(file, text);
    assert.equal(readReason(file), undefined, JSON.stringify(text));
  }
  fs.writeFileSync(file, '7 exited 137\n');
  assert.deepEqual({ ...readReason(file), finishedAtMs: 0 }, { exitCode: 7, reason: 'exited', qemuStatus: 137, finishedAtMs: 0 });
});
