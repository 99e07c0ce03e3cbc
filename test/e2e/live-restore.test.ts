/**
 * J07: the daemon is dead for a while (10 s; BERTH_TEST_OUTAGE_MS for longer) and nobody notices: ports answer, names
 * resolve, logs grow. The next daemon finds the same processes, knows how the others ended, and goes on where it was.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { berth } from '../lib/cli.ts';
import { TestDaemon } from '../lib/daemon.ts';
import { until } from '../lib/until.ts';

const OUTAGE_MS = Number(process.env['BERTH_TEST_OUTAGE_MS'] ?? 10_000);
const WEB = 'echo here > /tmp/index.html; httpd -p 80 -h /tmp; i=0; while :; do echo line $i; i=$((i+1)); sleep 0.2; done';
/** Ends a while after the daemon, on its own. */
const endsWith = (code: number, how = `exit ${code}`): string[] => ['sh', '-c', `while [ ! -e /go ]; do sleep 0.1; done; sleep 6; ${how}`];
const VM = { isolation: 'vm', mode: 'os', memoryBytes: 256 * 1024 ** 2 };
const PORTS = [18_080, 18_081, 18_082, 18_083];
const LONG_LIVED = ['web', 'client', 'machine', 'system', 'whole'] as const;

describe('the daemon is away', () => {
  let daemon: TestDaemon;
  const seen: Record<string, any> = {}; // eslint-disable-line -- instances as the API shows them
  let killedAtMs = 0;
  let backAtMs = 0;
  let linesAtKill = 0;

  before(async () => {
    daemon = await TestDaemon.start({ vms: true });
    await daemon.bootstrapBusybox();
    await daemon.ok('POST', '/v1/projects/default/networks?waitMs=60000', { meta: { name: 'lan' } });
    const networks = [{ name: 'lan' }];
    await daemon.create('web', { networks, command: ['sh', '-c', WEB], ports: [{ hostPort: 18_080, targetPort: 80 }], stopSignal: 'SIGKILL' });
    await daemon.create('client', { networks, command: ['sleep', '1000'], stopSignal: 'SIGKILL' });
    await daemon.create('machine', { networks, isolation: 'vm', command: ['sh', '-c', WEB], ports: [{ hostPort: 18_081, targetPort: 80 }], stopSignal: 'SIGKILL' });
    // Their first program is their init; what it says is on the console.
    await daemon.create('system', { networks, mode: 'os', entrypoint: ['sh', '-c', WEB], ports: [{ hostPort: 18_082, targetPort: 80 }], stopSignal: 'SIGKILL' });
    await daemon.create('whole', { networks, ...VM, entrypoint: ['sh', '-c', WEB], ports: [{ hostPort: 18_083, targetPort: 80 }], stopSignal: 'SIGKILL' });
    await daemon.create('ends', { command: endsWith(23) });
    await daemon.create('machine-ends', { isolation: 'vm', command: endsWith(24) });
    await daemon.create('system-ends', { mode: 'os', entrypoint: endsWith(25), restart: { policy: 'no' } });
    await daemon.create('whole-ends', { ...VM, entrypoint: endsWith(0, '/bin/busybox poweroff -f; sleep 1000'), restart: { policy: 'no' } });
    await daemon.create('goes', { command: endsWith(0), removeOnExit: true });
    await daemon.create('flaky', { command: ['false'], restart: { policy: 'always' } });
    for (const name of LONG_LIVED) seen[name] = await daemon.untilState(name, 'running');
    for (const port of PORTS) await until(() => answers(port), { deadlineMs: 30_000, what: `port ${port}` });
  });
  after(async () => { await daemon?.[Symbol.asyncDispose](); });

  async function answers(port: number): Promise<boolean> {
    const text = await daemon.fromTheHost(['curl', '-sS', '-m', '5', `http://127.0.0.1:${port}/`]).catch((error: Error) => error.message);
    return text === 'here\n';
  }

  /** What another instance's resolver is told, without the daemon's help. */
  async function resolved(name: string): Promise<string> {
    const { pid, addresses } = seen['client'].status;
    const gateway = (addresses.lan[0] as string).replace(/\d+$/, '1');
    return daemon.fromTheHost(['nsenter', `--net=/proc/${pid}/ns/net`, '--', 'busybox', 'nslookup', '-type=a', name, gateway]);
  }

  async function lines(name: string): Promise<number[]> {
    const { code, stdout, stderr } = await berth(daemon, ['logs', name]);
    assert.equal(code, 0, stderr);
    return [...stdout.matchAll(/^line (\d+)\r?$/gm)].map((match) => Number(match[1]));
  }

  test('while it is away, ports answer and names resolve', { timeout: OUTAGE_MS + 120_000 }, async () => {
    // Those that take longest first: all of them end while nobody looks.
    for (const name of ['whole-ends', 'machine-ends', 'system-ends', 'ends', 'goes']) assert.equal((await berth(daemon, ['exec', name, 'touch', '/go'])).code, 0);
    // Far enough into its pauses that the next one is still running when the daemon is back.
    await until(async () => { const { status } = await daemon.instance('flaky'); return status.state === 'backoff' && status.restarts >= 4; }, { deadlineMs: 30_000, what: 'a long pause' });
    seen['flaky'] = await daemon.instance('flaky');
    linesAtKill = (await lines('web')).length;
    await daemon.kill();
    killedAtMs = Date.now();
    const end = performance.now() + OUTAGE_MS;
    let asked = 0;
    await until(async () => {
      for (const port of PORTS) assert.ok(await answers(port), `port ${port}`);
      for (const name of ['web', 'machine', 'system', 'whole']) assert.ok((await resolved(`${name}.default.berth`)).includes(seen[name].status.addresses.lan[0]), `name ${name}`);
      asked++;
      return performance.now() > end;
    }, { deadlineMs: OUTAGE_MS + 60_000, intervalMs: 500, what: 'the end of the outage' });
    assert.ok(asked > 3);
    backAtMs = Date.now();
    await daemon.up();
  });

  test('what ran runs: the same processes, never restarted, in no other state', async () => {
    for (const name of LONG_LIVED) {
      const { status } = await daemon.instance(name);
      const { state, pid, pidStartTicks, monitorPid, startedAt, restarts, addresses } = seen[name].status;
      assert.deepEqual([status.state, status.pid, status.pidStartTicks, status.monitorPid, status.startedAt, status.restarts, status.addresses], [state, pid, pidStartTicks, monitorPid, startedAt, restarts, addresses], name);
    }
    for (const port of PORTS) assert.ok(await answers(port), `port ${port}`);
    assert.match((await berth(daemon, ['exec', 'client', 'nslookup', '-type=a', 'web.default.berth'])).stdout, new RegExp(seen['web'].status.addresses.lan[0].replaceAll('.', '\\.')));
  });

  test('its output of that time is in the log, no line missing', async () => {
    for (const name of ['web', 'machine', 'system', 'whole']) {
      const numbers = await lines(name);
      assert.deepEqual(numbers, numbers.map((_number, index) => index), name);
    }
    assert.ok((await lines('web')).length > linesAtKill + OUTAGE_MS / 200 / 3);
  });

  test('what ended meanwhile has its own exit code and its own time', async () => {
    for (const [name, exitCode, reason] of [['ends', 23, 'exited'], ['machine-ends', 24, 'exited'], ['system-ends', 25, 'exited'], ['whole-ends', 0, 'poweroff']] as const) {
      const { status } = await daemon.instance(name);
      assert.deepEqual([status.state, status.exitCode, status.reason], ['stopped', exitCode, reason], name);
      const finishedMs = Date.parse(status.finishedAt);
      assert.ok(finishedMs > killedAtMs && finishedMs < backAtMs, `${name} finished at ${status.finishedAt}`);
    }
  });

  test('what was to be removed at its end is gone', async () => {
    assert.equal(await daemon.instance('goes'), undefined);
  });

  test('a pause between restarts goes on, and its count', async () => {
    const then = seen['flaky'].status;
    const now = await until(async () => { const one = await daemon.instance('flaky'); return one.status.restarts > then.restarts ? one : undefined; }, { deadlineMs: 60_000, what: 'the next restart' });
    assert.equal(now.status.restarts, then.restarts + 1);
    assert.ok(Date.parse(now.status.startedAt) >= Date.parse(then.retryAt), `${now.status.startedAt} is before ${then.retryAt}`);
  });

  test('commands are taken in every form', async () => {
    for (const name of LONG_LIVED) assert.equal((await berth(daemon, ['exec', name, 'echo', 'still here'], { timeoutMs: 60_000 })).stdout, 'still here\n', name);
  });

  test('J07 goes red when what holds ports and names ends with the daemon', { timeout: 60_000 }, async () => {
    await daemon.kill();
    const holders = (await daemon.fromTheHost(['ps', '-eo', 'pid=,args='])).split('\n').filter((line) => line.includes(`${daemon.base}/`) && /dnsmasq| proxy /.test(line)).map((line) => Number.parseInt(line, 10));
    assert.ok(holders.length >= 2, `${holders.length} holders`);
    for (const pid of holders) process.kill(pid, 'SIGKILL');
    assert.equal(await answers(18_080), false);
    await assert.rejects(resolved('web.default.berth'));
    await daemon.up();
    await until(() => answers(18_080), { deadlineMs: 30_000, what: 'the port again' });
  });

  test('nothing leaked', async () => {
    await daemon.ok('DELETE', '/v1/projects/default/instances/flaky?force=1&waitMs=60000');
    await daemon.untilNoLeaks();
  });
});
