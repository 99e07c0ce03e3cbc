/** The thinnest thread, end to end: the same image and verbs as an app container and as a microVM, under a daemon that may die at any moment. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { berth } from '../lib/cli.ts';
import { TestDaemon } from '../lib/daemon.ts';
import { until } from '../lib/until.ts';

const FORMS = [{ form: 'app container', flags: [] as string[], bootMs: 20_000 }, { form: 'microVM', flags: ['--vm'], bootMs: 120_000 }];

describe('the spine', () => {
  let daemon: TestDaemon;
  before(async () => {
    daemon = await TestDaemon.start({ vms: true });
    const made = await berth(daemon, ['image', 'bootstrap', 'busybox'], { timeoutMs: 120_000 });
    assert.equal(made.code, 0, made.stderr);
  });
  after(async () => { await daemon?.[Symbol.asyncDispose](); });

  for (const { form, flags, bootMs } of FORMS) {
    const run = (args: string[], input?: string) => berth(daemon, ['run', ...flags, ...args], { timeoutMs: bootMs, input });

    test(`${form}: the command's exit code is berth's`, async () => {
      const result = await run(['--rm', 'busybox', 'sh', '-c', 'echo out; echo err >&2; exit 7']);
      assert.deepEqual({ ...result }, { code: 7, stdout: 'out\n', stderr: 'err\n' });
      assert.equal((await berth(daemon, ['ps', '-a', '-q'])).stdout, '');
    });

    test(`${form}: standard input arrives and ends`, async () => {
      const result = await run(['--rm', '-i', 'busybox', 'cat'], 'hello\n');
      assert.deepEqual(result, { code: 0, stdout: 'hello\n', stderr: '' });
    });

    test(`${form}: a command that is not there is 127, one that cannot run 126`, async () => {
      assert.equal((await run(['--rm', 'busybox', '/no/such/command'])).code, 127);
      assert.equal((await run(['--rm', 'busybox', '/etc/passwd'])).code, 126);
    });

    test(`${form}: kill -9 of the daemon stops nothing; the next one adopts it, its log and its exit code`, async () => {
      const name = `adopted-${flags.length}`;
      const started = await run(['-d', '--name', name, 'busybox', 'sh', '-c', 'i=0; while [ ! -e /stop ]; do echo line $i; i=$((i+1)); sleep 0.2; done; exit 11']);
      assert.deepEqual({ code: started.code, stdout: started.stdout }, { code: 0, stdout: `${name}\n` }, started.stderr);
      const first = await daemon.instance(name);
      assert.equal(first.status.state, 'running');
      assert.equal(first.status.boundary === 'kernel', flags.length === 0);
      await daemon.restart();
      const second = await daemon.instance(name);
      assert.deepEqual([second.status.state, second.status.pid], ['running', first.status.pid]);
      assert.equal((await berth(daemon, ['exec', name, 'sh', '-c', 'exit 5'], { timeoutMs: bootMs })).code, 5);
      assert.match((await berth(daemon, ['logs', name])).stdout, /^line 0\nline 1\n/);
      assert.equal((await berth(daemon, ['exec', name, 'touch', '/stop'], { timeoutMs: bootMs })).code, 0);
      await daemon.kill();
      await until(() => !alive(first.status.pid), { deadlineMs: bootMs, what: 'the end of the instance while no daemon is there' });
      await daemon.up();
      const ended = await daemon.untilState(name, 'stopped');
      assert.deepEqual([ended.status.exitCode, ended.status.reason], [11, 'exited']);
      assert.equal((await berth(daemon, ['rm', name])).code, 0);
    });
  }
});

function alive(pid: number): boolean {
  try {
    return !readFileSync(`/proc/${pid}/stat`, 'latin1').includes(') Z ');
  } catch {
    return false;
  }
}
