/** One container that wants everything: security.md C01, C02, C06. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { openControlGroups } from '../../src/host/cgroup.ts';
import { compileStatic, execPlan, logText, withCrunBench } from '../lib/crun-bench.ts';
import { goesRed } from '../lib/red.ts';
import { patient } from '../lib/patience.ts';
import { until } from '../lib/until.ts';

const MEBIBYTE = 1024 * 1024;

test('C01: a fork bomb meets its limit, the driver answers on, and all of it goes away', () => withCrunBench(async (bench) => {
  // Not a shell's: a shell that cannot fork ends, and the bomb with it.
  compileStatic('#include <unistd.h>\nint main(void) { for (;;) if (fork() < 0) usleep(1000); }', path.join(bench.layer, 'bin/bomb'));
  const bomb = bench.plan(['bomb'], { resources: { memoryBytes: 128 * MEBIBYTE, cpuWeight: 1, cpus: 0.2, pids: 48 } });
  await bench.driver.create(bomb);
  await bench.driver.start(bomb.id);
  const count = async (): Promise<number> => (await bench.driver.stats([bomb.id])).get(bomb.id)?.pids ?? 0;
  await until(async () => await count() >= 40, { what: 'the limit' });
  for (let look = 0; look < 20; look++) {
    const begin = performance.now();
    assert.equal((await bench.driver.observe(bomb.id)).state, 'running');
    assert.ok(await count() <= 48);
    assert.ok(performance.now() - begin < patient(1000));
  }
  const neighbour = await bench.run(['echo', 'fine']);
  assert.equal(neighbour.stdout, 'fine\n');
  await bench.driver.remove(bomb.id, { keepLog: false });
  using groups = openControlGroups(`berth-${bench.rootTag}`);
  assert.deepEqual(groups.pids(bomb.id), []);
  assert.deepEqual(await bench.driver.leftovers(new Set()), []);
}));

test('C01 goes red without a limit: the same bomb grows beyond it', () => withCrunBench(async (bench) => {
  const bomb = bench.plan(['sh', '-c', 'for i in $(seq 1 120); do sleep 1000 & done; wait'], { resources: { memoryBytes: 128 * MEBIBYTE, cpuWeight: 1 } });
  await bench.driver.create(bomb);
  await bench.driver.start(bomb.id);
  await until(async () => (await bench.driver.stats([bomb.id])).get(bomb.id)!.pids > 100, { what: 'growth' });
}));

/** Takes 160 MiB at once: enough to meet the limit, not enough to hurt the host where there is none. */
const BOMB = ['dd', 'if=/dev/zero', 'of=/dev/null', 'bs=160M', 'count=1'];

async function bombEndsByItsLimit(memoryBytes: number | undefined): Promise<void> {
  await withCrunBench(async (bench) => {
    const { exitCode, reason } = await bench.run(BOMB, { resources: { ...(memoryBytes === undefined ? {} : { memoryBytes }), cpuWeight: 100, pids: 32 } });
    assert.deepEqual([exitCode, reason], [137, 'oom']);
  });
}

test('C02: who takes more memory than it may ends, and the reason is known', () => bombEndsByItsLimit(64 * MEBIBYTE));
test('C02 goes red without a limit: the same bomb has what it asked for', () => goesRed(() => bombEndsByItsLimit(undefined)));

test('C02: a memory bomb ends alone; the monitor is not in its group and tells why', () => withCrunBench(async (bench) => {
  const neighbour = bench.plan(['sleep', '1000']);
  await bench.driver.create(neighbour);
  await bench.driver.start(neighbour.id);
  const bomb = bench.plan(['tail', '/dev/zero'], { resources: { memoryBytes: 64 * MEBIBYTE, cpuWeight: 100, pids: 32 } });
  const { monitor, process: first } = await bench.driver.create(bomb);
  using groups = openControlGroups(`berth-${bench.rootTag}`);
  assert.deepEqual(groups.pids(bomb.id), [first.pid]);
  assert.notEqual(monitor.pid, first.pid);
  await bench.driver.start(bomb.id);
  const exit = await bench.driver.waitExit(bomb.id, AbortSignal.timeout(patient(20_000)));
  assert.equal(exit.exitCode, 137);
  assert.equal(exit.reason, 'oom');
  assert.equal((await bench.driver.observe(neighbour.id)).state, 'running');
}));

test('C02: the kernel takes a child: the container goes on, and the counter says so', () => withCrunBench(async (bench) => {
  const plan = bench.plan(['sh', '-c', 'tail /dev/zero; echo "child: $?"; sleep 1000'], { resources: { memoryBytes: 64 * MEBIBYTE, cpuWeight: 100, pids: 32 } });
  await bench.driver.create(plan);
  await bench.driver.start(plan.id);
  await until(async () => (await bench.driver.stats([plan.id])).get(plan.id)!.oomKills === 1, { what: 'the kill' });
  assert.equal((await bench.driver.observe(plan.id)).state, 'running');
  await bench.driver.signal(plan.id, 'SIGKILL');
  assert.equal((await bench.driver.waitExit(plan.id)).exitCode, 137);
}));

