/**
 * How long a microVM takes to the moment where its workload could start, beside a bare QEMU with the same command line
 * and the same guest, in turns. Prints JSON: medians in milliseconds, and CPU time, which a busy machine moves less.
 *   node test/bench/microvm-boot.ts [ROUNDS]
 */
import fs from 'node:fs';
import { median } from '../../src/lib/statistics.ts';
import { openQemuBench, type QemuBench } from '../lib/qemu-bench.ts';
import { bootBareMachine } from './floors/bare-machine.ts';

interface Sample {
  readonly helloMs?: number;
  readonly readyMs: number;
  readonly cpuMs: number;
}

const MEMORY = { memoryBytes: 256 * 1024 * 1024, cpuWeight: 100 };

function cpuMs(pid: number): number {
  const fields = fs.readFileSync(`/proc/${pid}/stat`, 'latin1').replace(/^.*\) /, '').split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

async function bare(bench: QemuBench): Promise<Sample> {
  await using machine = await bootBareMachine(bench.plan(['true'], { resources: MEMORY }), bench.rootDir);
  return { helloMs: machine.helloMs, readyMs: machine.readyMs, cpuMs: machine.cpuMs() };
}

async function ours(bench: QemuBench): Promise<Sample> {
  const plan = bench.plan(['true'], { resources: MEMORY });
  const begin = performance.now();
  const info = await bench.driver.create(plan);
  const sample = { readyMs: performance.now() - begin, cpuMs: cpuMs(info.process.pid) };
  await bench.driver.remove(plan.id, { keepLog: false });
  return sample;
}

const middle = (values: readonly number[]): number => Math.round(median(values));
const summary = (samples: readonly Sample[]): Record<string, number> => ({
  ...(samples[0]!.helloMs === undefined ? {} : { helloMs: middle(samples.map((sample) => sample.helloMs!)) }),
  readyMs: middle(samples.map((sample) => sample.readyMs)), readyMsLeast: Math.round(Math.min(...samples.map((sample) => sample.readyMs))), cpuMs: middle(samples.map((sample) => sample.cpuMs)),
});

const rounds = Number(process.argv[2] ?? 7);
await using bench = await openQemuBench();
await ours(bench); // caches
const floor: Sample[] = [], berth: Sample[] = [];
for (let round = 0; round < rounds; round++) {
  floor.push(await bare(bench));
  berth.push(await ours(bench));
}
const [floorSummary, berthSummary] = [summary(floor), summary(berth)];
console.log(JSON.stringify({ rounds, bareQemu: floorSummary, berth: berthSummary, ratio: Number((berthSummary['readyMs']! / floorSummary['readyMs']!).toFixed(2)), ratioLeast: Number((berthSummary['readyMsLeast']! / floorSummary['readyMsLeast']!).toFixed(2)) }, null, 2));
