/**
 * J04: the disk of the daemon's root is full to the last byte. What needs room is refused as `exhausted`, what runs goes
 * on, what was acknowledged stays, the daemon starts again on the full disk, and all is well when there is room.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { run } from '../../src/host/run.ts';
import { berth } from '../lib/cli.ts';
import { TestDaemon } from '../lib/daemon.ts';
import { enterOwnNamespaces } from '../lib/own-namespaces.ts';
import { goesRed } from '../lib/red.ts';
import { until } from '../lib/until.ts';

enterOwnNamespaces();

const P = '/v1/projects/default';
const SLEEP = { command: ['sleep', '1000'], stopSignal: 'SIGKILL' };
const TICKS = { command: ['sh', '-c', 'i=0; while :; do echo tick $i; i=$((i+1)); sleep 0.1; done'], stopSignal: 'SIGKILL' };
/** Waits for a signal, writes what finds no room, and ends. Not much: conmon tries every line. */
const FLOOD = { command: ['sh', '-c', 'trap "go=1" USR1; go=; while [ -z "$go" ]; do sleep 0.1; done; yes 0123456789abcdef | head -c 2000000; exit 9'] };

/** A small file system of its own, below the root. */
async function mountSmall(rootDir: string): Promise<() => Promise<void>> {
  const image = path.join(path.dirname(rootDir), 'disk');
  fs.closeSync(fs.openSync(image, 'w'));
  fs.truncateSync(image, 64 * 1024 * 1024);
  await run('mkfs.ext4', ['-q', '-m', '0', '-N', '4096', image]);
  await run('mount', ['-o', 'loop', image, rootDir]);
  fs.chmodSync(rootDir, 0o711);
  return async () => { await run('umount', [rootDir]); };
}

