/** New limits for what runs: the part of the runtime suite that looks from inside. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { BerthError } from '../../model/errors.ts';
import type { ObjectId } from '../../model/ids.ts';
import type { Outcome, RuntimeCapabilities } from './contract.ts';
import type { ExecPlan, RuntimeDriver } from './driver.ts';
import type { FilesContractParts } from './files-contract.ts';

const MEBIBYTE = 1024 * 1024;

export interface LimitsContractParts extends Omit<FilesContractParts, 'ended' | 'patience' | 'executed'> {
  readonly executed: (driver: RuntimeDriver, id: ObjectId, args: readonly string[], choices?: Partial<ExecPlan>) => Promise<Outcome>;
  readonly execPlan: (args: readonly string[]) => ExecPlan;
  readonly can: RuntimeCapabilities;
}

export function limitsContract({ check, started, executed, execPlan, rejects, until, can }: LimitsContractParts): void {
  check('limits change while it runs', async (bench) => {
    const id = await started(bench, ['sleep', '1000']);
    await bench.driver.stats([id]);
    assert.deepEqual(await bench.driver.update(id, { memoryBytes: 224 * MEBIBYTE, cpuWeight: 50, cpus: 0.5, pids: 99 }), []);
    assert.equal((await bench.driver.stats([id])).get(id)!.memoryLimitBytes, 224 * MEBIBYTE);
    assert.deepEqual(await bench.driver.update(id, { memoryBytes: 512 * MEBIBYTE, cpuWeight: 100, cpus: 3 }), can.grows ? [] : ['memoryBytes', 'cpus'], 'what it was not started with');
    assert.equal((await bench.driver.stats([id])).get(id)!.memoryLimitBytes, (can.grows ? 512 : 256) * MEBIBYTE);
    await bench.driver.remove(id, { keepLog: false });
    await rejects(bench.driver.update(id, { cpuWeight: 100 }), 'wrongState');
  });

  check('an exec where no further process is allowed says so', async (bench) => {
    const { driver } = bench;
    const id = await started(bench, ['sleep', '1000']);
    const pids = 9;
    await driver.update(id, { memoryBytes: 256 * MEBIBYTE, cpuWeight: 100, pids });
    for (const terminal of [false, true]) {
      let refusal: unknown;
      for (let count = 0; count < pids && refusal === undefined; count++) refusal = await stays(driver, id, terminal);
      assert.ok(refusal instanceof BerthError, JSON.stringify(refusal));
      assert.deepEqual([refusal.code, refusal.details?.['exitCode']], ['exhausted', 126]);
      assert.match(`${refusal.message} ${refusal.hint}`, /no further process is allowed inside.* --pids-limit/);
    }
    await driver.update(id, { memoryBytes: 256 * MEBIBYTE, cpuWeight: 100, pids: 64 });
    assert.equal((await executed(driver, id, ['true'])).exitCode, 0);
  }, can.limits, can.boundedProcesses);

  /** One more process inside, or why not. */
  async function stays(driver: RuntimeDriver, id: ObjectId, terminal: boolean): Promise<unknown> {
    try {
      const session = await driver.exec(id, { ...execPlan(['sh', '-c', 'echo inside; exec sleep 1000']), terminal });
      for await (const { data } of session.output) if (Buffer.from(data).includes('inside')) return undefined;
      return await session.exit;
    } catch (error) {
      return error;
    }
  }

  check('what is executed can be killed for memory, whatever protects the one who asks', async (bench) => {
    const id = await started(bench, ['sleep', '1000']);
    const own = '/proc/self/oom_score_adj', before = fs.readFileSync(own, 'latin1').trim();
    try {
      fs.writeFileSync(own, '-500');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EACCES') throw error; // a host that withholds the privilege; one inside Debian has it
    }
    try {
      assert.equal((await executed(bench.driver, id, ['cat', own])).stdout, '0\n');
    } finally {
      fs.writeFileSync(own, before);
    }
  }, can.limits);

  check('new limits hold what runs: memory, processes, time', async (bench) => {
    const { driver } = bench;
    const id = await started(bench, ['sleep', '1000']);
    const takes = async (bytes: number): Promise<number> => (await executed(driver, id, ['dd', 'if=/dev/zero', 'of=/dev/null', `bs=${bytes}`, 'count=1'])).exitCode;
    const seen = async (atMost: number, atLeast: number): Promise<void> => {
      if ('no' in can.memory) return;
      const { args, tolerance } = can.memory;
      await until(async () => { const bytes = Number((await executed(driver, id, args)).stdout); return bytes <= atMost && bytes >= atLeast * (1 - tolerance); }, 20_000 * can.patience, 'the new memory');
    };
    assert.equal(await takes(128 * MEBIBYTE), 0);
    await driver.update(id, { memoryBytes: 144 * MEBIBYTE, cpuWeight: 100, cpus: 1, pids: 9 });
    await seen(144 * MEBIBYTE, 144 * MEBIBYTE);
    assert.notEqual(await takes(160 * MEBIBYTE), 0);
    const many = ['sh', '-c', 'i=0; while [ $i -lt 20 ]; do sleep 1 & i=$((i+1)); done; wait; echo all'];
    assert.match((await executed(driver, id, many)).stderr, /fork/);
    await driver.update(id, { memoryBytes: 256 * MEBIBYTE, cpuWeight: 100, cpus: 0.25, pids: 64 });
    await seen(256 * MEBIBYTE, 256 * MEBIBYTE);
    assert.equal(await takes(128 * MEBIBYTE), 0);
    assert.equal((await executed(driver, id, many)).stdout, 'all\n');
    const time = async (): Promise<number> => (await driver.stats([id])).get(id)!.cpuNanoseconds;
    const before = await time(), from = performance.now();
    assert.equal((await executed(driver, id, ['sh', '-c', 'while :; do :; done & sleep 2; kill $!; echo done'])).stdout, 'done\n');
    const share = (await time() - before) / (performance.now() - from) / 1e6;
    assert.ok(share > 0.05 && share < 0.5, `${share} of a CPU`);
  }, can.limits, can.boundedProcesses);
}
