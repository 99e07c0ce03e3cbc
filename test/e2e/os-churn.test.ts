/** Commands and reboots leave nothing of the host's behind. Counts for every day; test/long has those of a year. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { berth } from '../lib/cli.ts';
import { TestDaemon } from '../lib/daemon.ts';
import { systemArchive } from '../lib/debian-images.ts';
import { grown, holdings, manyExecs, manyReboots } from '../lib/churn.ts';

test('100 execs and 4 reboots of a system: no descriptor, mount, group, inotify instance, process or file more', { timeout: 900_000 }, async () => {
  await using daemon = await TestDaemon.start();
  for (const args of [['image', 'import', await systemArchive('systemd'), '--as', 'system'], ['launch', 'system', 'churn']]) {
    const { code, stderr } = await berth(daemon, args, { timeoutMs: 300_000 });
    assert.equal(code, 0, stderr);
  }
  await manyExecs(daemon, 'churn', 8);
  await manyReboots(daemon, 'churn', 1);
  const before = await holdings(daemon);
  await manyExecs(daemon, 'churn', 100);
  await manyReboots(daemon, 'churn', 4);
  await manyExecs(daemon, 'churn', 4);
  assert.deepEqual(grown(before, await holdings(daemon)), []);
});
