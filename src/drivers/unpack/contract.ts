/** What every unpacker must do, as node:test cases: the same body for the jailed one and for the fake. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fs from 'node:fs/promises';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import { describe, it } from 'node:test';
import zlib from 'node:zlib';
import { paxEntry, tarEnd, tarEntry, type TarHeader } from '../../lib/tar-header.ts';
import { BerthError } from '../../model/errors.ts';
import { DEFAULT_LAYER_LIMITS, type Compression, type LayerReport, type Unpacker } from './driver.ts';

export interface UnpackerFactory {
  readonly name: string;
  readonly unpacker: Unpacker;
  /** A new empty directory. */
  newDirectory(): Promise<string>;
  /** A path where nothing is, in an existing directory. */
  newFilePath(): Promise<string>;
}

type Entry = TarHeader & { readonly content?: string };

export function tarOf(...entries: readonly (Entry | Uint8Array)[]): Buffer {
  return Buffer.concat([...entries.map((entry) => (entry instanceof Uint8Array ? entry : tarEntry(entry, Buffer.from(entry.content ?? '')))), tarEnd()]);
}

async function* inPieces(bytes: Uint8Array, size = 1000): AsyncIterable<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function collected(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

const digest = (bytes: Uint8Array) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

export function unpackerContract(factory: UnpackerFactory): void {
  const { unpacker } = factory;

  async function unpacked(tar: Buffer, compression: Compression = 'none'): Promise<{ readonly dir: string; readonly report: LayerReport }> {
    const dir = await factory.newDirectory();
    const bytes = compression === 'gzip' ? zlib.gzipSync(tar) : compression === 'zstd' ? zlib.zstdCompressSync(tar) : tar;
    return { dir, report: await unpacker.unpack({ stream: inPieces(bytes), compression }, dir) };
  }

  async function packed(dir: string): Promise<{ readonly bytes: Buffer; readonly diffId: string }> {
    const target = new PassThrough();
    const all = collected(target);
    const result = await unpacker.pack(dir, target);
    target.end();
    const bytes = await all;
    assert.equal(result.bytes, bytes.length);
    return { bytes, diffId: result.diffId };
  }

  const text = async (layers: readonly string[], path: string) => {
    const bytes = await unpacker.readFile(layers, path, 4096);
    return bytes === undefined ? undefined : Buffer.from(bytes).toString();
  };

  const base = tarOf(
    { path: './', type: 'directory' }, { path: 'etc/', type: 'directory' }, { path: 'etc/passwd', content: 'root:x:0:0\n' }, { path: 'etc/gone', content: 'x' },
    { path: 'old/', type: 'directory' }, { path: 'old/low', content: 'low' }, { path: 'lnk', type: 'symlink', link: '/etc/../etc/passwd' }, { path: 'dirlink', type: 'symlink', link: 'etc' },
    { path: 'pipe', type: 'fifo' }, { path: 'twin', type: 'hardlink', link: 'etc/passwd' },
  );

  describe(`unpacker contract: ${factory.name}`, () => {
    for (const compression of ['none', 'gzip', 'zstd'] as const) {
      it(`reports what a layer holds (${compression})`, async () => {
        const tar = tarOf({ path: 'bin/', type: 'directory' }, { path: 'bin/su', mode: 0o4755, content: 'code' }, { path: 'bin/sh', mode: 0o755, content: '#!' });
        const { report, dir } = await unpacked(tar, compression);
        assert.deepEqual(report, { diffId: digest(tar), tarBytes: tar.length, fileBytes: 6, entries: 3, setuid: ['bin/su'], notes: [] });
        assert.equal(await text([dir], '/bin/sh'), '#!');
      });
    }

    it('takes gzip of several members', async () => {
      const tar = tarOf({ path: 'a', content: 'first' });
      const dir = await factory.newDirectory();
      const report = await unpacker.unpack({ stream: inPieces(Buffer.concat([zlib.gzipSync(tar.subarray(0, 700)), zlib.gzipSync(tar.subarray(700))])), compression: 'gzip' }, dir);
      assert.equal(report.diffId, digest(tar));
    });

    it('lets the last entry of a name win', async () => {
      const { dir } = await unpacked(tarOf({ path: 'a', content: '1' }, { path: 'a', content: '2' }, { path: 'd', content: 'file' }, { path: 'd/', type: 'directory' }, { path: 'd/in', content: 'in' }, { path: 'e/f', content: 'x' }, { path: 'e', content: 'now a file' }));
      assert.equal(await text([dir], 'a'), '2');
      assert.equal(await text([dir], 'd/in'), 'in');
      assert.equal(await text([dir], 'e'), 'now a file');
    });

    it('knows long names, of PAX and of GNU', async () => {
      const long = `${'d'.repeat(60)}/${'e'.repeat(60)}`;
      const gnu = Buffer.concat([tarEntry({ path: '././@LongLink', type: 'gnuLongName' }, Buffer.from(`${long}/gnu\0`)), tarEntry({ path: 'short' }, Buffer.from('g'))]);
      const { dir } = await unpacked(tarOf({ path: `${long}/pax`, content: 'p' }, gnu));
      assert.equal(await text([dir], `${long}/pax`), 'p');
      assert.equal(await text([dir], `${long}/gnu`), 'g');
    });

    it('refuses what a hostile layer holds, naming the rule and the entry', async () => {
      for (const [rule, tar] of [
        ['parentReference', tarOf({ path: '../x', content: 'x' })], ['absolutePath', tarOf({ path: '/etc/passwd', content: 'x' })],
        ['throughSymlink', tarOf({ path: 'l', type: 'symlink', link: '/etc' }, { path: 'l/x', content: 'x' })], ['whiteoutName', tarOf({ path: '.wh..' })],
        ['hardlinkTarget', tarOf({ path: 'a', type: 'hardlink', link: 'b' })], ['idRange', tarOf({ path: 'a', uid: 100_000 })],
      ] as const) {
        await assert.rejects(unpacked(tar), (error: unknown) => error instanceof BerthError && error.code === 'invalid' && error.details?.['rule'] === rule && error.hint !== undefined, rule);
      }
    });

    it('notes device nodes and makes none', async () => {
      const { report, dir } = await unpacked(tarOf({ path: 'null', type: 'character', major: 1, minor: 3 }, { path: 'zero', type: 'character' }, { path: 'sda', type: 'block', major: 8 }));
      assert.equal(report.notes.length, 3);
      assert.equal(await text([dir], 'null'), undefined);
    });

    it('keeps to its limits', async () => {
      const tar = tarOf({ path: 'a', content: 'x'.repeat(5000) }, { path: 'b' }, { path: 'c' });
      for (const limits of [{ maxBytes: 2000 }, { maxEntries: 2 }]) {
        await assert.rejects(unpacker.unpack({ stream: inPieces(tar), compression: 'none' }, await factory.newDirectory(), { ...DEFAULT_LAYER_LIMITS, ...limits }),
          (error: unknown) => error instanceof BerthError && error.code === 'exhausted');
      }
    });

    it('stops when it is told to', async () => {
      const stop = new AbortController();
      async function* endless(): AsyncIterable<Uint8Array> {
        yield tarEntry({ path: 'a', sizeBytes: 1e9 }, Buffer.alloc(0));
        for (;;) {
          yield Buffer.alloc(65_536);
          stop.abort();
        }
      }
      await assert.rejects(unpacker.unpack({ stream: endless(), compression: 'none' }, await factory.newDirectory(), undefined, stop.signal), BerthError);
    });

    it('passes on why the bytes stopped coming', async () => {
      // eslint-disable-next-line require-yield -- it fails before the first byte
      async function* broken(): AsyncIterable<Uint8Array> {
        throw new BerthError('unavailable', 'The registry went away.');
      }
      await assert.rejects(unpacker.unpack({ stream: broken(), compression: 'none' }, await factory.newDirectory()), (error: unknown) => error instanceof BerthError && error.code === 'unavailable');
    });

    it('reads files as the merged root shows them', async () => {
      const lower = (await unpacked(base)).dir;
      const upper = (await unpacked(tarOf({ path: 'etc/', type: 'directory' }, { path: 'etc/.wh.gone' }, { path: 'etc/new', content: 'new' }, { path: 'old/', type: 'directory' }, { path: 'old/.wh..wh..opq' }, { path: 'old/up', content: 'up' }))).dir;
      const layers = [lower, upper];
      assert.equal(await text(layers, '/etc/passwd'), 'root:x:0:0\n');
      assert.equal(await text(layers, 'lnk'), 'root:x:0:0\n');
      assert.equal(await text(layers, 'dirlink/new'), 'new');
      assert.deepEqual((await unpacker.listDirectory(layers, '/dirlink', 10))?.toSorted(), ['new', 'passwd']);
      assert.deepEqual((await unpacker.listDirectory(layers, 'etc/../old/', 10))?.toSorted(), ['up'], 'nothing is seen below an opaque directory');
      assert.deepEqual((await unpacker.listDirectory([lower], '/', 10))?.toSorted(), ['dirlink', 'etc', 'lnk', 'old', 'pipe', 'twin']);
      for (const none of ['nowhere', 'lnk', 'etc/passwd', 'etc/gone']) assert.equal(await unpacker.listDirectory(layers, none, 10), undefined, none);
      await assert.rejects(unpacker.listDirectory(layers, '/', 3), (error: unknown) => error instanceof BerthError && error.code === 'exhausted');
      assert.equal(await text(layers, 'etc/../../etc/new'), 'new');
      assert.equal(await text([lower], 'etc/gone'), 'x');
      for (const absent of ['etc/gone', 'old/low', 'nothing', 'etc', 'pipe', 'etc/passwd/x', '/']) assert.equal(await text(layers, absent), undefined, absent);
      assert.equal(await text(layers, 'old/up'), 'up');
      assert.equal(await unpacker.readFile(layers, 'etc/passwd', 3), undefined);
    });

    it('ends on links that go in circles', async () => {
      const { dir } = await unpacked(tarOf({ path: 'a', type: 'symlink', link: 'b' }, { path: 'b', type: 'symlink', link: 'a' }));
      assert.equal(await text([dir], 'a'), undefined);
    });

    it('packs what it unpacked, the same bytes each time, and unpacks that again', async () => {
      const marks = tarOf({ path: 'etc/', type: 'directory' }, { path: 'etc/.wh.gone' }, { path: 'old/', type: 'directory' }, { path: 'old/.wh..wh..opq' }, { path: 'f', content: 'x' }, { path: 'g', type: 'hardlink', link: 'f' });
      const first = await packed((await unpacked(marks)).dir);
      assert.equal(first.diffId, digest(first.bytes));
      const again = await unpacked(first.bytes);
      assert.deepEqual((await packed(again.dir)).diffId, first.diffId);
      const lower = (await unpacked(base)).dir;
      assert.equal(await text([lower, again.dir], 'etc/gone'), undefined);
      assert.equal(await text([lower, again.dir], 'old/low'), undefined);
      assert.equal(await text([lower, again.dir], 'g'), 'x');
    });

    it('packs layers merged, without whiteouts', async () => {
      const lower = (await unpacked(base)).dir;
      const upper = (await unpacked(tarOf({ path: 'etc/', type: 'directory' }, { path: 'etc/.wh.gone' }, { path: '.wh.never-was' }))).dir;
      const target = new PassThrough();
      const all = collected(target);
      const result = await unpacker.packMerged([lower, upper], target);
      target.end();
      const bytes = await all;
      assert.equal(result.diffId, digest(bytes));
      assert.equal(bytes.includes('.wh.'), false);
      const { dir } = await unpacked(bytes);
      assert.equal(await text([dir], 'etc/gone'), undefined);
      assert.equal(await text([dir], 'lnk'), 'root:x:0:0\n');
    });

    it('decompresses', async () => {
      const target = new PassThrough();
      const all = collected(target);
      const result = await unpacker.inflate({ stream: inPieces(zlib.gzipSync(base)), compression: 'gzip' }, target);
      target.end();
      assert.deepEqual(await all, base);
      assert.equal(result.bytes, base.length);
    });

    it('builds an image file, the same one from the same layers', async () => {
      const { dir } = await unpacked(tarOf({ path: 'etc/', type: 'directory' }, { path: 'etc/.wh.gone' }, { path: 'f', content: 'x' }));
      const target = await factory.newFilePath();
      const { bytes } = await unpacker.buildErofs([dir], target);
      assert.ok(bytes > 0);
      await assert.rejects(unpacker.buildErofs([], target), (error: unknown) => error instanceof BerthError && error.code === 'invalid');
    });

    it('writes a root of its own of the size that was asked for', async () => {
      const { dir } = await unpacked(base);
      const target = await factory.newFilePath();
      await unpacker.buildExt4([dir], target, 32 * 1024 * 1024);
      assert.equal((await fs.stat(target)).size, 32 * 1024 * 1024);
      assert.deepEqual((await fs.readdir(path.dirname(target))).length, 1, 'nothing is left beside it');
      await assert.rejects(unpacker.buildExt4([], target, 32 * 1024 * 1024), (error: unknown) => error instanceof BerthError && error.code === 'invalid');
    });

    it('drops attributes that could steer an overlay', async () => {
      const { report } = await unpacked(tarOf(paxEntry([['SCHILY.xattr.user.overlay.opaque', 'y'], ['SCHILY.xattr.trusted.overlay.redirect', '/etc']]), { path: 'f', content: 'x' }));
      assert.equal(report.notes.length, 2);
    });
  });
}
