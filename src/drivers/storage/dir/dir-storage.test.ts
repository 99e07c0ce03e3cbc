import assert from 'node:assert/strict';
import { mkdtemp, open, readdir, readFile, readlink, rm, stat, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { run } from '../../../host/run.ts';
import { objectId, type ObjectId } from '../../../model/ids.ts';
import { storageContract, type StorageBench } from '../contract.ts';
import { dirStorage } from './dir-storage.ts';
import { setDiskSize } from './disk-size.ts';

storageContract('dir', async (): Promise<StorageBench> => {
  const base = await mkdtemp(path.join(os.tmpdir(), 'berth-storage-'));
  const rootDir = path.join(base, 'pool');
  const driver = dirStorage({ rootDir });
  const inside = (of: 'root' | 'volume', id: ObjectId, name: string): string => path.join(of === 'root' ? path.join(driver.rootPaths(id, 'appContainer').upperDir!, 'up') : driver.volumePath(id, 'filesystem'), name);
  return {
    driver,
    reopen: () => dirStorage({ rootDir }),
    write: (of, id, name, text) => writeFile(inside(of, id, name), text),
    read: (of, id, name) => readFile(inside(of, id, name), 'utf8').catch(() => undefined),
    async mentions(text) {
      const found: string[] = [];
      for (const name of await readdir(base, { recursive: true })) {
        const file = path.join(base, name);
        if (name.includes(text) || ((await stat(file)).isFile() && (await readFile(file, 'utf8')).includes(text))) found.push(name);
      }
      return found;
    },
    [Symbol.asyncDispose]: () => rm(base, { recursive: true, force: true }),
  };
});

test('a size that no file can have is refused as such', async () => {
  const tooLarge = { truncate: () => Promise.reject(Object.assign(new Error('EFBIG: file too large, ftruncate'), { code: 'EFBIG' })) };
  await assert.rejects(setDiskSize(tooLarge, 900 * 1024 ** 4), { code: 'invalid', message: 'A disk of 900TiB is larger than a file of this pool can be.' });
  const broken = { truncate: () => Promise.reject(Object.assign(new Error('EIO'), { code: 'EIO' })) };
  await assert.rejects(setDiskSize(broken, 1), { code: 'EIO' });
});

test('a disk that could not be made leaves no open file: one that the collector finds would end the daemon', async () => {
  const base = await mkdtemp(path.join(os.tmpdir(), 'berth-storage-'));
  try {
    const driver = dirStorage({ rootDir: path.join(base, 'pool') });
    const id = objectId('disk00000001');
    // No file has half a byte, on any file system.
    await assert.rejects(driver.createVolume({ id, type: 'block', sizeBytes: 1.5, specCopy: '{}' }));
    const open = await Promise.all((await readdir('/proc/self/fd')).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')));
    assert.deepEqual(open.filter((file) => file.startsWith(base)), []);
  } finally {
    await rm(base, { recursive: true, force: true });
  }
});

test('a disk is a copy of its own, sparse and grown; a copy that fails leaves nothing', async () => {
  const base = await mkdtemp(path.join(os.tmpdir(), 'berth-storage-'));
  try {
    const driver = dirStorage({ rootDir: path.join(base, 'pool') });
    const from = path.join(base, 'image');
    const content = Buffer.alloc(4 * 1024 * 1024);
    content.write('first sector');
    content.write('in the middle', 2 * 1024 * 1024);
    await writeFile(from, content, { mode: 0o400 });
    const request = { id: 'aaaaaaaaaaaa' as ObjectId, form: 'vm', specCopy: '{}' } as const;
    const { rootDisk } = await driver.createRoot({ ...request, disk: { from, sizeBytes: 8 * 1024 * 1024 } });
    const copy = await readFile(rootDisk!);
    assert.deepEqual(copy, Buffer.concat([content, Buffer.alloc(4 * 1024 * 1024)]));
    const { blocks, mode } = await stat(rootDisk!);
    assert.ok(blocks * 512 < 1024 * 1024, `${blocks} blocks`);
    assert.equal(mode & 0o777, 0o600);
    await writeFile(rootDisk!, 'written by a guest');
    await driver.createRoot({ ...request, disk: { from, sizeBytes: 8 * 1024 * 1024 } });
    assert.equal(await readFile(rootDisk!, 'utf8'), 'written by a guest', 'an idempotent step does not undo the guest');
    assert.deepEqual(await readFile(from), content);
    const other = { ...request, id: 'bbbbbbbbbbbb' as ObjectId };
    await assert.rejects(driver.createRoot({ ...other, disk: { from, sizeBytes: 1024 * 1024 } }), { code: 'invalid' });
    await assert.rejects(driver.createRoot({ ...other, disk: { from: path.join(base, 'gone'), sizeBytes: 8 * 1024 * 1024 } }));
    await assert.rejects(driver.createRoot({ ...other, disk: { from, sizeBytes: 8 * 1024 * 1024 } }, { signal: AbortSignal.abort() }), { code: 'wrongState' });
    assert.deepEqual((await readdir(path.dirname(driver.rootPaths(other.id, 'vm', 'disk').rootDisk!))).filter((name) => name.includes('disk')), []);
  } finally {
    await rm(base, { recursive: true, force: true });
  }
});

const DISK_BYTES = 32 * 1024 * 1024;
const MARK = 'written by whoever had it before';

async function marked(file: string): Promise<void> {
  const handle = await open(file, 'r+');
  await handle.write(MARK, DISK_BYTES * 7 / 8);
  await handle.close();
}

const hasMark = async (file: string): Promise<boolean> => (await readFile(file, 'latin1')).includes(MARK);

test('B04: a disk has nothing of one that was deleted; a pool without that guard, which formats what was there, gives it away', async () => {
  const rootDir = await mkdtemp(path.join(os.tmpdir(), 'berth-disk-'));
  try {
    const driver = dirStorage({ rootDir });
    const [first, second] = [objectId('aaaaaaaaaaaa'), objectId('bbbbbbbbbbbb')];
    await driver.createVolume({ id: first, type: 'block', sizeBytes: DISK_BYTES, specCopy: '{}' });
    await marked(driver.volumePath(first, 'block'));
    await driver.createVolume({ id: first, type: 'block', sizeBytes: DISK_BYTES, specCopy: '{}' });
    assert.ok(await hasMark(driver.volumePath(first, 'block')), 'made again it is the same');
    await driver.removeVolume(first);
    await driver.createVolume({ id: second, type: 'block', sizeBytes: DISK_BYTES, specCopy: '{}' });
    const disk = driver.volumePath(second, 'block');
    assert.equal((await stat(disk)).size, DISK_BYTES);
    assert.ok((await stat(disk)).mode % 0o100 === 0, 'nobody else may read it');
    assert.ok(!await hasMark(disk));
    assert.match((await run('debugfs', ['-R', 'ls -p /', disk])).stdout, /^[^\n]*\/\.\/[^\n]*\n[^\n]*\/\.\.\/[^\n]*\n\s*$/, 'an empty directory');
    await marked(disk);
    await run('mkfs.ext4', ['-q', '-F', '-E', 'nodiscard', disk]);
    assert.ok(await hasMark(disk));
  } finally {
    await rm(rootDir, { recursive: true });
  }
});

for (const form of ['microVM', 'vm'] as const) {
  test(`B04: the root disk of a ${form} has nothing of one that was deleted, nor of one that had its id`, async () => {
    const rootDir = await mkdtemp(path.join(os.tmpdir(), 'berth-root-'));
    try {
      const driver = dirStorage({ rootDir });
      const request = (id: string) => ({ id: objectId(id), form, specCopy: '{}', sizeBytes: DISK_BYTES });
      const { upperDisk } = await driver.createRoot(request('aaaaaaaaaaaa'));
      await marked(upperDisk!);
      assert.ok(await hasMark(upperDisk!));
      await driver.removeRoot(objectId('aaaaaaaaaaaa'));
      for (const id of ['bbbbbbbbbbbb', 'aaaaaaaaaaaa']) assert.ok(!await hasMark((await driver.createRoot(request(id))).upperDisk!), id);
    } finally {
      await rm(rootDir, { recursive: true });
    }
  });
}

test('B04: the upper layer of a container has nothing of one that was deleted', async () => {
  const rootDir = await mkdtemp(path.join(os.tmpdir(), 'berth-root-'));
  try {
    const driver = dirStorage({ rootDir });
    const request = { id: objectId('aaaaaaaaaaaa'), form: 'osContainer', specCopy: '{}' } as const;
    const { upperDir } = await driver.createRoot(request);
    await writeFile(path.join(upperDir!, 'up/mine'), MARK);
    await driver.removeRoot(request.id);
    await driver.createRoot(request);
    assert.deepEqual(await readdir(path.join(upperDir!, 'up')), []);
  } finally {
    await rm(rootDir, { recursive: true });
  }
});
