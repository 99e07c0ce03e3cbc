import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { run } from '../../../host/run.ts';
import { nocloudDisk } from './nocloud-disk.ts';

const FILES = { 'user-data': '#cloud-config\n{"hostname":"x"}\n', 'meta-data': 'instance-id: i\n', 'network-config': `a: ${'ü'.repeat(3000)}\n`, 'vendor-data': '' };

test('the disk is found by its label and has the files under their names', async () => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-seed-'));
  try {
    const file = path.join(dir, 'seed.iso');
    fs.writeFileSync(file, nocloudDisk(FILES));
    assert.equal((await run('blkid', ['-p', '-o', 'value', '-s', 'LABEL', '-s', 'TYPE', file])).stdout, 'CIDATA\niso9660\n');
    // By the Joliet names, as cloud-init sees them through the kernel.
    const joliet = fs.readFileSync(file), root = joliet.readUInt32LE(17 * 2048 + 156 + 2) * 2048;
    const found: Record<string, string> = {};
    for (let at = root; joliet[at]! > 0; at += joliet[at]!) {
      const length = joliet[at + 32]!;
      if (length === 1) continue;
      const name = Buffer.from(joliet.subarray(at + 33, at + 33 + length)).swap16().toString('utf16le'), from = joliet.readUInt32LE(at + 2) * 2048;
      assert.equal(joliet.readUInt32BE(at + 6) * 2048, from);
      found[name] = joliet.toString('utf8', from, from + joliet.readUInt32LE(at + 10));
    }
    assert.deepEqual(found, FILES);
  } finally {
    fs.rmSync(dir, { recursive: true });
  }
});

test('the same files make the same disk, and too many bytes make none', () => {
  assert.deepEqual(nocloudDisk(FILES), nocloudDisk({ ...FILES }));
  assert.throws(() => nocloudDisk({ 'user-data': 'x'.repeat(5 * 1024 * 1024) }), RangeError);
});
