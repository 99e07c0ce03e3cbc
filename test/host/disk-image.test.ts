/**
 * Disk images over the real qemu-img, and the attacks on them: D16 (names in a qcow2 file that lead out), D18 (a file
 * system of a tenant is never mounted by the host), G04 (qcow2 as a way to read files), G05 (a raw disk that turns into a
 * qcow2 file). Each is seen to go red: the same case without the check of the header, without the jail, by an importer
 * that guesses formats, and by one that mounts.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { CONTENT_GUARDS } from '../../src/drivers/content/dir/content-guards.ts';
import { openDirContent, type DirContentOptions } from '../../src/drivers/content/dir/dir-content.ts';
import { nativeDiskJobs, type DiskJobs } from '../../src/drivers/content/dir/disk-jobs.ts';
import type { ContentStore, DiskFormat } from '../../src/drivers/content/driver.ts';
import { dirStorage } from '../../src/drivers/storage/dir/dir-storage.ts';
import { createNativeUnpacker } from '../../src/drivers/unpack/native/native-unpacker.ts';
import { removeTree } from '../../src/host/remove-tree.ts';
import { BerthError } from '../../src/model/errors.ts';
import { parseManifest } from '../../src/model/image-manifest.ts';
import { builtNativeProgram } from '../lib/native-build.ts';
import { nativeWithoutRule } from '../lib/native-without-rule.ts';
import { goesRed } from '../lib/red.ts';
import { patient } from '../lib/patience.ts';
import { until } from '../lib/until.ts';

const run = promisify(execFile);
const MIB = 1024 * 1024;
const root = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-disk-'));
const at = (name: string): string => path.join(root, name);
const SECRET = 'the canary of the host: none of it may be on any disk';
const canary = at('canary');
let withoutJail: string;

before(async () => {
  await builtNativeProgram();
  withoutJail = await nativeWithoutRule(root, 'JAIL');
  fs.writeFileSync(canary, SECRET.padEnd(512, '.').repeat(128), { mode: 0o600 });
  await qemuImg('create', '-f', 'qcow2', at('plain'), '4M');
  await write(at('plain'), ['write -P 17 1M 64k']);
});
after(() => removeTree(root));

const qemuImg = (...args: readonly string[]) => run('qemu-img', [args[0]!, '-q', ...args.slice(1)]);
const write = (file: string, commands: readonly string[], format = 'qcow2') => run('qemu-io', ['-f', format, ...commands.flatMap((one) => ['-c', one]), file]);

async function open(options: Partial<DirContentOptions> = {}): Promise<ContentStore> {
  const place = fs.mkdtempSync(at('store-'));
  return openDirContent({ rootDir: path.join(place, 'images'), layersDir: path.join(place, 'l'), unpacker: createNativeUnpacker(), ...options });
}

async function whole(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all);
}

const bring = (store: ContentStore, file: string, format: DiskFormat = 'qcow2') => store.importDisk(fs.createReadStream(file), format);
const digestOf = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

async function assertRefused(store: ContentStore, file: string, rule: string): Promise<void> {
  const outcome = await bring(store, file).then(() => 'taken', (error: unknown) => error);
  assert.ok(outcome instanceof BerthError, `${path.basename(file)}: ${String(outcome)}`);
  assert.deepEqual([outcome.code, outcome.details?.['rule']], ['invalid', rule], outcome.message);
  assert.equal((await store.usage()).disks, 0);
  assert.deepEqual(fs.readdirSync(path.join(path.dirname(path.dirname(store.diskFile(digestOf(Buffer.alloc(0))))), 'disks', 'incoming')), []);
}

describe('qcow2 files become the disk that they hold', () => {
  const MAKERS: Readonly<Record<string, () => Promise<string>>> = {
    'version 3': async () => at('plain'),
    'version 2': async () => { await qemuImg('convert', '-O', 'qcow2', '-o', 'compat=0.10', at('plain'), at('v2')); return at('v2'); },
    'compressed clusters': async () => { await qemuImg('convert', '-c', '-O', 'qcow2', at('plain'), at('zlib')); return at('zlib'); },
    'compressed by zstd': async () => { await qemuImg('convert', '-c', '-O', 'qcow2', '-o', 'compression_type=zstd', at('plain'), at('zstd')); return at('zstd'); },
    'clusters of 4 KiB': async () => { await qemuImg('convert', '-O', 'qcow2', '-o', 'cluster_size=4k', at('plain'), at('small')); return at('small'); },
    'clusters of 2 MiB': async () => { await qemuImg('convert', '-O', 'qcow2', '-o', 'cluster_size=2M,preallocation=metadata', at('plain'), at('large')); return at('large'); },
    'lazy reference counts': async () => { await qemuImg('convert', '-O', 'qcow2', '-o', 'lazy_refcounts=on', at('plain'), at('lazy')); return at('lazy'); },
    'a bitmap': async () => { await qemuImg('convert', '-O', 'qcow2', at('plain'), at('bitmap')); await run('qemu-img', ['bitmap', '--add', at('bitmap'), 'b']); return at('bitmap'); },
  };
  for (const [name, make] of Object.entries(MAKERS)) {
    it(name, { timeout: patient(60_000) }, async () => {
      const file = await make();
      await using store = await open();
      const image = await bring(store, file);
      await qemuImg('convert', '-f', 'qcow2', '-O', 'raw', file, at('expected'));
      const expected = fs.readFileSync(at('expected'));
      assert.deepEqual([image.type, image.bytes, image.manifestDigest], ['disk', 4 * MIB, digestOf(expected)]);
      assert.deepEqual(await whole(store.readDisk(image.manifestDigest)), expected);
      const kept = fs.statSync(store.diskFile(image.manifestDigest));
      assert.deepEqual([kept.uid, kept.gid, kept.mode & 0o7777], [0, 0, 0o400]);
      assert.ok(kept.blocks * 512 < MIB, `${kept.blocks} blocks: it is sparse`);
      assert.equal((await bring(store, at('expected'), 'raw')).manifestDigest, image.manifestDigest, 'the same disk is the same image, however it came');
    });
  }
});

/** Files that lead out, as their own tool makes them. */
async function leadingOut(): Promise<Readonly<Record<string, readonly [file: string, rule: string]>>> {
  await qemuImg('create', '-f', 'qcow2', '-F', 'raw', '-b', canary, at('backing'));
  await qemuImg('create', '-f', 'qcow2', '-u', '-F', 'raw', '-b', `json:{"driver":"raw","file":{"driver":"file","filename":"${canary}"}}`, at('backing-json'), '64k');
  await qemuImg('create', '-f', 'qcow2', '-u', '-F', 'raw', '-b', 'nbd://127.0.0.1:1/x', at('backing-nbd'), '64k');
  await qemuImg('create', '-f', 'qcow2', '-u', '-F', 'raw', '-b', 'fat:rw:/etc', at('backing-fat'), '64k');
  // Made over a file of its own, then led to the host's: the tool would overwrite that one.
  const data = at('data-'.padEnd(canary.length - root.length - 1, 'x'));
  for (const [name, raw] of [['data', 'off'], ['data-raw', 'on']] as const) {
    await qemuImg('create', '-f', 'qcow2', '-o', `data_file=${data},data_file_raw=${raw}`, at(name), '64k');
    const bytes = fs.readFileSync(at(name));
    bytes.write(canary, bytes.indexOf(data));
    fs.writeFileSync(at(name), bytes);
  }
  return { 'a backing file': [at('backing'), 'backingFile'], 'a backing file in JSON': [at('backing-json'), 'backingFile'], 'a backing file of a network': [at('backing-nbd'), 'backingFile'], 'a directory as a disk': [at('backing-fat'), 'backingFile'], 'a data file': [at('data'), 'incompatibleFeatures'], 'a raw data file': [at('data-raw'), 'incompatibleFeatures'] };
}

