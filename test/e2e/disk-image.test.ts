/** Disk images as a user has them: taken in, listed, written out, made into VMs; and a daemon that dies while one comes in. */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { GREETING, writeTinyDisk } from '../lib/boot-sector.ts';
import { berth } from '../lib/cli.ts';
import { TestDaemon } from '../lib/daemon.ts';
import { until } from '../lib/until.ts';

const run = promisify(execFile);
const MIB = 1024 * 1024;
const LAUNCHER = path.resolve(import.meta.dirname, '../../berth');

describe('disk images from the command line', { timeout: 300_000 }, () => {
  let daemon: TestDaemon;
  before(async () => { daemon = await TestDaemon.start({ vms: true }); });
  after(async () => { await daemon[Symbol.asyncDispose](); });

  const at = (name: string): string => path.join(daemon.base, name);
  const say = async (...args: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await berth(daemon, args);
    assert.equal(code, 0, `berth ${args.join(' ')}: ${stderr}`);
    return stdout;
  };
  const refused = async (code: number, text: RegExp, ...args: readonly string[]): Promise<void> => {
    const answer = await berth(daemon, args);
    assert.equal(answer.code, code, `berth ${args.join(' ')}: ${answer.stdout}${answer.stderr}`);
    assert.match(answer.stderr, text);
  };

  test('a qcow2 file, a CD: imported, listed, written out again', async () => {
    const content = Buffer.concat([randomBytes(MIB), Buffer.alloc(3 * MIB)]);
    await writeFile(at('disk.raw'), content);
    await writeFile(at('cd.iso'), randomBytes(64 * 1024));
    await run('qemu-img', ['convert', '-q', '-c', '-f', 'raw', '-O', 'qcow2', at('disk.raw'), at('disk.qcow2')]);
    assert.equal(await say('image', 'import', at('disk.qcow2'), '--as', 'disk', '--disk', 'qcow2'), 'disk\n');
    assert.equal(await say('image', 'import', at('cd.iso'), '--as', 'cd:1', '--disk', 'iso'), 'cd:1\n');
    assert.match(await say('image', 'list'), /^disk:latest +[0-9a-f]{12} +disk +1(\.\d)?MiB/m);
    const status = (JSON.parse(await say('get', 'image', 'disk', '-o', 'json')) as { status: { type: string; bytes: number } }).status;
    assert.deepEqual([status.type, status.bytes], ['disk', 4 * MIB]);
    await say('image', 'export', 'disk', at('out.raw'));
    assert.ok((await readFile(at('out.raw'))).equals(content));
    await refused(2, /A disk has no name of its own/, 'image', 'import', at('disk.raw'), '--disk', 'raw');
    await refused(2, /does not begin like one/, 'image', 'import', at('disk.raw'), '--as', 'x', '--disk', 'qcow2');
    await refused(2, /there is no such one/, 'image', 'import', at('disk.raw'), '--as', 'x', '--disk', 'vmdk');
    await refused(11, /is a disk/, 'image', 'push', 'disk', 'localhost:1/disk');
    await refused(11, /no layers/, 'image', 'export', '--format', 'oci-archive', 'disk', at('x'));
  });

  test('a VM of it has a disk of its own; other forms and other images are refused with the reason', async () => {
    await say('create', '--vm', '--name', 'box', '--disk', '16m', '--firmware', 'bios', '--machine-preset', 'ahci-e1000', '--iso', 'cd:1', '--network', 'none', 'disk');
    const box = JSON.parse(await say('get', 'instance', 'box', '-o', 'json')) as { meta: { id: string }; spec: { firmware: string; machinePreset: string; iso: string[] }; status: { form: string; imageType: string } };
    assert.deepEqual([box.status.form, box.status.imageType], ['vm', 'disk']);
    assert.deepEqual([box.spec.firmware, box.spec.machinePreset, box.spec.iso], ['bios', 'ahci-e1000', ['cd:1']]);
    const file = path.join(daemon.rootDir, 'pool/roots', box.meta.id, 'disk.raw');
    const { size, blocks, mode } = await stat(file);
    assert.deepEqual([size, mode & 0o777], [16 * MIB, 0o600]);
    assert.ok(blocks * 512 < 3 * MIB, 'it is sparse');
    assert.ok((await readFile(file)).subarray(0, 4 * MIB).equals(await readFile(at('disk.raw'))));
    await refused(2, /rootDiskBytes/, 'create', '--vm', '--disk', '1m', 'disk');
    await refused(11, /it has a kernel of its own, which a container cannot boot/, 'launch', 'disk', 'other');
    await refused(125, /it boots by its firmware, and a microVM starts one application/, 'run', '--vm', 'disk');
    await refused(125, /it has a kernel of its own, which a container cannot boot/, 'run', '-d', 'disk');
    await refused(7, /used by 'box'/, 'image', 'delete', 'cd:1');
    await say('rm', 'box');
    await say('image', 'delete', 'cd:1');
    assert.equal((await readdir(path.join(daemon.rootDir, 'images/disks'))).length, 2, 'incoming, and the disk that has a name');
  });

  test('instance.screenshot is refused where there is no screen', async () => {
    await daemon.bootstrapBusybox();
    await say('create', '--name', 'flat', 'busybox');
    await refused(125, /'flat' has no screen: it is an app container/, 'console', 'flat', '--screenshot', at('picture.png'));
    await refused(125, /nobody/, 'console', 'nobody', '--screenshot', at('picture.png'));
    await say('rm', 'flat');
    assert.deepEqual((await readdir(daemon.base)).filter((name) => name.startsWith('picture')), []);
  });

  test('launched it boots by itself: its console, its screen, its power button; nobody inside to be asked', async () => {
    writeTinyDisk(at('tiny.raw'));
    await say('image', 'import', at('tiny.raw'), '--as', 'tiny', '--disk', 'raw');
    assert.equal(await say('launch', '--vm', '--machine-preset', 'ahci-e1000', 'tiny', 'machine'), 'machine\n');
    await until(async () => (await say('logs', 'machine')).includes(GREETING), { deadlineMs: 120_000, what: 'its greeting on the console' });
    await say('console', 'machine', '--screenshot', at('screen.png'));
    assert.deepEqual((await readFile(at('screen.png'))).subarray(0, 8), Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]));
    await refused(125, /has no agent/, 'exec', 'machine', 'true');
    await daemon.kill();
    await daemon.up();
    assert.equal(((await daemon.instance('machine')) as { status: { state: string } }).status.state, 'running');
    await say('stop', 'machine');
    assert.equal(((await daemon.instance('machine')) as { status: { reason: string } }).status.reason, 'poweroff');
    await refused(5, /There is no image 'cd2'/, 'update', 'machine', '--iso', 'cd2');
    await say('update', 'machine', '--firmware', 'uefi');
    await say('rm', 'machine');
    await say('image', 'delete', 'tiny');
  });

  test('J01: a daemon that is killed while a disk comes in leaves nothing of it', async () => {
    const incoming = path.join(daemon.rootDir, 'images/disks/incoming');
    const child = spawn(LAUNCHER, ['image', 'import', '-', '--as', 'half', '--disk', 'raw'], { stdio: ['pipe', 'ignore', 'ignore'], env: { PATH: process.env['PATH'] ?? '', HOME: '/root', BERTH_HOST: `unix:${daemon.socketPath}` } });
    const ended = new Promise((resolve) => child.once('close', resolve));
    try {
      child.stdin.on('error', () => undefined);
      child.stdin.write(randomBytes(4 * MIB));
      await until(async () => {
        const [place] = await readdir(incoming);
        return place !== undefined && ((await stat(path.join(incoming, place, 'image')).catch(() => undefined))?.blocks ?? 0) > 0;
      }, { deadlineMs: 60_000, what: 'a part of the disk' });
      await daemon.kill();
      await daemon.up();
    } finally {
      child.kill('SIGKILL');
      await ended;
    }
    assert.deepEqual(await readdir(incoming), []);
    assert.deepEqual((await readdir(path.dirname(incoming))).length, 2);
    await refused(5, /There is no image 'half'/, 'get', 'image', 'half');
    await daemon.untilNoLeaks();
    await say('image', 'import', at('disk.raw'), '--as', 'half', '--disk', 'raw');
  });
});
