/**
 * What an app container costs at the runtime's door, beside two floors in the same run: `crun run` alone (nobody
 * supervises it), and conmon with `crun create` and `crun start` (supervised, by commands). Prints JSON.
 *   ROUNDS=30 BENCH_STEPS=1 node test/bench/runtime-crun.ts
 */
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { ociSpec } from '../../src/drivers/runtime/crun/oci-spec.ts';
import { readCeilings } from '../../src/drivers/runtime/crun/ceilings.ts';
import type { UnitPlan } from '../../src/drivers/runtime/driver.ts';
import { openControlGroups } from '../../src/host/cgroup.ts';
import { closeDescriptor } from '../../src/host/libc.ts';
import { MonitorExits } from '../../src/host/monitor-exit.ts';
import { startMonitor } from '../../src/host/monitor.ts';
import { bindReadOnlyInPlace, hideMount, inNewMountNamespace } from '../../src/host/mounts.ts';
import { NATIVE_PROGRAM } from '../../src/host/native.ts';
import { SandboxMaker } from '../../src/host/sandbox-maker.ts';
import { newId, openCrunBench } from '../lib/crun-bench.ts';

const ROUNDS = Number(process.env['ROUNDS'] ?? 30);
const steps = new Map<string, number[]>();
await using bench = await openCrunBench({
  timings: (step, milliseconds) => { steps.set(step, [...steps.get(step) ?? [], milliseconds]); },
});
await using maker = new SandboxMaker(NATIVE_PROGRAM);
using groups = openControlGroups('berth-bench');
const hide = groups.hide;

const median = (values: readonly number[]): number => Number((values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0).toFixed(2));

async function timed(work: () => Promise<unknown>): Promise<number> {
  const begin = performance.now();
  await work();
  return performance.now() - begin;
}

/** A bundle for the floors: the same root without layers, user namespace and filter. */
function floorBundle(dir: string): void {
  const plan = bench.plan(['true']);
  const spec = ociSpec(plan, {
    rootPath: bench.layer, volumeSources: [], hostsFile: '/etc/hosts', hostnameFile: '/etc/hostname', resolverFile: '/etc/resolv.conf', initProgram: '', seedFile: '/run/b/m/seed', groupsType: 'cgroup2',
    userNamespacePath: '', networkNamespacePath: '', idBase: 0, idCount: 65_536, maskedPaths: [], readOnlyPaths: [], seccomp: undefined, ceilings: readCeilings(),
  });
  const own = { ...spec, mounts: spec.mounts.slice(0, 6), linux: { ...spec.linux, uidMappings: [], gidMappings: [], namespaces: ['pid', 'ipc', 'uts', 'mount', 'network'].map((type) => ({ type })) } };
  fs.mkdirSync(dir, { mode: 0o700 });
  fs.writeFileSync(path.join(dir, 'config.json'), JSON.stringify(own));
}

const crunFlags = ['--root', path.join(bench.rootDir, 'floor-crun'), '--cgroup-manager=disabled'];
const besideCrun = <T>(fork: () => T): T => inNewMountNamespace(() => {
  if (hide !== undefined) hideMount(hide);
  bindReadOnlyInPlace('/usr/bin/crun');
  return fork();
});

function crun(...args: string[]): Promise<void> {
  const child = besideCrun(() => spawn('/usr/bin/crun', [...crunFlags, ...args], { stdio: 'ignore', cwd: '/' }));
  return new Promise((resolve, reject) => { child.once('exit', (code) => { if (code === 0) resolve(); else reject(new Error(`crun ${args.join(' ')} ended with ${code}`)); }); });
}

async function crunRun(): Promise<void> {
  const dir = path.join(bench.rootDir, 'floor');
  if (!fs.existsSync(dir)) floorBundle(dir);
  await crun('run', '--bundle', dir, newId());
}

const exits = new MonitorExits(path.join(bench.rootDir, 'floor-exits'));
const wrapper = path.join(bench.rootDir, 'floor-crun.sh');
fs.writeFileSync(wrapper, `#!/bin/sh\nexec /usr/bin/crun ${crunFlags.join(' ')} "$@"\n`, { mode: 0o700 });

async function monitoredRun(): Promise<() => Promise<void>> {
  const id = newId(), dir = path.join(bench.rootDir, id);
  floorBundle(dir);
  await startMonitor(
    { conmon: '/usr/bin/conmon', id, dir, program: wrapper, programArgs: [], exitDir: exits.dir, logFile: path.join(dir, 'log'), logSizeMaxBytes: 1e6, terminal: false, stdin: false },
    { timeoutMs: 10_000, around: besideCrun },
  );
  await crun('start', id);
  await exits.wait(id);
  return () => crun('delete', '-f', id);
}

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
  times['crunRun']!.push(await timed(crunRun));
  let clear: (() => Promise<void>) | undefined;
  times['monitored']!.push(await timed(async () => { clear = await monitoredRun(); }));
  await clear!();
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
exits[Symbol.dispose]();