describe('D16, G04: names in a qcow2 file that lead out of it', () => {
  let files: Awaited<ReturnType<typeof leadingOut>>;
  before(async () => { files = await leadingOut(); });

  it('are refused by the header, before any program sees it', { timeout: patient(60_000) }, async () => {
    for (const [file, rule] of Object.values(files)) {
      await using store = await open({ diskJobs: { ...nativeDiskJobs(), convert: () => Promise.reject(new Error('a program saw it')) } });
      await assertRefused(store, file, rule);
    }
  });

  const unchecked = { ...CONTENT_GUARDS, checkQcow2: async (file: fs.promises.FileHandle) => Number((await file.read(Buffer.alloc(8), 0, 8, 24)).buffer.readBigUInt64BE()) };

  it('goes red without the check: a program sees it', { timeout: patient(60_000) }, async () => {
    await using store = await open({ guards: unchecked });
    await goesRed(() => assertRefused(store, files['a backing file']![0], 'backingFile'));
  });

  /** Whatever becomes of it: nothing of the host is on the disk. */
  async function assertNothingGotIn(store: ContentStore): Promise<void> {
    for (const [name, [file]] of Object.entries(files)) {
      const image = await bring(store, file).catch((error: unknown) => { assert.ok(error instanceof BerthError, String(error)); });
      if (image !== undefined) assert.ok(!(await whole(store.readDisk(image.manifestDigest))).includes(SECRET), `${name}: the host's file is on the disk`);
    }
  }

  it('without the check the jail holds: there is no file of the host in it', { timeout: patient(60_000) }, async () => {
    await using store = await open({ guards: unchecked });
    await assertNothingGotIn(store);
  });

  it('goes red without check and jail: the host’s file is on the disk', { timeout: patient(60_000) }, async () => {
    await using store = await open({ guards: unchecked, diskJobs: nativeDiskJobs({ program: withoutJail }) });
    await goesRed(() => assertNothingGotIn(store));
  });

  it('links in a directory of a disk are nobody’s: the file that comes in is ours', async () => {
    await using store = await open();
    const disk = store.diskFile(digestOf(fs.readFileSync(at('plain'))));
    fs.symlinkSync(canary, disk);
    await bring(store, at('plain'), 'raw');
    assert.ok(fs.lstatSync(disk).isFile());
    assert.ok(fs.readFileSync(canary, 'utf8').startsWith(SECRET));
  });
});

