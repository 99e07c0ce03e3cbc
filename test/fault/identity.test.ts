/**
 * J08: an instance dies unseen and its pids come to belong to strangers: the stranger with the pid of the first process,
 * and the one with the pid of the monitor, never get a signal, whoever asks for what.
 */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { after, afterEach, before, describe, test } from 'node:test';
import { identify } from '../../src/host/process.ts';
import { berth } from '../lib/cli.ts';
import { TestDaemon } from '../lib/daemon.ts';
import { enterOwnPidNamespace, reusePid } from '../lib/own-pid-namespace.ts';

enterOwnPidNamespace();

/** Its end is final: the stranger in its place is looked at, not a next life. */
const ENDS = { stopSignal: 'SIGKILL', restart: { policy: 'no' } };
const SLEEPS = { ...ENDS, command: ['sleep', '1000'] };
const FORMS = [
  { form: 'app container', spec: SLEEPS }, { form: 'OS container', spec: { ...ENDS, mode: 'os' } },
  { form: 'microVM', spec: { ...SLEEPS, isolation: 'vm' } }, { form: 'VM', spec: { ...ENDS, isolation: 'vm', mode: 'os', memoryBytes: 256 * 1024 ** 2 } },
];

describe('J08: pids are reused by strangers', () => {
  let daemon: TestDaemon;
  let strangers: ChildProcess[] = [];
  before(async () => {
    daemon = await TestDaemon.start({ vms: true });
    await daemon.bootstrapBusybox();
  });
  afterEach(dismissStrangers);
  after(async () => { await daemon?.[Symbol.asyncDispose](); });

  /** Kills monitor and workload, and puts strangers in their places. */
  async function replaceByStrangers(instance: { status: { pid: number; pidStartTicks: number; monitorPid: number } }): Promise<void> {
    const { pid, pidStartTicks, monitorPid } = instance.status;
    process.kill(monitorPid, 'SIGKILL');
    process.kill(pid, 'SIGKILL');
    strangers = [await reusePid(pid), await reusePid(monitorPid)];
    assert.notEqual(identify(pid)?.startTicks, pidStartTicks);
  }

  function assertStrangersAreWell(after: string): void {
    for (const { pid, exitCode, signalCode } of strangers) assert.deepEqual([identify(pid!)?.pid, exitCode, signalCode], [pid, null, null], `after ${after}`);
  }

  function dismissStrangers(): void {
    for (const stranger of strangers) stranger.kill('SIGKILL');
  }

  for (const { form, spec } of FORMS) {
    test(`${form}: while the daemon is dead`, { timeout: 180_000 }, async () => {
      await daemon.create('victim', spec);
      const victim = await daemon.untilState('victim', 'running');
      await daemon.kill();
      await replaceByStrangers(victim);
      await daemon.up();
      assertStrangersAreWell('adoption');
      const { status } = await daemon.instance('victim');
      assert.equal(status.state, 'stopped');
      for (const words of [['stop', 'victim'], ['kill', 'victim'], ['restart', 'victim'], ['stop', 'victim'], ['rm', '--force', 'victim']]) {
        await berth(daemon, words, { timeoutMs: 120_000 });
        assertStrangersAreWell(words.join(' '));
      }
      assert.equal(await daemon.instance('victim'), undefined);
      await daemon.untilNoLeaks();
    });
  }

  const ASKED = [['stop', 'victim'], ['kill', 'victim'], ['pause', 'victim'], ['rm', '--force', 'victim']];
  test('while the daemon looks on, and is asked at that very moment', { timeout: 180_000 }, async () => {
    // All words for the form that is made at once, and one for each other: the words do not know the form, the runtimes do.
    for (const [spec, words] of [...ASKED.map((one) => [SLEEPS, one] as const), ...FORMS.slice(1, 3).map(({ spec: other }) => [other, ASKED[0]!] as const)]) {
      await daemon.create('victim', spec);
      await replaceByStrangers(await daemon.untilState('victim', 'running'));
      await berth(daemon, words);
      assertStrangersAreWell(words.join(' '));
      dismissStrangers();
      await daemon.request('DELETE', '/v1/projects/default/instances/victim?force=1&waitMs=60000');
    }
    await daemon.untilNoLeaks();
  });
});
