/** G08: systems whose init does nothing but reboot, as an OS container and as a VM of the same image, before real eyes. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { berth } from '../lib/cli.ts';
import { TestDaemon } from '../lib/daemon.ts';
import { until } from '../lib/until.ts';

const PATIENCE_MS = 120_000;

describe('G08: a guest that reboots in a loop', { timeout: 300_000 }, () => {
  let daemon: TestDaemon;
  before(async () => {
    daemon = await TestDaemon.start({ vms: true });
    await daemon.bootstrapBusybox();
  });
  after(async () => { await daemon?.[Symbol.asyncDispose](); });

  test('is paused for, says so, and is stopped when somebody wants it', async () => {
    const forms = [['container', {}], ['machine', { isolation: 'vm', memoryBytes: 128 * 1024 * 1024 }]] as const;
    for (const [name, spec] of forms) await daemon.create(name, { mode: 'os', entrypoint: ['/bin/busybox', 'reboot', '-f'], ...spec });
    for (const [name] of forms) {
      const { status } = await until(async () => {
        const instance = await daemon.instance(name);
        return instance.status.reboots > 4 && instance.status.state === 'backoff' ? instance : undefined;
      }, { deadlineMs: PATIENCE_MS, intervalMs: 20, what: `a pause before ${name} is started again` });
      assert.deepEqual([status.reason, status.restarts], ['reboot', 0]);
      assert.match((await berth(daemon, ['why', name], { timeoutMs: PATIENCE_MS })).stdout, /in a row, each time within 10 s of its start; it is started again in/);
      assert.equal((await berth(daemon, ['stop', name], { timeoutMs: PATIENCE_MS })).code, 0);
      assert.equal((await daemon.instance(name)).status.state, 'stopped');
      assert.equal((await berth(daemon, ['rm', name], { timeoutMs: PATIENCE_MS })).code, 0);
    }
    await daemon.untilNoLeaks();
  });
});
