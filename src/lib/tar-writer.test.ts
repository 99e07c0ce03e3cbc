import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tarEnd, tarEntry } from './tar-writer.ts';

test('a header has its checksum and its data is padded to whole blocks', () => {
  const bytes = tarEntry({ path: 'etc/passwd', type: 'file', mode: 0o644, data: new TextEncoder().encode('root\n') });
  assert.equal(bytes.length, 1024);
  const text = new TextDecoder().decode(bytes);
  assert.equal(text.slice(0, 10), 'etc/passwd');
  assert.equal(text.slice(257, 263), 'ustar\0');
  const stored = Number.parseInt(text.slice(148, 154), 8);
  const head = bytes.slice(0, 512).fill(32, 148, 156);
  assert.equal(head.reduce((sum, byte) => sum + byte, 0), stored);
});

test('equal entries are equal bytes, and what does not fit is refused', () => {
  const entry = { path: 'a', type: 'directory', mode: 0o755 } as const;
  assert.deepEqual(tarEntry(entry), tarEntry(entry));
  assert.throws(() => tarEntry({ ...entry, path: 'x'.repeat(120) }), RangeError);
  assert.equal(tarEnd().length, 1024);
});
