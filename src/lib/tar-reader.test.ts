import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { paxEntry, tarEnd, tarEntry, tarHeader } from './tar-header.ts';
import { readTar, TarError, type TarReadLimits } from './tar-reader.ts';

async function* pieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function all(bytes: Uint8Array, size = 700, limits: TarReadLimits = {}): Promise<{ path: string; type: string; link: string; text: string }[]> {
  const found = [];
  for await (const { path, type, link, content } of readTar(pieces(bytes, size), limits)) {
    const chunks: Uint8Array[] = [];
    for await (const chunk of content) chunks.push(chunk);
    found.push({ path, type, link, text: Buffer.concat(chunks).toString() });
  }
  return found;
}

const archive = (...parts: Uint8Array[]) => Buffer.concat([...parts, tarEnd()]);

describe('readTar', () => {
  it('reads files, links and directories, in pieces of any size', async () => {
    const bytes = archive(tarEntry({ path: 'd/', type: 'directory' }), tarEntry({ path: 'd/f' }, Buffer.from('hello')), tarEntry({ path: 'l', type: 'symlink', link: 'd/f' }));
    for (const size of [1, 511, 512, 513, 10_000]) {
      assert.deepEqual(await all(bytes, size), [
        { path: 'd/', type: 'directory', link: '', text: '' }, { path: 'd/f', type: 'file', link: '', text: 'hello' }, { path: 'l', type: 'symlink', link: 'd/f', text: '' },
      ]);
    }
  });

  it('gives back what was written', async () => {
    await fc.assert(fc.asyncProperty(fc.array(fc.tuple(fc.stringMatching(/^[a-z][a-z/]{0,150}[a-z]$/), fc.uint8Array({ maxLength: 2000 })), { maxLength: 5 }), fc.integer({ min: 1, max: 3000 }), async (files, size) => {
      const found = [];
      for await (const { path, content } of readTar(pieces(archive(...files.map(([path, content]) => tarEntry({ path }, content))), size))) {
        const chunks: Uint8Array[] = [];
        for await (const chunk of content) chunks.push(chunk);
        found.push([path, new Uint8Array(Buffer.concat(chunks))]);
      }
      assert.deepEqual(found, files);
    }), { numRuns: 50 });
  });

  it('skips content that nobody takes', async () => {
    const paths = [];
    for await (const { path } of readTar(pieces(archive(tarEntry({ path: 'a' }, Buffer.alloc(5000)), tarEntry({ path: 'b' })), 100))) paths.push(path);
    assert.deepEqual(paths, ['a', 'b']);
  });

  it('refuses what would confuse or exhaust it', async () => {
    const cases: readonly (readonly [string, Uint8Array, TarReadLimits?])[] = [
      ['a negative size', tarHeader({ path: 'a', sizeBytes: -5 })],
      ['a wrong checksum', Buffer.alloc(512, 'x')],
      ['an early end', tarHeader({ path: 'a', sizeBytes: 4096 })],
      ['a huge extended header', tarHeader({ path: 'x', type: 'pax', sizeBytes: 2 ** 33 })],
      ['a malformed record', Buffer.concat([tarHeader({ path: 'x', type: 'pax', sizeBytes: 4 }), Buffer.from('9 a='.padEnd(512, '\0'))])],
      ['a size that is no number', Buffer.concat([paxEntry([['size', '1e3']]), tarEntry({ path: 'a' })])],
      ['NUL in a path', Buffer.concat([paxEntry([['path', 'a\0b']]), tarEntry({ path: 'a' })])],
      ['too many entries', archive(tarEntry({ path: 'a' }), tarEntry({ path: 'b' })), { maxEntries: 1 }],
    ];
    for (const [name, bytes, limits] of cases) await assert.rejects(all(bytes, 512, limits), TarError, name);
  });
});
