/**
 * G01, G08: a guest that floods, fills, stands still, panics or lies, on a real machine: it uses up what is its own, every
 * verb comes back within its deadline, and its machine has an end that is known.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { qmpCommand } from '../../src/drivers/runtime/qemu/qmp.ts';
import { tarEnd, tarEntry } from '../../src/lib/tar-header.ts';
import { BerthError } from '../../src/model/errors.ts';
import type { ObjectId } from '../../src/model/ids.ts';
import { execPlan } from '../lib/crun-bench.ts';
import { withQemuBench, type QemuBench } from '../lib/qemu-bench.ts';
import { goesRed } from '../lib/red.ts';
import { until } from '../lib/until.ts';

const LOG = { maxBytes: 64 * 1024, maxFiles: 2 };

const sizeOf = (files: readonly string[]): number => files.reduce((sum, file) => sum + fs.statSync(file).size, 0);

async function all(source: AsyncIterable<unknown>): Promise<void> {
  for await (const _part of source) { /* as much as there is */ }
}

/** Every verb that has to do with the guest, at once: each has an outcome of ours, none is left waiting. */
async function everyVerb(bench: QemuBench, id: ObjectId, withinMs: number): Promise<Readonly<Record<string, string>>> {
  const { driver } = bench;
  const archive = async function* parts(): AsyncGenerator<Uint8Array> { yield tarEntry({ path: 'f' }, Buffer.from('x')); yield tarEnd(); };
  const verbs: Readonly<Record<string, () => Promise<unknown>>> = {
    signal: () => driver.signal(id, 'SIGTERM'),
    exec: async () => (await driver.exec(id, execPlan(['true']))).exit,
    stats: () => driver.stats([id]),
    resize: () => driver.resize(id, { rows: 24, columns: 80 }),
    update: () => driver.update(id, { memoryBytes: 120 * 1024 * 1024, cpuWeight: 50, pids: 50 }),
    copyOut: async () => all(await driver.copyOut(id, { path: '/etc', followLink: false })),
    copyIn: () => driver.copyIn(id, { path: '/tmp/f', extract: false, archive: false }, archive()),
    attach: async () => (await driver.attach(id)).close(),
    logs: () => driver.logFiles(id),
    observe: () => driver.observe(id),
  };
  const begin = performance.now();
  const outcomes = await Promise.all(Object.entries(verbs).map(async ([name, verb]) => {
    const outcome = await verb().then(() => 'done', (error: unknown) => (error instanceof BerthError ? error.code : `not ours: ${String(error)}`));
    assert.ok(performance.now() - begin < withinMs, `${name} took ${Math.round(performance.now() - begin)} ms`);
    return [name, outcome] as const;
  }));
  return Object.fromEntries(outcomes);
}

test('G01, G08: a guest that floods its output, fills its disk, reads nothing and lies about itself uses up what is its own', { timeout: 240_000 }, () => withQemuBench(async (bench) => {
  const upperDisk = bench.disk(48 * 1024 * 1024), { size } = fs.statSync(upperDisk);
  const plan = bench.plan(['sh', '-c', 'yes flood of the console | head -c 500000; sleep 1000'], { root: { upperDisk }, log: LOG });
  const { id } = plan;
  await bench.driver.create(plan);
  await bench.driver.start(id);
  const bounded = async (): Promise<number> => {
    await bench.driver.rotateLog(id);
    return sizeOf(await bench.driver.logFiles(id));
  };
  await until(async () => await bounded() > LOG.maxBytes / 2, { deadlineMs: 30_000, what: 'the flood' });

  // It never reads: what is written waits in one window, and nobody else waits with it.
  const deaf = await bench.driver.exec(id, execPlan(['sleep', '1000'], { stdin: true }));
  let written = false;
  const writing = deaf.write(Buffer.alloc(8 * 1024 * 1024)).then(() => { written = true; }, () => undefined);
  const filled = await bench.exec(id, ['sh', '-c', 'dd if=/dev/zero of=/full bs=1M; echo $?; echo x > /tmp/y; rm -f /full; echo still here']);
  assert.match(filled.stdout, /^1\n[^]*still here\n$/, filled.stderr);
  assert.match(filled.stderr, /No space left/);
  assert.equal(fs.statSync(upperDisk).size, size);
  assert.equal(written, false);
  await deaf.close();
  await writing;

  const stats = (await bench.driver.stats([id])).get(id)!;
  for (const name of ['pids', 'oomKills', 'insideMemoryBytes'] as const) assert.ok(stats.claimed?.includes(name), name);
  // What the host measured is none of the guest's words.
  assert.ok(stats.memoryBytes > 32 * 1024 * 1024 && stats.cpuNanoseconds > 0 && stats.memoryLimitBytes === 128 * 1024 * 1024);
  assert.ok(await bounded() <= LOG.maxBytes * (LOG.maxFiles + 2), `${await bounded()} bytes of log`);

  // A panic, on its own word: the machine has ended, and says so within a deadline.
  const ended = bench.driver.waitExit(id, AbortSignal.timeout(60_000));
  void bench.exec(id, ['sh', '-c', 'mount -t proc proc /proc 2>/dev/null; echo c > /proc/sysrq-trigger'], { capabilities: ['CAP_SYS_ADMIN', 'CAP_DAC_OVERRIDE'] }).catch(() => undefined);
  const exit = await ended;
  assert.notEqual(exit.exitCode, 0);
  assert.equal((await bench.driver.observe(id)).state, 'exited');
  assert.equal((await bench.run(['echo', 'again'], { root: { upperDisk } })).stdout, 'again\n', 'its disk starts again');
}));

