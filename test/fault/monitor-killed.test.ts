/**
 * The monitor is killed, the workload is killed, the workload eats more memory than it has: each ends in a state with a
 * name and a reason, every verb goes on working, the restart policy does what it says, and nothing leaks.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { isAlive } from '../../src/host/process.ts';
import { berth } from '../lib/cli.ts';
import { TestDaemon } from '../lib/daemon.ts';
import { until } from '../lib/until.ts';

const FORMS = [
  { form: 'app container', spec: {} as Record<string, unknown>, patienceMs: 20_000, retries: 1 },
  // A guest takes its time to boot: the policy is the same code.
  { form: 'microVM', spec: { isolation: 'vm' }, patienceMs: 120_000, retries: 0 },
] as const;
const NAME = 'subject';
const URL = `/v1/projects/default/instances/${NAME}`;
/** Fills memory with what is not all the same, until somebody stops it. */
const EAT = 'x=$(head -c 1000000 /dev/urandom | base64); while :; do x="$x$x"; done';
const SLEEP = { command: ['sleep', '1000'], stopSignal: 'SIGKILL' };

describe('monitor and workload are killed', () => {
  let daemon: TestDaemon;
  before(async () => {
    daemon = await TestDaemon.start({ vms: true });
    await daemon.bootstrapBusybox();
  });
  afterEach(async () => {
    await daemon.request('DELETE', `${URL}?force=1&waitMs=60000`);
    await daemon.untilNoLeaks();
  });
  after(async () => { await daemon?.[Symbol.asyncDispose](); });

  async function eventsOf(id: string): Promise<{ type: string; severity: string }[]> {
    const { items } = await daemon.ok('GET', '/v1/projects/-/events');
    return items.map((item: { spec: unknown }) => item.spec).filter((event: { target: { id: string } }) => event.target.id === id);
  }

  /** Runs it and kills its monitor; resolves when that was noticed. */
  async function unsupervised(spec: Record<string, unknown>): Promise<any> { // eslint-disable-line -- an instance as the API shows it
    await daemon.create(NAME, { ...SLEEP, ...spec });
    const running = await daemon.untilState(NAME, 'running');
    process.kill(running.status.monitorPid, 'SIGKILL');
    const now = await daemon.untilState(NAME, 'unsupervised', 10_000);
    assert.equal(now.status.pid, running.status.pid);
    assert.equal(now.status.monitorPid, undefined);
    return now;
  }

  for (const { form, spec, patienceMs, retries } of FORMS) {
    test(`${form}: without a monitor it runs on, is said to be unsupervised, and can be entered and stopped`, { timeout: 240_000 }, async () => {
      const instance = await unsupervised(spec);
      assert.ok((await eventsOf(instance.meta.id)).some((event) => event.type === 'instance.unsupervised' && event.severity === 'warning'));
      const inside = await berth(daemon, ['exec', NAME, 'sh', '-c', 'echo alive; exit 3'], { timeoutMs: patienceMs });
      assert.deepEqual(inside, { code: 3, stdout: 'alive\n', stderr: '' });
      await daemon.restart();
      assert.equal((await daemon.instance(NAME)).status.state, 'unsupervised');
      await daemon.ok('POST', `${URL}/stop?waitMs=60000`);
      const stopped = await daemon.instance(NAME);
      assert.equal(stopped.status.state, 'stopped');
      assertNoFalseCode(stopped.status);
    });

    test(`${form}: without a monitor, kill ends it and is reported; the policy starts it again; it is removed by force`, { timeout: 240_000 }, async () => {
      const { status: { pid } } = await unsupervised({ ...spec, restart: { policy: 'always' } });
      await daemon.ok('POST', `${URL}/kill?signal=SIGKILL`);
      const again = await until(async () => { const one = await daemon.instance(NAME); return one.status.state === 'running' && one.status.pid !== pid ? one : undefined; }, { deadlineMs: patienceMs, what: 'the restart' });
      assert.equal(again.status.restarts, 1);
      const ended = (await eventsOf(again.meta.id)).filter((event) => event.type === 'instance.exited');
      assert.equal(ended.length, 1);
      process.kill(again.status.monitorPid, 'SIGKILL');
      const { status } = await daemon.untilState(NAME, 'unsupervised', 10_000);
      await daemon.ok('DELETE', `${URL}?force=1&waitMs=60000`);
      assert.equal(await daemon.instance(NAME), undefined);
      assert.equal(isAlive({ pid: status.pid, startTicks: status.pidStartTicks }), false);
    });

    test(`${form}: its first process on the host is killed by somebody: 137, killed, and started again where the policy says so`, { timeout: 240_000 }, async () => {
      await daemon.create(NAME, { ...SLEEP, ...spec, restart: retries === 0 ? { policy: 'no' } : { policy: 'on-failure', maxRetries: retries } });
      for (let restarts = 0; restarts <= retries; restarts++) {
        const running = await until(async () => { const one = await daemon.instance(NAME); return one.status.state === 'running' && one.status.restarts === restarts ? one : undefined; }, { deadlineMs: patienceMs, what: `start ${restarts}` });
        process.kill(running.status.pid, 'SIGKILL');
      }
      const { status } = await daemon.untilState(NAME, 'stopped');
      assert.deepEqual([status.exitCode, status.reason, status.restarts], [137, 'killed', retries]);
    });

    test(`${form}: more memory than it has: 137, oom, an event, and started again where the policy says so`, { timeout: 240_000 }, async () => {
      await daemon.create(NAME, { ...spec, memoryBytes: 128 * 1024 * 1024, command: ['sh', '-c', EAT], restart: retries === 0 ? { policy: 'no' } : { policy: 'on-failure', maxRetries: retries } });
      const { meta, status } = await daemon.untilState(NAME, 'stopped', patienceMs);
      assert.deepEqual([status.exitCode, status.reason, status.restarts], [137, 'oom', retries]);
      assert.equal((await eventsOf(meta.id)).filter((event) => event.type === 'instance.oom').length, retries + 1);
    });
  }
});

/** Nobody saw it, or a second watcher did. */
function assertNoFalseCode({ exitCode, reason }: { readonly exitCode?: number; readonly reason: string }): void {
  assert.ok(exitCode === undefined ? reason === 'unknown' : exitCode === 137 && reason === 'killed', `${exitCode} ${reason}`);
}