interface LogLimit {
  readonly maxBytes: number;
  readonly maxFiles: number;
}

/** `given` is what the unit gets, `allowed` what may lie on the disk: the same, unless the guard is taken away. */
async function floodStaysBounded(given: LogLimit, allowed: LogLimit): Promise<void> {
  await withCrunBench(async (bench) => {
    const loud = bench.plan(['sh', '-c', 'yes "$(head -c 1000 /dev/zero | tr "\\0" A)"'], { log: given, resources: { memoryBytes: 128 * MEBIBYTE, cpuWeight: 1, cpus: 0.2, pids: 32 } });
    await bench.driver.create(loud);
    // A client that never reads holds up the writer, not the others; one that leaves lets it go on.
    const deaf = await bench.driver.attach(loud.id);
    await bench.driver.start(loud.id);
    const bytes = (): number => {
      const dir = path.join(bench.rootDir, 'logs', loud.id);
      // Two names may be one file, and conmon renames under our eyes.
      const seen = fs.readdirSync(dir).flatMap((name) => fs.statSync(path.join(dir, name), { throwIfNoEntry: false }) ?? []);
      return [...new Map(seen.map(({ ino, size }) => [ino, size])).values()].reduce((sum, size) => sum + size, 0);
    };
    assert.equal((await bench.run(['echo', 'quiet'])).stdout, 'quiet\n');
    await deaf.close();
    const first = bytes();
    let grown = 0;
    for (let look = 0; look < 60 && grown < 20; look++) {
      await bench.driver.rotateLog(loud.id);
      const now = bytes();
      assert.ok(now <= allowed.maxBytes * allowed.maxFiles, `${now} bytes`);
      if (now !== first) grown++;
      await until(() => bytes() !== now, { what: 'more output' });
    }
    assert.ok(grown > 0);
    await bench.driver.signal(loud.id, 'SIGKILL');
    await bench.driver.waitExit(loud.id);
  });
}

const SMALL_LOG: LogLimit = { maxBytes: 128 * 1024, maxFiles: 3 };
test('C06: a flood of lines stays bounded, nobody waits for a reader, and neighbours are not held up', () => floodStaysBounded(SMALL_LOG, SMALL_LOG));
test('C06 goes red without a limit: the same flood outgrows it', () => goesRed(() => floodStaysBounded({ maxBytes: 64 * MEBIBYTE, maxFiles: 1 }, { maxBytes: 4 * 1024, maxFiles: 3 })));

test('C06: a line without end stays bounded, and what the terminal would obey arrives as it was', () => withCrunBench(async (bench) => {
  const endless = await bench.run(['sh', '-c', 'head -c 20000000 /dev/zero; echo; echo "\u001b[31mred"'], { log: SMALL_LOG });
  assert.match(endless.stdout, /\u001b\[31mred\n$/);
  assert.ok(endless.stdout.length <= SMALL_LOG.maxBytes * SMALL_LOG.maxFiles, `${endless.stdout.length}`);
}));

test('C06: a client of an exec that never reads does not hold up the driver', () => withCrunBench(async (bench) => {
  const keeper = bench.plan(['sleep', '1000']);
  await bench.driver.create(keeper);
  await bench.driver.start(keeper.id);
  const before = process.memoryUsage().rss;
  const deaf = await Promise.all(Array.from({ length: 8 }, () => bench.driver.exec(keeper.id, execPlan(['yes']))));
  assert.equal((await bench.exec(keeper.id, ['echo', 'still here'])).stdout, 'still here\n');
  assert.ok(process.memoryUsage().rss - before < 100 * MEBIBYTE);
  for (const session of deaf) await session.close();
  assert.equal(logText(await bench.driver.logFiles(keeper.id)).stdout, '');
}));

test('an init takes in the orphans; without one they stay', () => withCrunBench(async (bench) => {
  for (const init of [true, false]) {
    const plan = bench.plan(['sh', '-c', 'sh -c "sleep 0.3 & sleep 0.3 & sleep 0.3 &"; exec sleep 1000'], { init });
    await bench.driver.create(plan);
    await bench.driver.start(plan.id);
    const zombies = async (): Promise<number> => (await bench.exec(plan.id, ['sh', '-c', 'grep -l "State:.Z" /proc/[0-9]*/status | wc -l'])).stdout.trim() === '0' ? 0 : 1;
    if (init) await until(async () => await zombies() === 0 && (await bench.driver.stats([plan.id])).get(plan.id)!.pids === 2, { what: 'only init and the command' });
    else await until(async () => await zombies() > 0, { what: 'zombies' });
  }
}));