const WITHIN_MS = 60_000;

test('G01: of a guest that stands still no verb waits without end, and what needs no guest goes on', { timeout: 240_000 }, () => withQemuBench(async (bench) => {
  const plan = bench.plan(['sleep', '1000']);
  await bench.driver.create(plan);
  await bench.driver.start(plan.id);
  const well = await everyVerb(bench, plan.id, WITHIN_MS);
  assert.deepEqual([...new Set(Object.values(well))], ['done'], JSON.stringify(well));
  await qmpCommand(path.join(bench.runDir, 'v', plan.id, 'qmp.sock'), 'stop');
  await bench.reopen(); // no connection to its agent is left
  const begin = performance.now();
  await bench.driver.stats([plan.id]);
  assert.ok(performance.now() - begin < 5_000, 'statistics do not wait for a connection');
  const still = await everyVerb(bench, plan.id, WITHIN_MS);
  for (const verb of ['stats', 'attach', 'logs', 'observe']) assert.equal(still[verb], 'done', verb);
  for (const verb of ['signal', 'exec', 'copyOut', 'copyIn']) assert.equal(still[verb], 'timeout', verb);
  // Without the deadline of an answer a verb would be seen to take longer.
  await goesRed(async () => { await everyVerb(bench, plan.id, 100); });
  await bench.driver.signal(plan.id, 'SIGKILL');
  assert.equal((await bench.driver.waitExit(plan.id, AbortSignal.timeout(20_000))).exitCode, 137);
}, { deadlines: { answerMs: 1_000 } }));

const MIB = 1024 * 1024, STARTED_WITH = 448 * MIB, LEFT = 112 * MIB;
const ROOT = { capabilities: ['CAP_SYS_ADMIN', 'CAP_DAC_OVERRIDE'] };
const balloonDriver = (verb: 'bind' | 'unbind'): string => `mkdir -p /tmp/sys; mount -t sysfs sys /tmp/sys 2>/dev/null; for d in /tmp/sys/bus/virtio/devices/*; do if grep -q 0x0005 $d/device; then echo \${d##*/} > /tmp/sys/bus/virtio/drivers/virtio_balloon/${verb}; fi; done`;

/** It gives up most of its memory, and takes it back without a word. */
async function takesBack(bench: QemuBench): Promise<void> {
  const { driver } = bench, plan = bench.plan(['sleep', '1000'], { resources: { memoryBytes: STARTED_WITH, cpuWeight: 100 } });
  await driver.create(plan);
  await driver.start(plan.id);
  const inside = (script: string) => bench.exec(plan.id, ['sh', '-c', script], ROOT);
  const limit = async () => (await driver.stats([plan.id])).get(plan.id)!.memoryLimitBytes;
  // First nobody moves the balloon: nothing is claimed to have changed.
  assert.equal((await inside(balloonDriver('unbind'))).exitCode, 0);
  await assert.rejects(driver.update(plan.id, { memoryBytes: LEFT, cpuWeight: 100 }), (error: unknown) => error instanceof BerthError && error.code === 'wrongState');
  assert.equal(await limit(), STARTED_WITH);
  assert.equal((await inside(balloonDriver('bind'))).exitCode, 0);
  assert.deepEqual(await driver.update(plan.id, { memoryBytes: LEFT, cpuWeight: 100 }), []);
  assert.equal(await limit(), LEFT);

  assert.equal((await inside(balloonDriver('unbind'))).exitCode, 0);
  const ended = driver.waitExit(plan.id, AbortSignal.timeout(60_000)).then(({ reason }) => reason as string);
  // Its machine is killed on the way, and no answer comes; or all of it is there.
  const eaten = inside('mkdir -p /tmp/all; mount -t tmpfs -o size=100% all /tmp/all && dd if=/dev/zero of=/tmp/all/f bs=1M count=320').then(({ exitCode }) => (exitCode === 0 ? 'ate it all' : ended), () => ended);
  // The host holds it to what it said.
  assert.equal(await Promise.race([ended, eaten]), 'oom');
  assert.equal((await driver.observe(plan.id)).state, 'exited');
}

test('G08: a guest that lies about its balloon is held to its limit by the host', { timeout: 240_000 }, () => withQemuBench(takesBack));

test('G08 goes red where the limit of the control group stays what it was', { timeout: 240_000 }, () => withQemuBench(
  (bench) => goesRed(() => takesBack(bench)),
  { groups: (plain) => new Proxy(plain, {
    get(target, key: keyof typeof plain) {
      if (key === 'updateLater') return () => Promise.resolve();
      const value = target[key];
      return typeof value === 'function' ? (value as (...args: never[]) => unknown).bind(target) : value;
    },
  }) },
));
