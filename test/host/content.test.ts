/** The content store over the real unpacker, and next to another tool that reads and writes the same formats. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { after, before, describe, it } from 'node:test';
import { contentContract, DISK_LIMITS } from '../../src/drivers/content/contract.ts';
import { openDirContent } from '../../src/drivers/content/dir/dir-content.ts';
import type { ContentStore, ImageRecord } from '../../src/drivers/content/driver.ts';
import { createNativeUnpacker } from '../../src/drivers/unpack/native/native-unpacker.ts';
import { removeTree } from '../../src/host/remove-tree.ts';
import { buildImage, dir, file, layerTar, ociArchive, writeLayout } from '../lib/image-builder.ts';
import { builtNativeProgram } from '../lib/native-build.ts';

const run = promisify(execFile);
const root = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-content-'));
before(() => builtNativeProgram());
after(() => removeTree(root));

const unpacker = createNativeUnpacker();

async function fresh() {
  const place = fs.mkdtempSync(path.join(root, 'store-'));
  const reopen = () => openDirContent({ rootDir: path.join(place, 'images'), layersDir: path.join(place, 'l'), unpacker, diskLimits: DISK_LIMITS });
  return { store: await reopen(), unpacker, reopen };
}

contentContract({ name: 'directories, jailed', open: fresh });

const image = buildImage({
  layers: [
    layerTar([dir('etc'), file('etc/passwd', 'root:x:0:0\n'), file('etc/gone', 'x'), { ...file('owned', 'o'), uid: 33, gid: 33 }, { ...file('late', 'l'), mtimeSeconds: 1_700_000_000 }]),
    layerTar([dir('etc'), file('etc/.wh.gone'), file('etc/new', 'n')]),
  ],
  compression: 'gzip', name: 'sample:1', config: { config: { Cmd: ['/bin/sh'], Env: ['A=1'], Labels: { a: 'b' } } },
});

async function bring(store: ContentStore, where: string): Promise<ImageRecord> {
  const records = await store.importArchive(fs.createReadStream(where), {});
  assert.equal(records.length, 1);
  return records[0]!;
}

/** skopeo in a state directory of its own; it accepts any image here. */
function skopeo(...args: readonly string[]): Promise<{ stdout: string }> {
  return run('skopeo', ['--insecure-policy', '--tmpdir', root, ...args], { env: { PATH: process.env['PATH'], HOME: root, XDG_RUNTIME_DIR: root } });
}

async function exported(store: ContentStore, record: ImageRecord, format: 'oci-archive' | 'docker-archive' | 'rootfs'): Promise<string> {
  const target = path.join(fs.mkdtempSync(path.join(root, 'export-')), 'image.tar');
  await pipeline(Readable.from(store.exportArchive(record, format)), fs.createWriteStream(target));
  return target;
}

describe('beside skopeo', () => {
  for (const format of ['oci-archive', 'docker-archive'] as const) {
    it(`reads what it writes (${format})`, async () => {
      const { store } = await fresh();
      const layout = fs.mkdtempSync(path.join(root, 'layout-'));
      await writeLayout(image, layout);
      const archive = path.join(fs.mkdtempSync(path.join(root, 'skopeo-')), 'image.tar');
      await skopeo('copy', `oci:${layout}:sample:1`, `${format}:${archive}:sample:1`);
      const record = await bring(store, archive);
      assert.deepEqual(record.layers.map((layer) => layer.diffId), image.diffIds);
      assert.deepEqual([record.config.command, record.config.env, record.config.labels], [['/bin/sh'], ['A=1'], { a: 'b' }]);
      assert.ok(record.names.some((name) => name.endsWith('sample:1')), record.names.join());
    });

    it(`writes what it reads (${format})`, async () => {
      const { store } = await fresh();
      const [record] = await store.importArchive(Readable.from([ociArchive(image)]), {});
      const archive = await exported(store, { ...record!, names: ['localhost/sample:1'] }, format);
      const seen = JSON.parse((await skopeo('inspect', `${format}:${archive}`)).stdout) as { Layers: string[]; Env: string[]; Labels: object; Architecture: string };
      assert.equal(seen.Layers.length, 2);
      assert.deepEqual([seen.Env, seen.Labels], [['A=1'], { a: 'b' }]);
      const copy = path.join(fs.mkdtempSync(path.join(root, 'copy-')), 'copy.tar');
      await skopeo('copy', `${format}:${archive}`, `docker-archive:${copy}:sample:2`);
      assert.deepEqual((await bring((await fresh()).store, copy)).layers.map((layer) => layer.diffId), image.diffIds);
    });
  }

  it('reads zstd layers that it wrote', async () => {
    const { store } = await fresh();
    const layout = fs.mkdtempSync(path.join(root, 'layout-'));
    await writeLayout(image, layout);
    const archive = path.join(fs.mkdtempSync(path.join(root, 'skopeo-')), 'image.tar');
    await skopeo('copy', '--dest-compress-format', 'zstd', '--dest-compress', `oci:${layout}:sample:1`, `oci-archive:${archive}:sample:1`);
    assert.deepEqual((await bring(store, archive)).layers.map((layer) => layer.diffId), image.diffIds);
  });
});

describe('the merged root as an archive', () => {
  it('is what tar(1) unpacks to the same tree', async () => {
    const { store } = await fresh();
    const [record] = await store.importArchive(Readable.from([ociArchive(image)]), {});
    const { stdout } = await run('tar', ['--numeric-owner', '-tvf', await exported(store, record!, 'rootfs')]);
    const lines = stdout.trim().split('\n').map((line) => line.replace(/ +/g, ' '));
    assert.deepEqual(lines.map((line) => line.split(' ').at(-1)), ['./', 'etc/', 'etc/new', 'etc/passwd', 'late', 'owned']);
    assert.match(lines.find((line) => line.endsWith('owned'))!, / 33\/33 /);
    assert.match(lines.find((line) => line.endsWith('late'))!, /2023-11-14/);
  });
});

describe('a hostile layer in an image', () => {
  it('is refused with its rule, and changes nothing outside of the store', async () => {
    const { store } = await fresh();
    const canary = path.join(root, 'canary');
    const hostile = buildImage({ layers: [layerTar([{ path: 'out', type: 'symlink', link: root }, file('out/canary', 'x')])], compression: 'zstd' });
    await assert.rejects(store.importArchive(Readable.from([ociArchive(hostile)]), {}), /symbolic link/);
    assert.equal(fs.existsSync(canary), false);
    assert.equal((await store.usage()).layers, 0);
  });
});

describe('programs of images that are setuid', () => {
  it('are out of reach for users of the host', async () => {
    const { store } = await fresh();
    const [record] = await store.importArchive(Readable.from([ociArchive(buildImage({ layers: [layerTar([file('su', fs.readFileSync('/bin/true'), 0o4755)])] }))]), {});
    const program = path.join(store.layerPath(record!.layers[0]!.diffId), 'su');
    assert.equal(fs.statSync(program).mode & 0o7777, 0o4755);
    // Everybody may enter what lies above the store.
    fs.chmodSync(root, 0o755);
    for (let above = path.dirname(path.dirname(path.dirname(path.dirname(program)))); above !== root; above = path.dirname(above)) fs.chmodSync(above, 0o755);
    const asNobody = (args: readonly string[]) => run('setpriv', ['--reuid=65534', '--regid=65534', '--clear-groups', 'sh', '-c', '"$@"', 'sh', ...args]);
    await asNobody(['ls', root]);
    await assert.rejects(asNobody([program]), /Permission denied/);
  });
});
