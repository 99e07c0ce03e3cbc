/** A year of one system: 10,000 commands and 200 reboots leave nothing of the host's behind. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { berth } from '../lib/cli.ts';
import { TestDaemon } from '../lib/daemon.ts';
import { systemArchive } from '../lib/debian-images.ts';
import { grown, holdings, manyExecs, manyReboots } from '../lib/churn.ts';

const EXECS = Number(process.env['EXECS'] ?? 10_000);
const REBOOTS = Number(process.env['REBOOTS'] ?? 200);

test(`${EXECS} execs and ${REBOOTS} reboots of a system`, { timeout: 7_200_000 }, async (t) => {
  await using daemon = await TestDaemon.start();
  for (const args of [['image', 'import', await systemArchive('systemd'), '--as', 'system'], ['launch', 'system', 'churn']]) {
    const { code, stderr } = await berth(daemon, args, { timeoutMs: 300_000 });
    assert.equal(code, 0, stderr);
  }
  await manyExecs(daemon, 'churn', 50);
  await manyReboots(daemon, 'churn', 2);
  const before = await holdings(daemon);
  const begin = performance.now();
  await manyExecs(daemon, 'churn', EXECS);
  const execs = performance.now();
  await manyReboots(daemon, 'churn', REBOOTS);
  const reboots = performance.now();
  await manyExecs(daemon, 'churn', 50);
  const after = await holdings(daemon);
  t.diagnostic(JSON.stringify({ execs: EXECS, msEach: (execs - begin) / EXECS, reboots: REBOOTS, rebootMsEach: (reboots - execs) / REBOOTS, before, after }));
  assert.deepEqual(grown(before, after), []);
});
