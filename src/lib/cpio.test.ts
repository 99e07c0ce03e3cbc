import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cpioArchive, S_IFCHR, S_IFDIR, S_IFREG } from './cpio.ts';

test('entries lie on 4-byte borders, a trailer ends them', () => {
  const archive = Buffer.from(cpioArchive([
    { path: 'dev', mode: S_IFDIR | 0o755 }, { path: 'dev/console', mode: S_IFCHR | 0o600, device: [5, 1] }, { path: 'init', mode: S_IFREG | 0o755, data: Buffer.from('hello') },
  ]));
  const seen: string[] = [];
  for (let at = 0; at < archive.length;) {
    assert.equal(at % 4, 0);
    assert.equal(archive.toString('latin1', at, at + 6), '070701');
    const field = (index: number): number => Number.parseInt(archive.toString('latin1', at + 6 + index * 8, at + 14 + index * 8), 16);
    const nameEnd = at + 110 + field(11);
    const dataAt = Math.ceil(nameEnd / 4) * 4;
    seen.push([archive.toString('latin1', at + 110, nameEnd - 1), field(1).toString(8), archive.toString('latin1', dataAt, dataAt + field(6)), `${field(9)}:${field(10)}`].join(' '));
    at = Math.ceil((dataAt + field(6)) / 4) * 4;
  }
  assert.deepEqual(seen, ['dev 40755  0:0', 'dev/console 20600  5:1', 'init 100755 hello 0:0', 'TRAILER!!! 0  0:0']);
});

test('equal entries give equal bytes', () => {
  const entries = [{ path: 'a', mode: S_IFREG | 0o644, data: Buffer.from('x') }];
  assert.deepEqual(cpioArchive(entries), cpioArchive(entries));
});
