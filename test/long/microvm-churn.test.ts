/** microVMs come and go, four at a time, the first booted and the others resumed: what was the host's is the host's again. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { execInside, grown, holdings } from '../lib/churn.ts';
import { TestDaemon } from '../lib/daemon.ts';

const MACHINES = Number(process.env['MACHINES'] ?? 200);
const AT_ONCE = 4;
const I = '/v1/projects/default/instances';

interface Counts {
  warm: number;
  cold: number;
}

async function manyMachines(daemon: TestDaemon, times: number): Promise<Counts> {
  const counts: Counts = { warm: 0, cold: 0 };
  let next = 0;
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    while (next < times) {
      const name = `churn-${next++}`;
      await daemon.ok('POST', `${I}?waitMs=300000`, { meta: { name }, spec: { image: 'busybox', isolation: 'vm', command: ['sleep', '1000'], stopSignal: 'SIGKILL', running: true } });
      counts[(await daemon.instance(name)).status.start as keyof Counts] += 1;
      assert.equal(await execInside(daemon, name, ['sh', '-c', `hostname | grep -qx ${name} && exit 7`]), 7);
      await daemon.ok('DELETE', `${I}/${name}?force=true&waitMs=60000`);
    }
  }));
  return counts;
}

test(`${MACHINES} microVMs, one after the other in ${AT_ONCE} rows, leave nothing`, { timeout: 7_200_000 }, async (t) => {
  await using daemon = await TestDaemon.start({ vms: true });
  await daemon.bootstrapBusybox();
  await manyMachines(daemon, 2 * AT_ONCE);
  await daemon.untilNoLeaks();
  const before = await holdings(daemon);
  const begin = performance.now();
  const counts = await manyMachines(daemon, MACHINES);
  const msEach = (performance.now() - begin) / MACHINES;
  await daemon.untilNoLeaks();
  const after = await holdings(daemon);
  t.diagnostic(JSON.stringify({ msEach, ...counts, before, after }));
  assert.ok(counts.warm > 0);
  assert.deepEqual(grown(before, after), []);
});