describe('G04: qcow2 files beyond bounds', () => {
  const patched = (name: string, change: (bytes: Buffer) => void): string => {
    const bytes = fs.readFileSync(at('plain'));
    change(bytes);
    fs.writeFileSync(at(name), bytes);
    return at(name);
  };

  it('encrypted, with snapshots, with extended L2, or a disk of 100 TiB', { timeout: patient(60_000) }, async () => {
    await qemuImg('convert', '-O', 'qcow2', at('plain'), at('snapshot'));
    await run('qemu-img', ['snapshot', '-c', 'one', at('snapshot')]);
    await qemuImg('create', '-f', 'qcow2', '-o', 'extended_l2=on', at('extended'), '4M');
    await qemuImg('create', '-f', 'qcow2', '-o', 'cluster_size=2M', at('bomb'), '100T');
    await using store = await open();
    for (const [name, rule] of [['snapshot', 'snapshots'], ['extended', 'incompatibleFeatures'], ['bomb', 'size']] as const) await assertRefused(store, at(name), rule);
    await assertRefused(store, patched('l1', (bytes) => bytes.writeBigUInt64BE(2n ** 63n | 0xffff0000n, Number(bytes.readBigUInt64BE(40)))), 'l1Table');
    await assertRefused(store, patched('luks', (bytes) => bytes.writeUInt32BE(2, 32)), 'encryption');
    await assertRefused(store, patched('bits', (bytes) => bytes.writeUInt32BE(31, 20)), 'clusterBits');
  });

  it('L2 tables that lead into each other, and clusters that inflate to nothing, end with an error or a disk, in time', { timeout: patient(60_000) }, async () => {
    await using store = await open();
    const l1Of = (bytes: Buffer): number => Number(bytes.readBigUInt64BE(40));
    const loops = patched('loops', (bytes) => {
      const l1 = l1Of(bytes);
      const l2 = Number(bytes.readBigUInt64BE(l1) & 0x00ff_ffff_ffff_fe00n);
      // Every cluster of the disk is the L2 table itself, and then the L1 table.
      for (let entry = 0; entry < 64; entry++) bytes.writeBigUInt64BE(2n ** 63n | BigInt(entry % 2 === 0 ? l2 : l1), l2 + entry * 8);
    });
    const junk = patched('junk', (bytes) => {
      const l2 = Number(bytes.readBigUInt64BE(l1Of(bytes)) & 0x00ff_ffff_ffff_fe00n);
      bytes.writeBigUInt64BE(2n ** 62n | 2n ** 61n | 0x10000n, l2);
    });
    for (const file of [loops, junk]) {
      const image = await bring(store, file).catch((error: unknown) => { assert.ok(error instanceof BerthError && error.code === 'invalid', String(error)); });
      if (image !== undefined) assert.equal(image.bytes, 4 * MIB);
    }
  });

  it('a disk that does not fit is given up, and nothing of it stays', { timeout: patient(60_000) }, async () => {
    const jobs = nativeDiskJobs();
    const tight: DiskJobs = { copy: (bytes, directory, limits, signal) => jobs.copy(bytes, directory, { ...limits, maxWritten: MIB }, signal), convert: (directory, limits, signal) => jobs.convert(directory, { ...limits, maxWritten: 64 * 1024 }, signal) };
    await using store = await open({ diskJobs: tight });
    await qemuImg('create', '-f', 'raw', at('full'), '4M');
    await write(at('full'), ['write -P 1 0 4M'], 'raw');
    await qemuImg('convert', '-c', '-O', 'qcow2', at('full'), at('full.qcow2'));
    assert.ok(fs.statSync(at('full.qcow2')).size < MIB, 'it is a bomb');
    await assert.rejects(bring(store, at('full'), 'raw'), { code: 'exhausted', message: /room/ });
    await assert.rejects(bring(store, at('full.qcow2')), { code: 'exhausted', message: /room/ });
    assert.equal((await store.usage()).disks, 0);
  });
});

