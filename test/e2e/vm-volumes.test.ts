/**
 * Volumes of microVMs and VMs, several networks, and limits that change while one runs: from inside, by the real
 * command. Few machines, for each costs a boot.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { berth } from '../lib/cli.ts';
import { TestDaemon } from '../lib/daemon.ts';
import { until } from '../lib/until.ts';
import { virtiofsdOfTrixie } from '../lib/virtiofsd.ts';

const PATIENCE_MS = 120_000;

describe('volumes, networks and limits of machines', { timeout: 600_000 }, () => {
  let daemon: TestDaemon;
  let env: Record<string, string>;
  before(async () => {
    env = { BERTH_TEST_VIRTIOFSD: JSON.stringify(await virtiofsdOfTrixie()) };
    daemon = await TestDaemon.start({ vms: true, env });
    await daemon.bootstrapBusybox();
  });
  after(async () => { await daemon?.[Symbol.asyncDispose](); });

  const say = (...words: string[]) => berth(daemon, words, { timeoutMs: PATIENCE_MS });
  const ok = async (...words: string[]): Promise<string> => {
    const { code, stdout, stderr } = await say(...words);
    assert.equal(code, 0, `berth ${words.join(' ')}: ${code}\n${stdout}\n${stderr}\n${daemon.log.slice(-2000)}`);
    return stdout;
  };
  const refused = async (words: readonly string[], reason: RegExp): Promise<void> => {
    const { code, stderr } = await say(...words);
    assert.notEqual(code, 0, words.join(' '));
    assert.match(stderr, reason);
  };
  const inside = async (name: string, script: string): Promise<string> => (await ok('exec', name, 'sh', '-c', script)).trim();

  test('a microVM has its volumes and its networks', async () => {
    await ok('volume', 'create', 'data', '--type', 'block', '--size', '32m');
    await ok('volume', 'create', 'old', '--type', 'block', '--size', '16m');
    await ok('network', 'create', 'second');
    await ok('run', '-d', '--name', 'peer', '--network', 'second', 'busybox', 'sleep', '1000');
    await ok('run', '--vm', '-d', '--name', 'one', '--memory', '256m', '--cap-add', 'NET_RAW', '--network', 'default', '--network', 'second', '-v', 'data:/data', '-v', 'old:/old', 'busybox', 'sleep', '1000');
    assert.equal(await inside('one', 'echo kept > /data/kept; echo the-mark-of-one > /old/mark; sync; ls -A /data /old'), '/data:\nkept\n\n/old:\nmark');
    assert.equal(await inside('one', 'grep -E " /(data|old) " /proc/mounts | cut -d, -f1-3 | cut -d" " -f3,4'), 'ext4 rw,nosuid,nodev\next4 rw,nosuid,nodev');
    const { status } = await daemon.instance('one');
    const peer = (await daemon.instance('peer')).status;
    assert.deepEqual(await inside('one', 'ip -4 -o addr show | grep -o "eth.*inet [0-9.]*" | tr -s " "').then((text) => text.split('\n')), [`eth0 inet ${status.addresses.default[0]}`, `eth1 inet ${status.addresses.second[0]}`]);
    assert.equal(await inside('one', 'ip route | grep -c default; ip route | grep default | grep -o "dev eth[0-9]"'), '1\ndev eth0');
    assert.match(await inside('one', `ping -c1 -W5 ${peer.addresses.second[0]}`), /1 packets received/);
    // The resolver is that of the first network; each network knows its own names.
    assert.match(await inside('one', 'nslookup one'), new RegExp(`Address[^\n]*${status.addresses.default[0]}`));
    const second = (await daemon.ok('GET', '/v1/projects/default/networks/second')).status.ipv4.gateway as string;
    assert.match(await inside('one', `nslookup peer.default.berth ${second}`), new RegExp(`Address[^\n]*${peer.addresses.second[0]}`));
  });

  test('a volume grows, and never shrinks; what runs has the new size from its next start on', async () => {
    const kibibytes = async (): Promise<number> => Number(await inside('one', 'df -k /data | awk \'NR == 2 { print $2 }\''));
    const before = await kibibytes();
    const { code, stdout, stderr } = await say('volume', 'update', 'data', '--size', '96m');
    assert.deepEqual([code, stdout, stderr], [0, 'data\n', "berth: 'one' will see the new size from the next start on.\n"]);
    assert.equal(await kibibytes(), before);
    await refused(['volume', 'update', 'data', '--size', '64m'], /cannot be made smaller[^]*hint: Make a smaller one/);
    await ok('volume', 'create', 'directory');
    await refused(['volume', 'update', 'directory', '--size', '64m'], /no quotas/);
    await ok('volume', 'delete', 'directory');
    await ok('restart', 'one');
    assert.ok(await kibibytes() > 80 * 1024, `${await kibibytes()} KiB, ${before} before`);
    assert.equal(await inside('one', 'cat /data/kept && dd if=/dev/zero of=/data/much bs=1M count=64 2>/dev/null && rm /data/much && echo room'), 'kept\nroom');
    assert.equal((await daemon.ok('GET', '/v1/projects/default/volumes/data')).status.sizeBytes, 96 * 1024 * 1024);
  });

  test('limits change while it runs; what waits for a restart is said, and stays said', async () => {
    const kilobytes = async (): Promise<number> => Number(await inside('one', 'awk \'/MemTotal/ {print $2}\' /proc/meminfo'));
    const before = await kilobytes();
    const { code, stderr } = await say('update', 'one', '--memory', '160m', '--cpus', '0.5', '--pids-limit', '20');
    assert.deepEqual([code, stderr], [0, '']);
    await until(async () => Math.abs(before - await kilobytes() - 96 * 1024) < 4096, { deadlineMs: PATIENCE_MS, what: 'the balloon' });
    assert.match((await say('exec', 'one', 'sh', '-c', 'i=0; while [ $i -lt 30 ]; do sleep 1 & i=$((i+1)); done')).stderr, /fork/);
    assert.equal((await daemon.instance('one')).status.observedGeneration, (await daemon.instance('one')).meta.generation);
    const more = await say('update', 'one', '--memory', '512m', '--cpus', '2', '--pids-limit', '100');
    assert.deepEqual([more.code, more.stderr], [0, 'berth: memoryBytes, cpus will change at the next start.\n']);
    const { status, meta } = await daemon.instance('one');
    assert.ok(status.observedGeneration < meta.generation);
    assert.match(await ok('why', 'one'), /memoryBytes, cpus will change at the next start/);
    await until(async () => Math.abs(before - await kilobytes()) < 4096, { deadlineMs: PATIENCE_MS, what: 'all that it was started with' });
    await refused(['update', 'one', '--memory', '64m'], /at least 96 MiB/);
    assert.equal((await daemon.instance('one')).meta.generation, meta.generation);
  });

  test('one writer: others are told who has it, also after the daemon was killed', async () => {
    await daemon.restart({ env });
    assert.equal((await daemon.instance('one')).status.state, 'running');
    assert.equal(await inside('one', 'cat /data/kept'), 'kept');
    for (const mode of ['', ':ro']) await refused(['run', '--vm', '--rm', '-v', `data:/data${mode}`, 'busybox', 'true'], /Volume 'data' is attached to 'one'/);
    await refused(['run', '--rm', '-v', 'data:/data', 'busybox', 'true'], /is a disk[^]*--vm/);
    await refused(['volume', 'delete', 'data'], /used by 'one'/);
  });

  test('a directory is shared by a container and a machine: the same users and bytes, and links that lead nowhere else', async () => {
    await ok('volume', 'create', 'shared');
    await ok('run', '-d', '--name', 'beside', '-v', 'shared:/data', 'busybox', 'sleep', '1000');
    await ok('run', '--vm', '-d', '--name', 'sharer', '--memory', '128m', '-v', 'shared:/data', 'busybox', 'sleep', '1000');
    const secret = path.join(daemon.base, 'secret');
    fs.writeFileSync(secret, 'of the host', { mode: 0o644 });
    assert.equal(await inside('sharer', `echo from-vm > /data/vm; chown 1000:33 /data/vm; ln -s ${secret} /data/secret; ln -s / /data/root; cat ${secret} /data/secret 2>&1 | grep -c "No such file"`), '2');
    assert.equal(await inside('beside', 'stat -c "%u %g" /data/vm; cat /data/vm; cat /data/secret 2>&1; ls -d /data/root/data; echo from-container > /data/container'), '1000 33\nfrom-vm\ncat: can\'t open \'/data/secret\': No such file or directory\n/data/root/data');
    await daemon.restart({ env });
    assert.equal(await inside('sharer', 'cat /data/container; stat -c "%u %g" /data/container'), 'from-container\n0 0');
    // A copy takes the link, or what it leads to inside: never what the host has there.
    await refused(['cp', '-L', 'beside:/data/secret', path.join(daemon.base, 'copied')], /secret/);
    await ok('cp', 'beside:/data/secret', path.join(daemon.base, 'link'));
    assert.equal(fs.readlinkSync(path.join(daemon.base, 'link')), secret);
    assert.equal((await daemon.instance('sharer')).status.start, 'cold');
    await ok('stop', '-t', '1', 'sharer');
    await ok('rm', '--force', 'sharer', 'beside');
  });

  test('it ends at its size, and is counted', async () => {
    assert.match(await inside('one', 'dd if=/dev/zero of=/data/big bs=1M 2>&1; rm /data/big'), /No space left on device/);
    const volumes = JSON.parse(await ok('system', 'df', '-o', 'json')).find((row: { what: string }) => row.what === 'volumes');
    assert.deepEqual([volumes.count, volumes.active], [3, 2]);
    assert.ok(volumes.bytes > 1024 ** 2 && volumes.bytes < 128 * 1024 ** 2, String(volumes.bytes));
  });

  test('B04: another machine finds what was kept, and nothing of a volume that was deleted', async () => {
    await ok('rm', '--force', 'one');
    await ok('volume', 'delete', 'old');
    await ok('volume', 'create', 'new', '--type', 'block', '--size', '16m');
    await daemon.create('two', { isolation: 'vm', mode: 'os', memoryBytes: 256 * 1024 ** 2, volumes: [{ volume: 'data', target: '/srv/data' }, { volume: 'new', target: '/srv/new' }] });
    assert.equal(await inside('two', 'cat /srv/data/kept; ls -A /srv/new; echo from-two >> /srv/data/kept'), 'kept');
    const disk = await inside('two', 'for d in /sys/class/block/*; do [ "$(cat $d/serial 2>/dev/null)" = v1-new ] && echo /dev/${d##*/}; done; true');
    assert.match(disk, /^\/dev\/vd[a-z]$/);
    assert.equal(await inside('two', `grep -c the-mark-of-one ${disk}; wc -c < ${disk}`), `0\n${16 * 1024 ** 2}`);
  });

  test('a system that was shut down leaves it clean; who may only read cannot write', async () => {
    await ok('stop', 'two');
    assert.equal((await daemon.instance('two')).status.reason, 'poweroff');
    const said = await say('run', '--vm', '--rm', '-v', 'data:/data:ro', 'busybox', 'sh', '-c', 'cat /data/kept; echo x > /data/x');
    assert.equal(said.stdout, 'kept\nfrom-two\n');
    assert.match(said.stderr, /Read-only file system/);
    await ok('rm', 'two', 'peer', '--force');
    await ok('volume', 'delete', 'data');
    await ok('volume', 'delete', 'new');
    await daemon.untilNoLeaks();
  });
});
