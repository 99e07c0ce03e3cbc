/** Machines boot the kernel that somebody brings: a package of the distribution, taken in as an image. */
import assert from 'node:assert/strict';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { berth } from '../lib/cli.ts';
import { TestDaemon } from '../lib/daemon.ts';
import { kernelPackage, type KernelPackage } from '../lib/kernel-package.ts';

describe('a kernel of one’s own', { timeout: 400_000 }, () => {
  let daemon: TestDaemon, kernel: KernelPackage;
  before(async () => {
    kernel = await kernelPackage();
    daemon = await TestDaemon.start({ vms: true });
    await daemon.bootstrapBusybox();
  });
  after(async () => { await daemon[Symbol.asyncDispose](); });

  const say = async (...args: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await berth(daemon, args, { timeoutMs: 180_000 });
    assert.equal(code, 0, `berth ${args.join(' ')}: ${stdout}${stderr}`);
    return stdout;
  };
  const refused = async (code: number, text: RegExp, ...args: readonly string[]): Promise<void> => {
    const answer = await berth(daemon, args);
    assert.equal(answer.code, code, `berth ${args.join(' ')}: ${answer.stdout}${answer.stderr}`);
    assert.match(answer.stderr, text);
  };
  const instance = async (name: string) => JSON.parse(await say('get', 'instance', name, '-o', 'json')) as { spec: { kernel?: string }; status: { kernel: string; kernelImageId?: string; start?: string } };

  test('a package is taken in as an image', async () => {
    assert.equal(await say('image', 'import', kernel.tar, '--as', 'kernel'), 'kernel\n');
  });

  test('a microVM and a VM boot it', async () => {
    assert.equal(await say('run', '--vm', '--rm', '--kernel', 'kernel', '--network', 'none', 'busybox', 'uname', '-r'), `${kernel.release}\n`);
    await daemon.create('machine', { isolation: 'vm', mode: 'os', kernel: 'kernel', rootDiskBytes: 64 * 1024 * 1024, entrypoint: ['/bin/busybox', 'init'] });
    assert.equal(await say('exec', 'machine', 'uname', '-r'), `${kernel.release}\n`);
    assert.match(await say('exec', 'machine', 'cat', '/proc/mounts'), /^overlay \/ /m, 'its ext4 is a module, and was loaded');
    const { status } = await instance('machine');
    assert.equal(status.kernel, kernel.release);
    assert.match(status.kernelImageId!, /^sha256:/);
    await refused(7, /used by 'machine'/, 'image', 'delete', 'kernel');
  });

  test('what cannot be had is refused with the reason', async () => {
    await refused(125, /A container shares the host’s kernel/, 'run', '--rm', '--kernel', 'kernel', 'busybox', 'true');
    await refused(125, /The image holds no kernel/, 'run', '--vm', '--rm', '--kernel', 'busybox', 'busybox', 'true');
    await refused(125, /There is no image 'nothing'/, 'run', '--vm', '--rm', '--kernel', 'nothing', 'busybox', 'true');
    await writeFile(path.join(daemon.base, 'disk.raw'), Buffer.alloc(4096));
    await say('image', 'import', path.join(daemon.base, 'disk.raw'), '--as', 'disk', '--disk', 'raw');
    await refused(125, /'disk' is a disk/, 'run', '--vm', '--rm', '--kernel', 'disk', 'busybox', 'true');
    await refused(11, /a disk image boots the kernel that is on it/, 'launch', '--vm', '--kernel', 'kernel', 'disk', 'other');
  });

  test('a kernel that was changed on the disk is not booted; another one comes with an update', async () => {
    await say('stop', 'machine');
    const [dir] = await readdir(path.join(daemon.rootDir, 'images/kernels'));
    const vmlinux = path.join(daemon.rootDir, 'images/kernels', dir!, 'vmlinux');
    const whole = await readFile(vmlinux);
    const bent = Buffer.from(whole);
    bent[whole.length >> 1]! ^= 1;
    await writeFile(vmlinux, bent);
    await daemon.restart();
    const { code, stderr } = await berth(daemon, ['start', 'machine']);
    assert.notEqual(code, 0);
    assert.match(stderr, /is not what it was when it was taken in/);
    await daemon.ok('PATCH', '/v1/projects/default/instances/machine', { spec: { kernel: null } });
    assert.equal((await instance('machine')).status.kernelImageId, undefined);
    assert.notEqual(await say('exec', 'machine', 'uname', '-r'), `${kernel.release}\n`);
    await say('image', 'delete', 'kernel');
    await say('image', 'prune');
    assert.deepEqual(await readdir(path.join(daemon.rootDir, 'images/kernels')), []);
  });
});
