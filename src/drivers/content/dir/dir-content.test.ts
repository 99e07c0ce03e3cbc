import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { treeUnpacker } from '../../unpack/fake/tree-unpacker.ts';
import type { Unpacker } from '../../unpack/driver.ts';
import { archiveOf, contentContract, DISK_LIMITS, layoutOf } from '../contract.ts';
import { plainDiskJobs } from '../../../../test/lib/plain-disk-jobs.ts';
import { openDirContent } from './dir-content.ts';
import { tarEnd, tarEntry } from '../../../lib/tar-header.ts';

const root = await fs.mkdtemp(path.join(os.tmpdir(), 'berth-content-'));
after(() => fs.rm(root, { recursive: true, force: true }));

const LAYER = Buffer.concat([tarEntry({ path: 'etc/passwd' }, Buffer.from('root')), tarEnd()]);

async function openIn(dir: string, unpacker: Unpacker = treeUnpacker()) {
  const open = () => openDirContent({ rootDir: path.join(dir, 'images'), layersDir: path.join(dir, 'l'), unpacker, diskJobs: plainDiskJobs(), diskLimits: DISK_LIMITS });
  return { store: await open(), unpacker, reopen: open, dir };
}

const fresh = async () => openIn(await fs.mkdtemp(path.join(root, 'store-')));

contentContract({ name: 'directories, without a jail', open: fresh });

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

describe('a content store after a crash', () => {
  it('sweeps what was half-made', async () => {
    const { dir, reopen, store } = await fresh();
    await store[Symbol.asyncDispose]();
    const halves = ['images/ingest/half', 'images/erofs/x.img.tmp-abc/image', 'images/bootstrap/mmdebstrap.x/etc', 'images/disks/incoming/half/image', 'l/.making-1/fs/etc', 'l/.going-2/fs'];
    for (const half of halves) await fs.mkdir(path.join(dir, half), { recursive: true });
    await reopen();
    for (const half of halves) await assert.rejects(fs.access(path.join(dir, half)), half);
  });

  for (const [name, damage] of Object.entries({
    'a report cut short': (dir: string) => fs.truncate(path.join(dir, 'layer.json'), 20),
    'a report of other things': (dir: string) => fs.writeFile(path.join(dir, 'layer.json'), '{"diffId":"sha256:../../x"}'),
    'a missing report': (dir: string) => fs.rm(path.join(dir, 'layer.json')),
    'a missing tree': (dir: string) => fs.rm(path.join(dir, 'fs'), { recursive: true }),
    'a link in place of the report': async (dir: string) => { await fs.rm(path.join(dir, 'layer.json')); await fs.symlink('/etc/passwd', path.join(dir, 'layer.json')); },
  })) {
    it(`makes a layer again after ${name}, and leaves the old tree to who may run on it`, async () => {
      const { dir, reopen, store } = await fresh();
      const archive = archiveOf(layoutOf({ layers: [LAYER] }));
      const [image] = await store.importArchive(once(archive), {});
      const tree = store.layerPath(image!.layers[0]!.diffId);
      await damage(path.dirname(tree));
      const next = await reopen();
      assert.throws(() => next.layerPath(image!.layers[0]!.diffId));
      assert.equal((await fs.readdir(path.join(dir, 'l'))).filter((one) => one.startsWith('.damaged-')).length, 1);
      await next.importArchive(once(archive), {});
      assert.equal(next.layerPath(image!.layers[0]!.diffId), tree);
    });
  }
});

describe('layers whose digests begin alike', () => {
  it('get longer names', async () => {
    const { dir, reopen, store } = await fresh();
    const archive = archiveOf(layoutOf({ layers: [LAYER] }));
    const [image] = await store.importArchive(once(archive), {});
    const { diffId } = image!.layers[0]!;
    const short = path.basename(path.dirname(store.layerPath(diffId)));
    assert.equal(short, diffId.slice(7, 19));
    // Another layer holds the short name.
    const file = path.join(dir, 'l', short, 'layer.json');
    const twin = `sha256:${short}${'0'.repeat(52)}`;
    await fs.writeFile(file, (await fs.readFile(file, 'utf8')).replaceAll(diffId, twin));
    const next = await reopen();
    await next.importArchive(once(archive), {});
    assert.equal(path.basename(path.dirname(next.layerPath(diffId))), diffId.slice(7, 23));
    assert.equal(path.basename(path.dirname(next.layerPath(twin))), short);
  });
});