describe('J04: a full disk', () => {
  before(async () => {
    await qemuImg('create', '-f', 'raw', at('heavy'), '4M');
    await write(at('heavy'), ['write -P 9 0 4M'], 'raw');
    await qemuImg('convert', '-c', '-O', 'qcow2', at('heavy'), at('heavy.qcow2'));
    fs.mkdirSync(at('tiny'));
    await run('mount', ['-t', 'tmpfs', '-o', 'size=2m,mode=711', 'berth-test', at('tiny')]);
  });
  after(() => run('umount', [at('tiny')]));

  it('takes no image in, makes no disk of a VM, says so, and keeps nothing of either', { timeout: patient(60_000) }, async () => {
    await using store = await openDirContent({ rootDir: at('tiny/images'), layersDir: at('tiny/l'), unpacker: createNativeUnpacker() });
    for (const [file, format] of [['heavy', 'raw'], ['heavy', 'iso'], ['heavy.qcow2', 'qcow2']] as const) await assert.rejects(bring(store, at(file), format), { code: 'exhausted' }, file);
    assert.deepEqual(fs.readdirSync(at('tiny/images/disks')), ['incoming']);
    assert.deepEqual(fs.readdirSync(at('tiny/images/disks/incoming')), []);
    const pool = dirStorage({ rootDir: at('tiny/pool') });
    await assert.rejects(pool.createRoot({ id: 'aaaaaaaaaaaa' as never, form: 'vm', disk: { from: at('heavy'), sizeBytes: 8 * MIB }, specCopy: '{}' }), { code: 'exhausted', message: /no room for the disk/ });
    assert.deepEqual(fs.readdirSync(at('tiny/pool/roots/aaaaaaaaaaaa')), []);
    const before = fs.statfsSync(at('tiny'));
    assert.ok(before.bavail * before.bsize > MIB, 'the room is there again');
  });
});

describe('G05: a raw disk is raw, whatever is written to it', () => {
  /** A guest, or who made the image, writes the header of a qcow2 file with a backing file to the start of a raw disk. */
  function disguised(): Buffer {
    const bytes = Buffer.alloc(MIB);
    fs.readFileSync(at('backing')).copy(bytes);
    return bytes;
  }

  async function assertStaysRaw(store: ContentStore): Promise<void> {
    fs.writeFileSync(at('disguised'), disguised());
    const image = await bring(store, at('disguised'), 'raw');
    assert.equal(image.manifestDigest, digestOf(disguised()), 'it was taken for something else');
    const pool = dirStorage({ rootDir: fs.mkdtempSync(at('pool-')) });
    const { rootDisk } = await pool.createRoot({ id: 'aaaaaaaaaaaa' as never, form: 'vm', disk: { from: store.diskFile(image.manifestDigest), sizeBytes: 2 * MIB }, specCopy: '{}' });
    assert.deepEqual(fs.readFileSync(rootDisk!), Buffer.concat([disguised(), Buffer.alloc(MIB)]));
    // What the guest wrote meanwhile is left alone by the next start.
    fs.writeFileSync(rootDisk!, disguised());
    await pool.createRoot({ id: 'aaaaaaaaaaaa' as never, form: 'vm', disk: { from: store.diskFile(image.manifestDigest), sizeBytes: 2 * MIB }, specCopy: '{}' });
    assert.deepEqual(fs.readFileSync(rootDisk!), disguised());
    assert.deepEqual(await whole(store.readDisk(image.manifestDigest)), disguised());
  }

  it('taken in, copied, started again and written out it is the same bytes', { timeout: patient(60_000) }, async () => {
    await using store = await open();
    await assertStaysRaw(store);
  });

  it('goes red with an importer that looks for the format', { timeout: patient(60_000) }, async () => {
    const jobs = nativeDiskJobs();
    const guessing: DiskJobs = {
      ...jobs,
      async copy(bytes, directory, limits, signal) {
        await jobs.copy(bytes, directory, limits, signal);
        const image = `/proc/${process.pid}/fd/${directory.fd}/image`;
        await run('qemu-img', ['convert', '-O', 'raw', fs.realpathSync(image), at('guessed')]);
        fs.copyFileSync(at('guessed'), image);
        const guessed = fs.readFileSync(at('guessed'));
        return { digest: digestOf(guessed), bytes: guessed.length };
      },
    };
    await using store = await open({ diskJobs: guessing });
    await goesRed(() => assertStaysRaw(store));
  });
});

