/** What a tenant left in a writable tree is read in the jail: nothing outside gets in, nothing blocks, nothing breaks. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import { createNativeUnpacker } from '../../src/drivers/unpack/native/native-unpacker.ts';
import { removeTree } from '../../src/host/remove-tree.ts';
import { readTar } from '../../src/lib/tar-reader.ts';
import { BerthError } from '../../src/model/errors.ts';
import { builtNativeProgram } from '../lib/native-build.ts';

const root = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-pack-'));
const secret = path.join(root, 'secret');
fs.writeFileSync(secret, 'TOP-SECRET');
before(() => builtNativeProgram());
after(() => removeTree(root));

const unpacker = createNativeUnpacker();
const fresh = () => fs.mkdtempSync(path.join(root, 'tree-'));

async function packed(dir: string): Promise<{ readonly names: readonly string[]; readonly bytes: Buffer }> {
  const target = new PassThrough();
  const chunks: Buffer[] = [];
  target.on('data', (chunk: Buffer) => chunks.push(chunk));
  await unpacker.pack(dir, target);
  target.end();
  const bytes = Buffer.concat(chunks);
  const names: string[] = [];
  for await (const { path: name, type, link } of readTar((async function* () { yield bytes; })())) names.push(`${type} ${name}${link === '' ? '' : ` -> ${link}`}`);
  return { names, bytes };
}

describe('packing a hostile tree', () => {
  it('never follows a link and never opens what would block', async () => {
    const tree = fresh();
    fs.symlinkSync(secret, path.join(tree, 'link'));
    fs.symlinkSync(root, path.join(tree, 'dirlink'));
    execFileSync('mkfifo', [path.join(tree, 'pipe')]);
    const server = net.createServer().listen(path.join(tree, 'socket'));
    await new Promise((resolve) => server.once('listening', resolve));
    const { names, bytes } = await packed(tree);
    server.close();
    assert.deepEqual(names, ['directory ./', `symlink dirlink -> ${root}`, `symlink link -> ${secret}`, 'other pipe']);
    assert.equal(bytes.includes('TOP-SECRET'), false);
  });

  it('writes marks of overlay as whiteouts, and refuses names that only look like them', async () => {
    const tree = fresh();
    execFileSync('mknod', [path.join(tree, 'gone'), 'c', '0', '0']);
    fs.linkSync(path.join(tree, 'gone'), path.join(tree, 'gone-too'));
    fs.mkdirSync(path.join(tree, 'sub'));
    execFileSync('mknod', [path.join(tree, 'sub', 'gone'), 'c', '0', '0']);
    assert.deepEqual((await packed(tree)).names, ['directory ./', 'file .wh.gone', 'file .wh.gone-too', 'directory sub/', 'file sub/.wh.gone']);
    fs.writeFileSync(path.join(tree, 'sub', '.wh.passwd'), '');
    await assert.rejects(packed(tree), (error: unknown) => error instanceof BerthError && error.code === 'invalid' && error.details?.['rule'] === 'whiteoutName');
  });

  it('keeps hard links, owners, modes, times and sparse sizes', async () => {
    const tree = fresh();
    fs.writeFileSync(path.join(tree, 'a'), 'x', { mode: 0o640 });
    fs.chownSync(path.join(tree, 'a'), 33, 1000);
    fs.chmodSync(path.join(tree, 'a'), 0o4755);
    fs.linkSync(path.join(tree, 'a'), path.join(tree, 'b'));
    fs.utimesSync(path.join(tree, 'a'), 1.5, 1_600_000_000.25);
    fs.writeFileSync(path.join(tree, 'hole'), '');
    fs.truncateSync(path.join(tree, 'hole'), 3_000_000);
    const { names, bytes } = await packed(tree);
    assert.deepEqual(names, ['directory ./', 'file a', 'hardlink b -> a', 'file hole']);
    const again = fresh();
    await unpacker.unpack({ stream: (async function* () { yield bytes; })(), compression: 'none' }, again);
    const stat = fs.statSync(path.join(again, 'b'));
    assert.deepEqual([stat.uid, stat.gid, stat.mode & 0o7777, stat.nlink, stat.mtimeMs], [33, 1000, 0o4755, 2, 1_600_000_000_250]);
    assert.equal(fs.statSync(path.join(again, 'hole')).size, 3_000_000);
  });

  it('refuses directories that are nested beyond any path', async () => {
    const tree = fresh();
    execFileSync('sh', ['-c', 'cd "$1"; i=0; while [ $i -lt 30 ]; do n=$(printf "%0200d" $i); mkdir $n; cd -P $n 2>/dev/null || exit 1; i=$((i+1)); done', 'sh', tree]);
    await assert.rejects(packed(tree), (error: unknown) => error instanceof BerthError && error.details?.['rule'] === 'pathLength');
    await removeTree(tree);
    assert.equal(fs.existsSync(tree), false);
  });

  it('makes a whole archive of files that change while it reads', async () => {
    const tree = fresh();
    const file = path.join(tree, 'changing');
    fs.writeFileSync(file, Buffer.alloc(20_000_000, 'x'));
    const target = new PassThrough({ highWaterMark: 1024 });
    const chunks: Buffer[] = [];
    const work = unpacker.pack(tree, target);
    // The reader is slow at first: the job waits inside of the file, which then becomes shorter.
    target.once('readable', () => {
      fs.truncateSync(file, 10);
      target.on('data', (chunk: Buffer) => chunks.push(chunk));
    });
    const { bytes } = await work;
    target.end();
    const archive = Buffer.concat(chunks);
    assert.equal(archive.length, bytes);
    let size = 0;
    for await (const entry of readTar((async function* () { yield archive; })())) if (entry.path === 'changing') for await (const chunk of entry.content) size += chunk.length;
    assert.equal(size, 20_000_000);
  });

  it('ends when nobody takes the archive any more', async () => {
    const tree = fresh();
    fs.writeFileSync(path.join(tree, 'large'), Buffer.alloc(5_000_000));
    const target = new PassThrough({ highWaterMark: 1024 });
    target.once('readable', () => target.destroy());
    await assert.rejects(unpacker.pack(tree, target), (error: unknown) => error instanceof BerthError && error.code === 'unavailable');
  });
});

describe('reading accounts from a tree that a tenant writes', () => {
  it('ends at pipes, devices, links out and large files', async () => {
    const tree = fresh();
    fs.mkdirSync(path.join(tree, 'etc'));
    const passwd = path.join(tree, 'etc', 'passwd');
    const read = () => unpacker.readFile([tree], '/etc/passwd', 1024 * 1024);
    execFileSync('mkfifo', [passwd]);
    assert.equal(await read(), undefined);
    fs.rmSync(passwd);
    fs.symlinkSync(secret, passwd);
    assert.equal(await read(), undefined, 'the link leads to a path inside of the tree, where nothing is');
    fs.rmSync(passwd);
    fs.symlinkSync('../../../../../../../..' + secret, passwd);
    assert.equal(await read(), undefined);
    fs.rmSync(passwd);
    fs.writeFileSync(passwd, '');
    fs.truncateSync(passwd, 10 * 1024 ** 3);
    assert.equal(await read(), undefined);
    fs.rmSync(path.join(tree, 'etc'), { recursive: true });
    fs.symlinkSync('/etc', path.join(tree, 'etc'));
    assert.equal(await read(), undefined);
  });
});
