/** Other inits than the one that most have: each boots, is the system's own, reboots, and powers off when it is asked. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { berth } from '../lib/cli.ts';
import { startCli } from '../lib/cli-process.ts';
import { TestDaemon } from '../lib/daemon.ts';
import { systemArchive } from '../lib/debian-images.ts';
import { until } from '../lib/until.ts';

describe('inits of OS containers', () => {
  let daemon: TestDaemon;
  before(async () => { daemon = await TestDaemon.start(); });
  after(async () => { await daemon?.[Symbol.asyncDispose](); });

  const ok = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await berth(daemon, args, { timeoutMs: 300_000 });
    assert.equal(code, 0, `berth ${args.join(' ')}: ${code}\n${stdout}\n${stderr}\n${daemon.log.slice(-2000)}`);
    return stdout;
  };

  async function life(name: string, image: string, facts: { readonly script: string; readonly says: RegExp; readonly reboot: string; readonly flags?: readonly string[] }): Promise<void> {
    await ok('launch', ...(facts.flags ?? []), image, name);
    assert.match(await ok('exec', name, 'sh', '-c', facts.script), facts.says);
    await ok('exec', name, 'sh', '-c', 'echo kept > /root/file; sync');
    const { status } = await daemon.instance(name);
    await berth(daemon, ['exec', name, 'sh', '-c', facts.reboot]);
    const again = await until(async () => {
      const next = (await daemon.instance(name)).status;
      return next.startedAt !== status.startedAt && next.health === 'healthy' ? next : undefined;
    }, { deadlineMs: 90_000, what: `${name} after its reboot` });
    assert.equal(again.restarts, 0);
    assert.equal(await ok('exec', name, 'cat', '/root/file'), 'kept\n');
    const started = performance.now();
    await ok('stop', name);
    const stopped = (await daemon.instance(name)).status;
    assert.deepEqual([stopped.reason, stopped.exitCode], ['poweroff', 0]);
    assert.ok(performance.now() - started < 30_000, 'asked, not killed');
    await ok('rm', name);
  }

  test('systemd 257 (Debian 13)', async () => {
    await ok('image', 'import', await systemArchive('systemd', 'trixie'), '--as', 'trixie');
    await life('trixie', 'trixie', { script: 'systemctl is-system-running; systemctl --failed --no-legend; systemctl --version | head -1; hostname', says: /^running\nsystemd 257 .*\ntrixie\n$/, reboot: 'reboot' });
  });

  for (const init of ['sysvinit', 'openrc'] as const) {
    test(`${init}, with a login on the console`, async () => {
      await ok('image', 'import', await systemArchive(init), '--as', init);
      await life(init, init, { script: 'runlevel; readlink /proc/1/exe; hostname; cat /etc/hostname; grep -c . /etc/machine-id', says: new RegExp(`N 2\\n/(usr/)?sbin/init\\n${init}\\n${init}\\n1\\n$`), reboot: 'reboot' });
      await ok('launch', init, `con-${init}`);
      const { child, ended } = startCli('node', `unix:${daemon.socketPath}`, ['console', `con-${init}`], { terminal: true });
      let seen = '';
      child.stdout!.on('data', (chunk: Buffer) => { seen += chunk.toString(); });
      child.stdin!.write('\r');
      await until(() => {
        if (!seen.includes('login:')) return false;
        child.stdin!.write('\x10\x11');
        return true;
      }, { deadlineMs: 30_000, what: `a login prompt; there was ${JSON.stringify(seen)}` });
      assert.equal((await ended).code, 0);
      await ok('rm', '-f', `con-${init}`);
    });
  }

  test('openrc-init as the first process', async () => {
    await ok('image', 'import', await systemArchive('openrc'), '--as', 'openrc');
    await life('rc', 'openrc', { flags: ['--entrypoint', '/sbin/openrc-init'], script: 'readlink /proc/1/exe; rc-status -r; hostname', says: /^\/(usr\/)?sbin\/openrc-init\ndefault\nrc\n$/, reboot: 'openrc-shutdown -r now' });
  });

  test('an image with cloud-init is given its user data, and any text that it reads', async () => {
    await ok('image', 'import', await systemArchive('cloud-init'), '--as', 'cloud');
    const file = path.join(daemon.base, 'user-data');
    fs.writeFileSync(file, '#cloud-config\nhostname: fancy\nusers:\n  - {name: bob, sudo: "ALL=(ALL) NOPASSWD:ALL"}\nruncmd:\n  - echo one > /root/one\n');
    // The image has no locale to set, of which its cloud-init complains.
    await ok('launch', '--user-data', file, 'cloud', 'subset');
    assert.equal(await ok('exec', 'subset', 'sh', '-c', 'cloud-init status --wait >/dev/null; hostname; id -un bob; cat /root/one; grep -o NoCloud /run/cloud-init/result.json'), 'fancy\nbob\none\nNoCloud\n');
    fs.writeFileSync(file, '#cloud-config\ntimezone: Europe/Vienna\nbootcmd:\n  - echo raw > /root/raw\n');
    await ok('launch', '--user-data', file, 'cloud', 'raw');
    assert.equal(await ok('exec', 'raw', 'sh', '-c', 'cloud-init status --wait >/dev/null; cat /etc/timezone /root/raw; ip -4 -o addr show eth0 | grep -c inet'), 'Europe/Vienna\nraw\n1\n');
    for (const name of ['subset', 'raw']) await ok('rm', '-f', name);
  });

  test('busybox init', async () => {
    await daemon.bootstrapBusybox();
    await life('tiny', 'busybox', { script: 'readlink /proc/1/exe; hostname; cat /etc/hostname', says: /^\/(bin|sbin)\/(busybox|init)\ntiny\ntiny\n$/, reboot: 'reboot' });
  });

  test('an image without an init is not launched, and says so', async () => {
    for (const [flags, said] of [[['--restart', 'no'], /'none' did not stay up: it is (stopped|failed)/], [[], /'none' did not stay up; it is tried again and again/]] as const) {
      await berth(daemon, ['rm', '-f', 'none']);
      const { code, stderr } = await berth(daemon, ['launch', ...flags, '--entrypoint', '/no/init', 'busybox', 'none']);
      assert.notEqual(code, 0);
      assert.match(stderr, said);
    }
    assert.match(await ok('logs', 'none'), /\/no\/init: No such file or directory/);
    await ok('rm', '-f', 'none');
  });
});
