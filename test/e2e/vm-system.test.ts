/** VMs from an image with an init: the same image, user data and verbs as an OS container, on a kernel of its own. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { berth } from '../lib/cli.ts';
import { TestDaemon } from '../lib/daemon.ts';
import { systemArchive } from '../lib/debian-images.ts';
import { until } from '../lib/until.ts';

/** Emulated, on a machine that others keep busy. */
const PATIENCE_MS = 300_000;

describe('VMs with a system', { timeout: 900_000 }, () => {
  let daemon: TestDaemon, key: string;

  before(async () => {
    daemon = await TestDaemon.start({ vms: true });
    const made = await berth(daemon, ['image', 'import', await systemArchive('systemd'), '--as', 'system'], { timeoutMs: 300_000 });
    assert.equal(made.code, 0, made.stderr);
    key = path.join(daemon.base, 'key');
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'test', '-f', key]);
  });
  after(async () => { await daemon?.[Symbol.asyncDispose](); });

  const ok = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await berth(daemon, args, { timeoutMs: PATIENCE_MS });
    assert.equal(code, 0, `berth ${args.join(' ')}: ${code}\n${stdout}\n${stderr}\n${daemon.log.slice(-2000)}`);
    return stdout;
  };
  const inside = async (script: string): Promise<string> => (await ok('exec', 'vm', 'sh', '-c', script)).trim();
  const status = async () => (await daemon.instance('vm')).status;
  const bootedSince = (startedAt: string) => until(async () => {
    const now = await status();
    return now.health === 'healthy' && now.startedAt !== startedAt ? now : undefined;
  }, { deadlineMs: PATIENCE_MS, intervalMs: 500, what: 'the next boot' });

  test('launch --vm waits until systemd says running: a machine, not a container, and its own', async () => {
    const userData = path.join(daemon.base, 'user-data');
    fs.writeFileSync(userData, `#cloud-config\nusers:\n  - name: bob\n    sudo: ALL=(ALL) NOPASSWD:ALL\n    ssh_authorized_keys: ["${fs.readFileSync(`${key}.pub`, 'utf8').trim()}"]\nwrite_files:\n  - {path: /srv/note, content: made}\n`);
    assert.equal(await ok('launch', '--vm', 'system', 'vm', '--user-data', userData, '--memory', '512m', '--restart', 'unless-stopped'), 'vm\n');
    const { state, form, boundary, health } = await status();
    assert.deepEqual([state, form, health], ['running', 'vm', 'healthy']);
    assert.notEqual(boundary, 'kernel');
    assert.equal(await inside('systemctl is-system-running; systemctl --failed --no-legend; systemd-detect-virt --container; cat /proc/1/comm /proc/1/cgroup; hostname; cat /etc/hostname /srv/note'), 'running\nnone\nsystemd\n0::/init.scope\nvm\nvm\nmade');
    assert.notEqual(await inside('uname -r'), execFileSync('uname', ['-r'], { encoding: 'utf8' }).trim());
    // The kernel is its own: what no container may set.
    assert.equal(await inside('sysctl -w vm.swappiness=7 && cat /proc/sys/vm/swappiness'), 'vm.swappiness = 7\n7');
    // Programs that the kernel starts (modprobe, for what takes crash dumps) are the system's too: they run where kthreadd is.
    assert.equal(await inside('cat /proc/2/root/etc/hostname'), 'vm');
    assert.match(await ok('logs', 'vm'), /Welcome to .*Debian GNU\/Linux 12/);
    assert.match(await ok('list'), /^vm +VM +running/m);
  });

  test('sshd answers its users by address', async () => {
    const [address] = (await status()).addresses.default as string[];
    const said = await daemon.fromTheHost(['ssh', '-i', key, '-o', 'StrictHostKeyChecking=no', '-o', `UserKnownHostsFile=${daemon.base}/known`, '-o', 'LogLevel=ERROR', `bob@${address}`, 'id -un; sudo id -u'], 120_000);
    assert.equal(said, 'bob\n0\n');
  });

  test('a reboot from inside is one, not a failure: what was written is there, nothing of the first boot is done again', async () => {
    const before = await status();
    const [machineId, bootId] = (await inside('cat /etc/machine-id /proc/sys/kernel/random/boot_id')).split('\n');
    await inside('echo kept > /root/mark; rm /srv/note');
    await berth(daemon, ['exec', 'vm', 'systemctl', 'reboot']);
    const now = await bootedSince(before.startedAt);
    assert.deepEqual([now.restarts, now.addresses], [0, before.addresses]);
    const [sameMachine, otherBoot, mark] = (await inside('cat /etc/machine-id /proc/sys/kernel/random/boot_id /root/mark; test ! -e /srv/note')).split('\n');
    assert.equal(sameMachine, machineId);
    assert.notEqual(otherBoot, bootId);
    assert.equal(mark, 'kept');
  });

  test('kill -9 of the daemon: the machine goes on and is taken over', async () => {
    const before = await status();
    await daemon.kill();
    await daemon.up();
    const now = await status();
    assert.deepEqual([now.pid, now.state], [before.pid, 'running']);
    assert.equal(await inside('cat /root/mark'), 'kept');
  });

  test('stop powers it off; rm takes all of it away', async () => {
    await ok('stop', '-t', '240', 'vm');
    const { state, exitCode, reason } = await status();
    assert.deepEqual([state, exitCode, reason], ['stopped', 0, 'poweroff']);
    await ok('rm', 'vm');
    await daemon.untilNoLeaks();
  });
});
