/** The SQLite store on a full disk and under kill -9. Needs root for a small file system in a mount namespace. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openSqliteStore } from '../../src/drivers/store/sqlite/store.ts';
import { run } from '../../src/host/run.ts';

const root = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-store-faults-'));
after(() => fs.rmSync(root, { recursive: true }));

function fixture(name: string): string {
  return fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url));
}

it('a full disk refuses writes, keeps what was acknowledged, and is forgotten when there is room', async () => {
  const dir = fs.mkdtempSync(path.join(root, 'full-'));
  const { stdout } = await run('unshare', ['--mount', '--propagation', 'private', '--', process.execPath, fixture('store-disk-full.ts'), dir], { timeoutMs: 60_000 });
  const seen = JSON.parse(stdout) as Record<string, unknown>;
  assert.ok((seen['refusedWhenFull'] as number) > 0, stdout);
  assert.ok((seen['kept'] as number) > 40, stdout);
  assert.deepEqual(seen['codes'], ['exhausted']);
  assert.deepEqual(seen['reasons'], ['diskFull']);
  assert.deepEqual([seen['missingWhenFull'], seen['missingAtTheEnd'], seen['readable']], [[], [], true]);
  assert.deepEqual([seen['refusedWithRoom'], seen['refusedAtTheEnd']], [0, 0]);
  assert.match(seen['reopenedFull'] as string, /^(yes|exhausted)$/);
});

it('kill -9 at any moment loses nothing that was acknowledged and leaves no half transaction', async () => {
  const file = path.join(root, 'killed.db');
  let acknowledged = 0;
  for (let round = 0; round < 8; round++) {
    const child = spawn(process.execPath, [fixture('store-writer.ts'), file], { stdio: ['ignore', 'pipe', 'inherit'] });
    const gone = new Promise((resolve) => child.once('exit', resolve));
    let said = '';
    const wanted = 10 + round * 7;
    for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
      said += chunk.toString('latin1');
      if (said.split('\n').length > wanted) child.kill('SIGKILL');
    }
    await gone;
    assert.equal(child.signalCode, 'SIGKILL');
    const lines = said.split('\n').slice(0, -1).map((line) => line.split(' ') as [string, string]);
    await using store = await openSqliteStore(file);
    const { values, revision } = await store.range({ prefix: 'k' });
    for (const [key, at] of lines) {
      const value = values.find((one) => one.key === key);
      assert.equal(value?.modRevision, Number(at), `${key} was acknowledged at revision ${at}`);
      assert.equal(Buffer.from(value!.value).toString('latin1'), Buffer.alloc(500, key).toString('latin1'));
    }
    assert.equal(revision, values.length);
    acknowledged += lines.length;
  }
  assert.ok(acknowledged > 80);
});