describe('what comes in and is never settled', () => {
  it('is swept after ten minutes', async () => {
    const dir = await fs.mkdtemp(path.join(root, 'store-'));
    let now = 0;
    const store = await openDirContent({ rootDir: path.join(dir, 'images'), layersDir: path.join(dir, 'l'), unpacker: treeUnpacker(), nowMs: () => now });
    await store.importArchive(once(archiveOf(layoutOf({ layers: [LAYER] }))), {});
    const nothing = { blobs: new Set<string>(), diffIds: new Set<string>(), imageFiles: new Set<string>(), disks: new Set<string>() };
    assert.equal(await store.sweep(nothing), 0);
    now = 600_001;
    assert.ok(await store.sweep(nothing) > 0);
    assert.deepEqual(await store.usage(), { blobs: 0, blobBytes: 0, layers: 0, layerBytes: 0, imageFiles: 0, imageFileBytes: 0, disks: 0, diskBytes: 0 });
  });
});

describe('the directory of layers', () => {
  it('is closed to other users: ids lie unshifted in it', async () => {
    const { dir } = await fresh();
    assert.equal((await fs.stat(path.join(dir, 'l'))).mode & 0o777, 0o700);
    assert.equal((await fs.stat(path.join(dir, 'images', 'blobs', 'sha256'))).mode & 0o777, 0o700);
  });
});

describe('an archive that was cut short', () => {
  it('is refused as what it is, wherever it ends, and leaves nothing', async () => {
    const { dir, store } = await fresh();
    const archive = archiveOf(layoutOf({ layers: [LAYER] }));
    // In the middle of a header, and of what follows each.
    for (let end = 300; end < archive.length - 1024; end += 512) {
      const refused = await store.importArchive(once(archive.subarray(0, end)), {}).then(() => undefined, (error: unknown) => error as { code?: string });
      assert.equal(refused?.code, 'invalid', `cut at ${end} of ${archive.length}`);
    }
    assert.deepEqual(await fs.readdir(path.join(dir, 'images/ingest')), []);
  });
});

describe('J06: a damaged blob', () => {
  const damages: Readonly<Record<string, (bytes: Buffer) => Uint8Array>> = {
    'a bit flipped': (bytes) => bytes.map((byte, at) => (at === bytes.length >> 1 ? byte ^ 0x10 : byte)),
    'one byte short': (bytes) => bytes.subarray(0, -1),
    half: (bytes) => bytes.subarray(0, bytes.length >> 1),
    empty: () => new Uint8Array(),
  };
  for (const format of ['oci-archive', 'docker-archive'] as const) {
    it(`never goes out as if it were whole (${format})`, async () => {
      const { dir, store } = await fresh();
      const [image] = await store.importArchive(once(archiveOf(layoutOf({ layers: [LAYER] }))), {});
      const taken = async (): Promise<number> => (await Array.fromAsync(store.exportArchive(image!, format))).length;
      assert.ok(await taken() > 3);
      for (const digest of [image!.configDigest, ...image!.layers.map((layer) => layer.digest), ...(format === 'oci-archive' ? [image!.manifestDigest] : [])]) {
        const file = path.join(dir, 'images/blobs/sha256', digest.slice('sha256:'.length));
        const whole = await fs.readFile(file);
        for (const [how, damage] of Object.entries(damages)) {
          await fs.writeFile(file, damage(whole));
          // Who inflates for a docker-archive has words of its own.
          await assert.rejects(taken(), (error: { code?: string }) => error.code === 'unavailable' || format === 'docker-archive', `${digest}: ${how}`);
        }
        await fs.writeFile(file, whole);
      }
      assert.ok(await taken() > 3);
    });
  }
});