describe('J04: a full disk', () => {
  let daemon: TestDaemon;
  let kept: string[];
  let pids: Record<string, number>;

  before(async () => {
    daemon = await TestDaemon.start({ prepareRoot: mountSmall });
    await daemon.bootstrapBusybox();
    await daemon.create('sleeper', { ...SLEEP, ports: [{ hostPort: 18_080, targetPort: 80 }], volumes: [{ volume: 'data', target: '/data', readOnly: false }] });
    await daemon.create('ticks', TICKS);
    await daemon.create('flood', FLOOD);
    await daemon.create('idle', { ...SLEEP, running: false });
    kept = await acknowledged();
    pids = await livePids(['sleeper', 'ticks']);
    fill();
  });
  after(async () => {
    await makeRoom();
    await daemon?.[Symbol.asyncDispose]();
  });

  const ballast = (): string => path.join(daemon.rootDir, 'ballast');

  /** To the last byte. */
  function fill(): void {
    for (let size = 1024 * 1024; size >= 1; size = Math.floor(size / 8)) {
      try {
        for (;;) fs.appendFileSync(ballast(), Buffer.alloc(size));
      } catch (error) {
        assert.equal((error as NodeJS.ErrnoException).code, 'ENOSPC');
      }
    }
  }

  async function makeRoom(): Promise<void> {
    fs.rmSync(ballast(), { force: true });
  }

  async function acknowledged(): Promise<string[]> {
    const lists = await Promise.all(['instances', 'volumes', 'networks', 'images'].map(async (kind) => (await daemon.ok('GET', `/v1/projects/-/${kind}`)).items as { kind: string; meta: { name: string; id: string } }[]));
    return lists.flat().map(({ kind, meta }) => `${kind} ${meta.name} ${meta.id}`).toSorted();
  }

  async function livePids(names: readonly string[]): Promise<Record<string, number>> {
    return Object.fromEntries(await Promise.all(names.map(async (name) => [name, (await daemon.instance(name)).status.pid as number])));
  }

  /** Everything that needs room. */
  const REQUESTS: Readonly<Record<string, () => ReturnType<TestDaemon['request']>>> = {
    'create': () => daemon.request('POST', `${P}/instances?waitMs=60000`, { meta: { name: 'new' }, spec: { image: 'busybox', ...SLEEP } }),
    'create and start': () => daemon.request('POST', `${P}/instances?waitMs=60000`, { meta: { name: 'new' }, spec: { image: 'busybox', running: true, ...SLEEP } }),
    'start': () => daemon.request('POST', `${P}/instances/idle/start?waitMs=60000`),
    'volume': () => daemon.request('POST', `${P}/volumes?waitMs=60000`, { meta: { name: 'new' } }),
    'network': () => daemon.request('POST', `${P}/networks?waitMs=60000`, { meta: { name: 'new' } }),
    'bootstrap': () => daemon.request('POST', `${P}/images/-/bootstrap?waitMs=60000`, { name: 'busybox' }),
    'update': () => daemon.request('PATCH', `${P}/instances/idle`, { meta: { purpose: 'x'.repeat(200) } }),
    'stop': () => daemon.request('POST', `${P}/instances/sleeper/stop?waitMs=60000`),
  };

  async function refusedAsExhausted(request: () => ReturnType<TestDaemon['request']>): Promise<void> {
    const answer = await request();
    const error = answer.body.kind === 'Operation' ? answer.body.status.error : answer.body;
    assert.equal(error?.code, 'exhausted', JSON.stringify(answer.body));
    assert.match(error.hint, /./);
  }

  for (const [what, request] of Object.entries(REQUESTS)) {
    test(`${what}: refused as exhausted, with a hint`, { timeout: 60_000 }, async () => {
      fill();
      await refusedAsExhausted(request);
      assert.deepEqual(await acknowledged(), kept);
    });
  }

  test('what runs goes on, whatever it writes', { timeout: 60_000 }, async () => {
    assert.deepEqual(await livePids(['sleeper', 'ticks']), pids);
    const { status } = await daemon.instance('flood');
    process.kill(status.pid, 'SIGUSR1');
    await until(() => !fs.existsSync(`/proc/${status.pid}/fd`) || fs.readFileSync(`/proc/${status.pid}/stat`, 'latin1').includes(') Z '), { deadlineMs: 30_000, what: 'the end of the flood' });
    assert.deepEqual(await livePids(['sleeper', 'ticks']), pids);
    // Its end cannot be written down; whoever comes next must know it all the same.
    await until(() => daemon.log.includes('the end of an instance could not be written down'), { what: 'the end to be noticed' });
  });

  test('the daemon starts on the full disk and knows everything', { timeout: 60_000 }, async () => {
    fill();
    await daemon.kill();
    await daemon.up();
    assert.deepEqual(await acknowledged(), kept);
    assert.deepEqual(await livePids(['sleeper', 'ticks']), pids);
  });

  test('with room again all is well, and what ended meanwhile has its exit code', { timeout: 120_000 }, async () => {
    await makeRoom();
    const ended = await daemon.untilState('flood', 'stopped');
    assert.deepEqual([ended.status.exitCode, ended.status.reason], [9, 'exited']);
    assert.deepEqual(await acknowledged(), kept);
    assert.deepEqual(await livePids(['sleeper', 'ticks']), pids);
    const said = (await berth(daemon, ['logs', '--tail', '1', 'ticks'])).stdout;
    await until(async () => (await berth(daemon, ['logs', '--tail', '1', 'ticks'])).stdout !== said, { what: 'the log to go on' });
    await daemon.ok('POST', `${P}/instances/idle/start?waitMs=60000`);
    assert.deepEqual(await berth(daemon, ['exec', 'idle', 'sh', '-c', 'echo out; exit 3']), { code: 3, stdout: 'out\n', stderr: '' });
    await daemon.create('new', SLEEP);
    await daemon.bootstrapBusybox();
    await daemon.untilNoLeaks();
  });

  test('J04 goes red with room', { timeout: 60_000 }, async () => {
    await goesRed(() => refusedAsExhausted(() => daemon.request('PATCH', `${P}/instances/idle`, { meta: { purpose: 'there is room' } })));
  });
});
