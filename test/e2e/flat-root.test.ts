/** A VM whose root is one file system of its own: the same content as layers, and what container engines need. */
import assert from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { berth } from '../lib/cli.ts';
import { TestDaemon } from '../lib/daemon.ts';

const MIB = 1024 * 1024;
/** What every file is: kind, mode, owner, size, name; and the content of all. */
const CENSUS = 'cd / && find bin sbin lib usr etc home -xdev ! -path etc/resolv.conf ! -path etc/hosts ! -path etc/hostname ! -path etc/machine-id -exec stat -c "%f %u:%g %N" {} + | sort; find bin/busybox etc/passwd etc/group -type f -exec sha256sum {} + | sort';

describe('a flat root', { timeout: 400_000 }, () => {
  let daemon: TestDaemon;
  before(async () => {
    daemon = await TestDaemon.start({ vms: true });
    await daemon.bootstrapBusybox();
  });
  after(async () => { await daemon[Symbol.asyncDispose](); });

  const say = async (...args: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await berth(daemon, args, { timeoutMs: 180_000 });
    assert.equal(code, 0, `berth ${args.join(' ')}: ${stdout}${stderr}`);
    return stdout.trim();
  };
  const inside = (script: string): Promise<string> => say('exec', 'flat', 'sh', '-c', script);
  const refused = async (code: number, text: RegExp, ...args: readonly string[]): Promise<void> => {
    const answer = await berth(daemon, args);
    assert.equal(answer.code, code, `berth ${args.join(' ')}: ${answer.stdout}${answer.stderr}`);
    assert.match(answer.stderr, text);
  };

  test('is one ext4 of the size that was asked for, with the image in it, on which overlays can be mounted', async () => {
    await daemon.create('flat', { isolation: 'vm', mode: 'os', root: 'flat', rootDiskBytes: 96 * MIB, entrypoint: ['/bin/busybox', 'init'] });
    const { meta } = await daemon.instance('flat');
    const { size, mode } = await stat(path.join(daemon.rootDir, 'pool/roots', meta.id, 'root.img'));
    assert.deepEqual([size, mode & 0o777], [96 * MIB, 0o600]);
    assert.match(await inside('grep " / " /proc/mounts'), /^\/dev\/vd\w \/ ext4 rw\S*noatime/);
    assert.match(await inside('grep -c overlay /proc/mounts; ls /sys/class/block | grep -c vd'), /^0\n1$/, 'no overlay, and one disk');
    const blocks = (await inside('stat -f -c "%t %b %S" /')).split(' ');
    assert.equal(blocks[0], 'ef53');
    assert.ok(Number(blocks[1]) * Number(blocks[2]) > 70 * MIB);
    assert.equal(await inside('cd /home && mkdir l u w m && echo below > l/f && mount -t overlay overlay -o lowerdir=l,upperdir=u,workdir=w m && echo above > m/g && cat m/f u/g && umount m'), 'below\nabove');
    await inside('rm -r /home/l /home/u /home/w /home/m');
    assert.equal(await inside(CENSUS), await say('run', '--rm', 'busybox', 'sh', '-c', CENSUS));
  });

  test('stays over a restart, and over a daemon that dies', async () => {
    await inside('echo kept > /home/kept; rm /etc/group; sync');
    await daemon.restart();
    assert.equal(await inside('cat /home/kept'), 'kept');
    await say('stop', 'flat');
    await say('start', 'flat');
    assert.equal(await inside('cat /home/kept; ls /etc/group 2>&1 | grep -c "No such"'), 'kept\n1');
    assert.match(await inside('grep " / " /proc/mounts'), /ext4/);
  });

  test('is a VM’s alone, of an image that has layers, for good, and large enough', async () => {
    await refused(125, /An application’s root is the image’s layers/, 'run', '--vm', '--rm', '--root', 'flat', 'busybox', 'true');
    await refused(125, /Its root is the image’s layers/, 'run', '--rm', '--root', 'flat', 'busybox', 'true');
    await refused(2, /there is no such|not one of|flat/, 'launch', '--vm', '--root', 'round', 'busybox', 'other');
    const tight = await daemon.request('POST', '/v1/projects/default/instances?waitMs=60000', { meta: { name: 'tight' }, spec: { image: 'busybox', isolation: 'vm', mode: 'os', root: 'flat', rootDiskBytes: 16 * MIB, running: false } });
    assert.ok(tight.status < 300, JSON.stringify(tight.body));
    const answer = await daemon.request('PATCH', '/v1/projects/default/instances/flat', { spec: { root: 'layers' } });
    assert.match(JSON.stringify(answer.body), /root cannot be changed after the instance was made/);
  });
});