describe('D18: a file system that a tenant brought is never mounted by the host', () => {
  let disk: Buffer;
  before(async () => {
    fs.writeFileSync(at('ext4'), Buffer.alloc(4 * MIB));
    await run('mkfs.ext4', ['-q', '-F', at('ext4')]);
    disk = fs.readFileSync(at('ext4'));
  });

  /** Whoever mounts an ext4 file system, be it to look, writes to it: its count of mounts, its journal. */
  async function assertNeverMounted(store: ContentStore): Promise<void> {
    const mounts = fs.readFileSync('/proc/self/mountinfo', 'utf8');
    const image = await bring(store, at('ext4'), 'raw');
    const pool = dirStorage({ rootDir: fs.mkdtempSync(at('pool-')) });
    const { rootDisk } = await pool.createRoot({ id: 'aaaaaaaaaaaa' as never, form: 'vm', disk: { from: store.diskFile(image.manifestDigest), sizeBytes: image.bytes }, specCopy: '{}' });
    assert.ok(fs.readFileSync(store.diskFile(image.manifestDigest)).equals(disk), 'it was written to on its way in');
    assert.ok(fs.readFileSync(rootDisk!).equals(disk), 'it was written to on its way to its VM');
    assert.ok((await whole(store.readDisk(image.manifestDigest))).equals(disk));
    assert.deepEqual(fs.readFileSync('/proc/self/mountinfo', 'utf8').split('\n').filter((line) => !mounts.includes(line) && line.includes(root)), []);
  }

  it('not when it comes, not when it is copied, not when it is written out', { timeout: patient(60_000) }, async () => {
    await using store = await open();
    await assertNeverMounted(store);
  });

  it('goes red with an importer that mounts it to see what it is', { timeout: patient(60_000) }, async () => {
    const jobs = nativeDiskJobs();
    const looking: DiskJobs = {
      ...jobs,
      async copy(bytes, directory, limits, signal) {
        const made = await jobs.copy(bytes, directory, limits, signal);
        const image = fs.realpathSync(`/proc/self/fd/${directory.fd}/image`);
        fs.mkdirSync(at('looked-at'), { recursive: true });
        // In a mount namespace that ends with the command: nothing stays mounted.
        await run('unshare', ['--mount', '--propagation', 'private', 'mount', '-t', 'ext4', '-o', 'loop', image, at('looked-at')]);
        await until(async () => (await run('losetup', ['-j', image])).stdout === '', { deadlineMs: 30_000, what: 'the loop device to go' });
        return made;
      },
    };
    await using store = await open({ diskJobs: looking });
    await goesRed(() => assertNeverMounted(store));
  });

  it('a layer that is a file system is no layer', () => {
    const digest = digestOf(Buffer.alloc(0));
    for (const mediaType of ['application/vnd.erofs.layer.v1', 'application/vnd.squashfs', 'application/vnd.oci.image.layer.v1.erofs', 'application/octet-stream']) {
      const manifest = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: 'application/vnd.oci.image.manifest.v1+json', config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest, size: 2 }, layers: [{ mediaType, digest, size: 4096 }] }));
      assert.throws(() => parseManifest(manifest), { code: 'unsupported' });
    }
  });
});
