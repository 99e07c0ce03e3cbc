import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { readBounded, removeDirectory } from './files.ts';

const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-files-'));
after(() => fs.rmSync(dir, { recursive: true, force: true }));

describe('readBounded', () => {
  it('reads files of every size up to the bound, and none beyond', async () => {
    const file = path.join(dir, 'file');
    for (const size of [0, 1, 4095, 4096, 4097, 5000, 100_000]) {
      fs.writeFileSync(file, Buffer.alloc(size, 7));
      for (const bound of [size, size + 1, 1_000_000]) assert.ok((await readBounded(file, bound)).equals(Buffer.alloc(size, 7)), `${size} of ${bound}`);
      if (size > 0) await assert.rejects(readBounded(file, size - 1), { code: 'exhausted' });
    }
  });

  it('reads what says that it is empty and is not', async () => {
    assert.ok((await readBounded('/proc/self/smaps', 16 << 20)).length > 4097);
    await assert.rejects(readBounded('/proc/self/smaps', 5000), { code: 'exhausted' });
  });

  it('holds what a file has, not what it may have', async () => {
    fs.writeFileSync(path.join(dir, 'small'), 'x');
    assert.ok((await readBounded(path.join(dir, 'small'), 64 << 20)).buffer.byteLength <= 1 << 20);
  });

  it('follows no link and waits for no pipe', async () => {
    fs.symlinkSync('small', path.join(dir, 'link'));
    await assert.rejects(readBounded(path.join(dir, 'link'), 10));
    await assert.rejects(readBounded(dir, 10));
  });
});

describe('removeDirectory', () => {
  it('removes a tree, and nothing', async () => {
    fs.mkdirSync(path.join(dir, 'tree/below'), { recursive: true });
    fs.writeFileSync(path.join(dir, 'tree/below/file'), '');
    for (const _ of ['there', 'gone']) await removeDirectory(path.join(dir, 'tree'));
    assert.equal(fs.existsSync(path.join(dir, 'tree')), false);
  });

  it('outlasts a process that still writes into it', async () => {
    for (let round = 0; round < 5; round++) {
      const busy = path.join(dir, `busy-${round}`);
      fs.mkdirSync(busy);
      const writer = spawn('sh', ['-c', 'echo; i=0; while [ $i -lt 2000 ]; do : > "$1/$i" || exit 0; i=$((i + 1)); done', 'sh', busy], { stdio: ['ignore', 'pipe', 'ignore'] });
      const ended = once(writer, 'exit');
      await once(writer.stdout, 'data');
      await removeDirectory(busy);
      await ended;
      assert.equal(fs.existsSync(busy), false);
    }
  });
});
