import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BerthError } from '../../../model/errors.ts';
import { whileItGetsOn, type BootView, type ProcessorTime } from './boot-watch.ts';

const BOUNDS = { bootMs: 45_000, bootTotalMs: 600_000 };

/** A machine that runs and waits as `does` says, second by second, until `agentAtMs`; and when that ended, and how. */
async function boot(does: (atMs: number) => ProcessorTime | undefined, agentAtMs = Infinity): Promise<{ readonly atMs: number; readonly error?: string }> {
  let now = 0, used: ProcessorTime = { ranMs: 5, waitedMs: 0 }, gone = false;
  let timers: { readonly at: number; readonly work: () => void }[] = [];
  const view: BootView = {
    now: () => now,
    used: () => (gone ? undefined : used),
    after: (delayMs, work) => {
      const timer = { at: now + delayMs, work };
      timers.push(timer);
      return () => { timers = timers.filter((one) => one !== timer); };
    },
  };
  const agent = Promise.withResolvers<void>();
  let error: string | undefined, over = false;
  const watched = whileItGetsOn(agent.promise, view, BOUNDS).then(() => undefined, (problem: unknown) => {
    assert.ok(problem instanceof BerthError && problem.code === 'timeout');
    error = problem.message;
  }).finally(() => { over = true; });
  for (; !over && now < 2 * BOUNDS.bootTotalMs; now += 250) {
    const more = does(now);
    gone = more === undefined;
    if (more !== undefined) used = { ranMs: used.ranMs + more.ranMs / 4, waitedMs: used.waitedMs + more.waitedMs / 4 };
    if (now >= agentAtMs) agent.resolve();
    for (const timer of timers.filter(({ at }) => at <= now)) {
      timers = timers.filter((one) => one !== timer);
      timer.work();
    }
    await new Promise(setImmediate);
  }
  await watched;
  assert.equal(timers.length, 0, 'nothing looks on');
  return { atMs: now, ...(error === undefined ? {} : { error }) };
}

test('a machine that a busy host starves takes its time', async () => {
  assert.deepEqual(await boot(() => ({ ranMs: 25, waitedMs: 970 }), 400_000), { atMs: 400_250 });
  assert.deepEqual(await boot(() => ({ ranMs: 3, waitedMs: 900 }), 400_000), { atMs: 400_250 }, 'hardly runs, but would');
  assert.equal((await boot((atMs) => (atMs % 40_000 < 1_000 ? { ranMs: 500, waitedMs: 0 } : { ranMs: 0, waitedMs: 0 }), 400_000)).error, undefined, 'waits for a disk now and then');
});

test('one that does nothing is given up, and one that only turns in circles', async () => {
  const idle = await boot((atMs) => (atMs < 3_000 ? { ranMs: 900, waitedMs: 50 } : { ranMs: 8, waitedMs: 1 }));
  assert.match(idle.error!, /did nothing for 45 s.* ran for 3\.\d s .* waited 0\.\d s/);
  assert.ok(idle.atMs >= 47_000 && idle.atMs < 51_000, String(idle.atMs));
  const circles = await boot(() => ({ ranMs: 1_000, waitedMs: 0 }));
  assert.match(circles.error!, /used 45 s of processor time/);
  assert.ok(circles.atMs < 48_000, String(circles.atMs));
});

test('whatever it does, there is an end', async () => {
  const { error, atMs } = await boot(() => ({ ranMs: 25, waitedMs: 970 }));
  assert.match(error!, /600 s are over.* ran for 15 s .* waited 58\d s/);
  assert.ok(atMs < 603_000, String(atMs));
  assert.match((await boot((at) => (at < 2_000 ? { ranMs: 900, waitedMs: 0 } : undefined))).error!, /did nothing/, 'a process that is gone does nothing');
});
