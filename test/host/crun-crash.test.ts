/** The daemon is killed at each step of a unit's life: the next one finds a named state, takes it all away, and can begin anew. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { withCrunBench } from '../lib/crun-bench.ts';
import { until } from '../lib/until.ts';

const STEPS: Readonly<Record<string, readonly string[]>> = {
  preflight: ['absent'], sandbox: ['absent'], files: ['absent'], cgroups: ['absent'],
  // The monitor goes on by itself and finishes, or ends where nobody is left to hear its first report.
  'mounts and fork': ['absent', 'created', 'unsupervised'], monitor: ['created'], create: ['created'], start: ['running'], remove: ['absent'],
};

for (const [step, states] of Object.entries(STEPS)) {
  test(`killed after “${step}”: ${states.join(' or ')}, and nothing is left after remove`, () => withCrunBench(async (bench) => {
    const plan = bench.plan(['sleep', '1000']);
    const child = spawn(process.execPath, [
      path.join(import.meta.dirname, '../lib/crun-crash-main.ts'),
      JSON.stringify({ rootDir: bench.rootDir, runDir: bench.runDir, rootTag: bench.rootTag, step, idBase: 1_700_000_000, plan }),
    ], { stdio: ['ignore', 'inherit', 'inherit'] });
    const [, signal] = await once(child, 'exit') as [number | null, string | null];
    assert.equal(signal, 'SIGKILL');
    const driver = await bench.reopen();
    const { state } = await driver.observe(plan.id);
    assert.ok(states.includes(state), state);
    // Whatever was found: it can be taken away, twice, and leaves nothing.
    await driver.remove(plan.id, { keepLog: false });
    await driver.remove(plan.id, { keepLog: false });
    assert.equal((await driver.observe(plan.id)).state, 'absent');
    assert.deepEqual(await driver.leftovers(new Set()), []);
    await until(() => !someProcessNames(path.join(bench.runDir, 'i', plan.id)), { what: 'the end of every process of it' });
    await driver.create(plan);
    await driver.start(plan.id);
    assert.equal((await driver.observe(plan.id)).state, 'running');
  }));
}

test('a name left of a start that was cut short is not taken for a unit that waits', () => withCrunBench(async (bench) => {
  const plan = bench.plan(['sleep', '1000']);
  await bench.driver.create(plan);
  const fifo = path.join(bench.runDir, 'crun', plan.id, 'exec.fifo');
  const kept = `${fifo}.kept`;
  fs.linkSync(fifo, kept);
  await bench.driver.start(plan.id);
  fs.renameSync(kept, fifo);
  const driver = await bench.reopen();
  await until(async () => (await driver.observe(plan.id)).state === 'running', { what: 'running' });
  await driver.start(plan.id);
}));

test('a monitor killed while it makes the container leaves what remove takes away', () => withCrunBench(async (bench) => {
  const plan = bench.plan(['sleep', '1000']);
  const creating = bench.driver.create(plan);
  creating.catch(() => undefined);
  const monitorFile = path.join(bench.runDir, 'i', plan.id, 'monitor.pid');
  const pid = await until(() => (fs.existsSync(monitorFile) ? Number(fs.readFileSync(monitorFile, 'utf8')) : undefined), { intervalMs: 1 });
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // it had done its work and the test came late: nothing to see then
  }
  await creating.catch(() => undefined);
  await bench.driver.remove(plan.id, { keepLog: false });
  assert.deepEqual(await bench.driver.leftovers(new Set()), []);
  await until(() => !someProcessNames(path.join(bench.runDir, 'i', plan.id)), { what: 'the end of every process of it' });
}));

function someProcessNames(text: string): boolean {
  return fs.readdirSync('/proc').some((name) => {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) return false;
    try {
      return fs.readFileSync(`/proc/${name}/cmdline`, 'utf8').includes(text);
    } catch {
      return false;
    }
  });
}
