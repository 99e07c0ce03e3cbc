/**
 * Cold and warm starts of microVMs of 128 MiB in turns, in one run: until the agent answers, until a workload could start,
 * a whole `berth run --vm --rm busybox true`, the memory of several that are idle, ten at once. Prints JSON: medians in
 * milliseconds, processor time of QEMU, which a busy machine moves less, and MiB.
 *   node test/bench/microvm-warm.ts [ROUNDS]
 */
import fs from 'node:fs';
import type { WarmStage } from '../../src/drivers/runtime/qemu/microvm-options.ts';
import { berth } from '../lib/cli.ts';
import { TestDaemon } from '../lib/daemon.ts';
import { openQemuBench, type QemuBench } from '../lib/qemu-bench.ts';
import { until } from '../lib/until.ts';
import { bootBareMachine } from './floors/bare-machine.ts';

const rounds = Number(process.argv[2] ?? 7);
const IDLE = 5, AT_ONCE = 10, SETTLE_MS = 4_000;
const median = (values: readonly number[]): number => Math.round(values.toSorted((a, b) => a - b)[values.length >> 1]!);
const least = (values: readonly number[]): number => Math.round(Math.min(...values));
const pssMib = (pid: number): number => Number(/^Pss:\s+(\d+)/m.exec(fs.readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))![1]) / 1024;

function cpuMs(pid: number): number {
  const fields = fs.readFileSync(`/proc/${pid}/stat`, 'latin1').replace(/^.*\) /, '').split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

interface Sample { readonly runs: number; readonly answered: number; readonly ready: number; readonly cpu: number }

class Side implements AsyncDisposable {
  readonly samples: Sample[] = [];
  readonly #at = new Map<WarmStage, number>();
  #bench!: QemuBench;

  static async open(warmStart: 'off' | 'project'): Promise<Side> {
    const side = new Side();
    side.#bench = await openQemuBench({ warmStart, templateDelayMs: 0, timings: (done) => { side.#at.set(done, performance.now()); }, complain: (error) => { throw error; } });
    await side.#bench.run(['true']);
    await side.#bench.driver.templatesMade();
    return side;
  }

  async sample(): Promise<void> {
    const plan = this.#bench.plan(['true']), begin = performance.now();
    const info = await this.#bench.driver.create(plan);
    this.samples.push({ runs: this.#at.get('machine runs')! - begin, answered: this.#at.get('machine answered')! - begin, ready: performance.now() - begin, cpu: cpuMs(info.process.pid) });
    await this.#bench.driver.remove(plan.id, { keepLog: false });
  }

  /** QEMU started by hand, until the agent's first word. */
  async bareMs(): Promise<number> {
    await using machine = await bootBareMachine(this.#bench.plan(['true']), this.#bench.rootDir);
    return machine.helloMs;
  }

  /** Mean of several side by side: workload waiting for its start, idle with it, after a first command. */
  async memory(): Promise<Record<string, number>> {
    const plans = Array.from({ length: IDLE }, () => this.#bench.plan(['sleep', '1000']));
    const pids: number[] = [];
    for (const plan of plans) pids.push((await this.#bench.driver.create(plan)).process.pid);
    const mean = (): number => Math.round(pids.reduce((sum, pid) => sum + pssMib(pid), 0) / pids.length);
    const waiting = mean();
    for (const plan of plans) await this.#bench.driver.start(plan.id);
    const since = performance.now();
    await until(() => performance.now() - since > SETTLE_MS, { what: 'idleness' });
    const idle = mean();
    for (const plan of plans) await this.#bench.exec(plan.id, ['true']);
    const executed = mean();
    for (const plan of plans) await this.#bench.driver.remove(plan.id, { keepLog: false });
    return { waiting, idle, executed };
  }

  async atOnce(): Promise<number> {
    const plans = Array.from({ length: AT_ONCE }, () => this.#bench.plan(['sleep', '1000'])), begin = performance.now();
    await Promise.all(plans.map(async (plan) => {
      await this.#bench.driver.create(plan);
      await this.#bench.driver.start(plan.id);
    }));
    const took = Math.round(performance.now() - begin);
    for (const plan of plans) await this.#bench.driver.remove(plan.id, { keepLog: false });
    return took;
  }

  summary(): Record<string, number> {
    const of = (name: keyof Sample): readonly number[] => this.samples.map((sample) => sample[name]);
    return {
      qemuRunsMs: median(of('runs')), agentMs: median(of('answered')), agentMsLeast: least(of('answered')), agentMsFromQemu: median(this.samples.map((one) => one.answered - one.runs)),
      agentMsFromQemuLeast: least(this.samples.map((one) => one.answered - one.runs)), readyMs: median(of('ready')), readyMsLeast: least(of('ready')), cpuMs: median(of('cpu')),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#bench[Symbol.asyncDispose]();
  }
}

/** A whole command, by the daemon and the command line. */
async function openDaemon(warmStart: string): Promise<TestDaemon> {
  const daemon = await TestDaemon.start({ vms: true, env: { BERTH_WARM_START: warmStart } });
  await daemon.bootstrapBusybox();
  return daemon;
}

async function runs(daemon: TestDaemon): Promise<number> {
  const begin = performance.now(), { code, stderr } = await berth(daemon, ['run', '--vm', '--rm', 'busybox', 'true']);
  if (code !== 0) throw new Error(stderr);
  return performance.now() - begin;
}

const load = fs.readFileSync('/proc/loadavg', 'utf8').split(' ')[0];
await using cold = await Side.open('off');
await using warm = await Side.open('project');
const bare: number[] = [];
for (let round = 0; round < rounds; round++) {
  bare.push(await cold.bareMs());
  for (const side of [cold, warm]) await side.sample();
}
const floor = median(bare);
const memory = { cold: await cold.memory(), warm: await warm.memory() };
const atOnce = { cold: await cold.atOnce(), warm: await warm.atOnce() };
const command: Record<string, number[]> = { cold: [], warm: [] };
{
  await using colds = await openDaemon('off');
  await using warms = await openDaemon('project');
  await runs(colds);
  await runs(warms);
  await until(async () => (await warms.ok('GET', '/v1/system/df')).items.some((row: { what: string; count: number }) => row.what === 'templates' && row.count === 1), { what: 'a template', deadlineMs: 120_000 });
  for (let round = 0; round < rounds; round++) {
    command['cold']!.push(await runs(colds));
    command['warm']!.push(await runs(warms));
  }
}
console.log(JSON.stringify({
  rounds, load, bareQemuAgentMs: floor, cold: cold.summary(), warm: warm.summary(), pssMib: memory, tenAtOnceMs: atOnce,
  runRm: { coldMs: median(command['cold']!), warmMs: median(command['warm']!), warmMsLeast: least(command['warm']!), warmToFloor: Number((median(command['warm']!) / floor).toFixed(2)) },
}, null, 2));
