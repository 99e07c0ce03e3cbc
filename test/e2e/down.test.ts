/** `berth down` and `down --all`: of a daemon that runs, was started by hand, was stopped or is dead already. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { startInBackground } from '../../src/host/background.ts';
import { identify, isAlive, signalProcess } from '../../src/host/process.ts';
import { run, type RunResult } from '../../src/host/run.ts';
import { runningPrograms } from '../../src/host/socket-owner.ts';
import { TestDaemon } from '../lib/daemon.ts';
import { until } from '../lib/until.ts';

const LAUNCHER = path.resolve(import.meta.dirname, '../../berth');

/** Runs in the daemon's network namespace, as everything of it on a real host would. */
function inside(daemon: TestDaemon, ...words: string[]): Promise<RunResult> {
  const [program, ...rest] = [...daemon.enter, ...words];
  return run(program!, rest, { timeoutMs: 90_000, allowFailure: true });
}

async function down(daemon: TestDaemon, ...flags: string[]): Promise<void> {
  const answer = await inside(daemon, LAUNCHER, 'down', '--yes', '--root', daemon.rootDir, '--run', daemon.runDir, '--leases', daemon.leaseDir, ...flags);
  assert.equal(answer.code, 0, answer.stderr);
}

async function withInstances(daemon: TestDaemon): Promise<{ tag: string; pids: number[] }> {
  await daemon.bootstrapBusybox();
  await daemon.ok('POST', '/v1/projects/default/networks?waitMs=60000', { meta: { name: 'own' }, spec: {} });
  await daemon.create('one', { command: ['sleep', '1000'], networks: [{ name: 'own' }], ports: [{ targetPort: 80 }], volumes: [{ volume: 'data', target: '/data' }] });
  await daemon.create('two', { command: ['sleep', '1000'] });
  await daemon.create('system', { mode: 'os' });
  const pids = [];
  for (const name of ['one', 'two', 'system']) pids.push((await daemon.untilState(name, 'running')).status.pid as number);
  return { tag: fs.readFileSync(path.join(daemon.rootDir, 'state/tag'), 'utf8').split('\n')[0]!, pids };
}

/** What a new network namespace looks like, and nothing of this root anywhere else. */
async function assertNothingLeft(daemon: TestDaemon, tag: string): Promise<void> {
  const links = JSON.parse((await inside(daemon, 'ip', '-j', 'link')).stdout) as { ifname: string }[];
  assert.deepEqual(links.map((link) => link.ifname), ['lo']);
  assert.equal((await inside(daemon, 'nft', 'list', 'ruleset')).stdout, '');
  // A new namespace takes these from the host, where somebody else may forward.
  for (const file of ['/proc/sys/net/ipv4/ip_forward', '/proc/sys/net/ipv6/conf/all/forwarding']) {
    assert.equal((await inside(daemon, 'cat', file)).stdout, (await run('unshare', ['--net', '--', 'cat', file])).stdout, file);
  }
  assert.equal((await run('find', ['/sys/fs/cgroup', '-maxdepth', '3', '-name', `*${tag}*`])).stdout, '');
  assert.deepEqual(runningPrograms().filter((one) => one.args.some((word) => word.includes(`${daemon.base}/`)) ).map((one) => one.args.join(' ')), []);
  assert.ok(!fs.readFileSync('/proc/self/mountinfo', 'utf8').includes(daemon.base));
  for (const dir of [daemon.rootDir, daemon.runDir, daemon.leaseDir]) assert.ok(!fs.existsSync(dir), dir);
}

test('down stops the daemon and leaves instances; the next one takes them over; down --all leaves nothing', async () => {
  await using daemon = await TestDaemon.start();
  const { tag, pids } = await withInstances(daemon);
  await down(daemon);
  await daemon.ended();
  assert.ok(pids.every((pid) => identify(pid) !== undefined), 'instances go on');
  await daemon.up();
  assert.deepEqual([(await daemon.instance('one')).status.pid, (await daemon.instance('two')).status.pid, (await daemon.instance('system')).status.pid], pids);
  await down(daemon, '--all');
  await daemon.ended();
  await assertNothingLeft(daemon, tag);
  await down(daemon, '--all');
});

test('down --all after kill -9 of the daemon leaves nothing', async () => {
  await using daemon = await TestDaemon.start();
  const { tag } = await withInstances(daemon);
  await daemon.kill('SIGKILL');
  await down(daemon, '--all');
  await assertNothingLeft(daemon, tag);
});

test('a daemon that was started by hand, and then stopped by a signal, is ended too', async () => {
  await using daemon = await TestDaemon.start();
  const { tag } = await withInstances(daemon);
  await daemon.kill('SIGTERM');
  const [program, ...rest] = daemon.enter;
  const byHand = identify(await startInBackground(program!, [...rest, LAUNCHER, 'daemon', '--root', daemon.rootDir, '--run', daemon.runDir, '--leases', daemon.leaseDir]))!;
  await until(async () => (await daemon.request('GET', '/v1/projects/-/instances').catch(() => undefined))?.status === 200, { what: 'the daemon started by hand' });
  signalProcess(byHand, 'SIGSTOP');
  await down(daemon, '--all');
  assert.ok(!isAlive(byHand));
  await assertNothingLeft(daemon, tag);
});

test('a root that is not one is refused', async () => {
  await using daemon = await TestDaemon.start();
  const precious = path.join(daemon.base, 'precious');
  fs.mkdirSync(path.join(precious, 'photos'), { recursive: true });
  const answer = await inside(daemon, LAUNCHER, 'down', '--all', '--yes', '--root', precious, '--run', daemon.runDir, '--leases', daemon.leaseDir);
  assert.notEqual(answer.code, 0);
  assert.ok(fs.existsSync(path.join(precious, 'photos')));
});

for (const [part, where] of [['.', 'as the root'], ['pool', 'as a directory of the root']] as const) {
  test(`down --all empties a disk that the admin mounted ${where}, and leaves it mounted`, { timeout: 120_000 }, async () => {
    let disk = '';
    await using daemon = await TestDaemon.start({
      prepareRoot: async (rootDir) => {
        disk = path.join(rootDir, part);
        fs.mkdirSync(disk, { recursive: true, mode: 0o711 });
        await run('mount', ['-t', 'tmpfs', '-o', 'mode=711', 'disk', disk]);
        return async () => { await run('umount', [disk]); };
      },
    });
    await daemon.bootstrapBusybox();
    await daemon.ok('POST', '/v1/projects/default/volumes?waitMs=60000', { meta: { name: 'data' }, spec: {} });
    await down(daemon, '--all');
    await daemon.ended();
    assert.deepEqual(fs.readdirSync(disk), []);
    assert.deepEqual(fs.readdirSync(daemon.rootDir), part === '.' ? [] : [part]);
    assert.ok(fs.readFileSync('/proc/self/mountinfo', 'utf8').includes(` ${disk} `));
  });
}
