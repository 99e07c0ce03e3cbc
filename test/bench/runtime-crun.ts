/**
 * What an app container costs at the runtime's door, beside two floors in the same run: `crun run` alone (nobody
 * supervises it), and conmon with `crun create` and `crun start` (supervised, by commands). Prints JSON.
 *   ROUNDS=30 BENCH_STEPS=1 node test/bench/runtime-crun.ts
 */
import type { UnitPlan } from '../../src/drivers/runtime/driver.ts';
import { closeDescriptor } from '../../src/host/libc.ts';
import { NATIVE_PROGRAM } from '../../src/host/native.ts';
import { SandboxMaker } from '../../src/host/sandbox-maker.ts';
import { openCrunBench } from '../lib/crun-bench.ts';
import { timed } from './figures.ts';
import { openCrunFloor } from './floors/crun-floor.ts';

const ROUNDS = Number(process.env['ROUNDS'] ?? 30);
const steps = new Map<string, number[]>();
await using bench = await openCrunBench({
  timings: (step, milliseconds) => { steps.set(step, [...steps.get(step) ?? [], milliseconds]); },
});
await using maker = new SandboxMaker(NATIVE_PROGRAM);
using floor = openCrunFloor(bench);

const median = (values: readonly number[]): number => Number((values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0).toFixed(2));

/** Namespaces come from a pool in real life: made before the clock starts. */
async function pooled(plan: UnitPlan, index: number): Promise<{ plan: UnitPlan; close(): void }> {
  const idBase = 1_900_000_000 + index * 65_536;
  const pair = await maker.open(idBase, 65_536, []);
  return {
    plan: { ...plan, network: { ...plan.network, sandbox: { ...pair, idBase, idCount: 65_536 } } },
    close() {
      closeDescriptor(pair.userNamespaceFd);
      closeDescriptor(pair.networkNamespaceFd);
    },
  };
}

const times: Record<string, number[]> = { crunRun: [], monitored: [], createStart: [], untilExit: [], remove: [], exec: [] };
const { driver } = bench;
const keeper = bench.plan(['sleep', '100000']);
await driver.create(keeper);
await driver.start(keeper.id);
await bench.run(['true']); // compiles the filter once
for (let round = 0; round < ROUNDS; round++) {
  times['crunRun']!.push(await timed(() => floor.run(['true'])));
  const monitoredBegin = performance.now();
  const monitored = await floor.start(['true']);
  await monitored.waitExit();
  times['monitored']!.push(performance.now() - monitoredBegin);
  await monitored.remove();
  const { plan, close } = await pooled(bench.plan(['true'], { root: { volatile: true } }), round);
  const begin = performance.now();
  await driver.create(plan);
  await driver.start(plan.id);
  times['createStart']!.push(performance.now() - begin);
  await driver.waitExit(plan.id);
  times['untilExit']!.push(performance.now() - begin);
  times['remove']!.push(await timed(() => driver.remove(plan.id, { keepLog: false })));
  close();
  times['exec']!.push(await timed(() => bench.exec(keeper.id, ['true'])));
}
const medians = Object.fromEntries(Object.entries(times).map(([name, values]) => [name, median(values)]));
// On a busy machine the best round says more about the work than the middle one.
const best = Object.fromEntries(Object.entries(times).map(([name, values]) => [name, Number(Math.min(...values).toFixed(2))]));
console.log(JSON.stringify({ name: 'runtime-crun', rounds: ROUNDS, medianMs: medians, bestMs: best, stepsMs: Object.fromEntries([...steps].map(([name, values]) => [name, median(values)])) }, undefined, process.env['BENCH_STEPS'] === undefined ? undefined : 2));

const many = await Promise.all(Array.from({ length: 50 }, async () => {
  const plan = bench.plan(['sleep', '1000']);
  await driver.create(plan);
  await driver.start(plan.id);
  return plan.id;
}));
await driver.stats(many);
console.log(JSON.stringify({ name: 'runtime-crun stats of 50', medianMs: median(await Array.fromAsync({ length: 20 }, () => timed(() => driver.stats(many)))) }));
console.log(JSON.stringify({ name: 'runtime-crun remove 50 at once', ms: median([await timed(() => Promise.all(many.map((id) => driver.remove(id, { keepLog: false }))))]) }));
