/** G08: a system that reboots itself again and again, in each form that has one, and what it costs its host. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ended, FakeWorld, ROOT } from '../../../test/lib/fake-control.ts';
import { makesSystems } from '../../../test/lib/fake-systems.ts';
import { goesRed } from '../../../test/lib/red.ts';
import { settle } from '../../../test/lib/test-clock.ts';
import { FREE_REBOOTS, MAX_BACKOFF_MS } from '../../lib/backoff.ts';
import type { Event } from '../../model/event.ts';
import { pauseBefore, type PauseRule } from './restart-pause.ts';
import { startInstance } from './start.ts';
import { stopInstance } from './stop.ts';

/** Without the guard: a reboot is never paused for. */
const atOnce: PauseRule = (instance, failed, reason) => (reason === 'reboot' ? 0 : pauseBefore(instance, failed, reason));

const FORMS = [
  ['an OS container', { mode: 'os', entrypoint: ['graceful'] }], ['a VM', { mode: 'os', isolation: 'vm', entrypoint: ['graceful'] }],
  // The agent inside of a machine has one word for it, which a kernel that was taken over may say too.
  ['a microVM', { isolation: 'vm', command: ['serve'] }],
] as const;

async function withLoop(spec: object, work: (world: FakeWorld, reboot: () => Promise<number>) => Promise<void>, restartPause?: PauseRule): Promise<void> {
  await using world = await FakeWorld.open({ parts: (all) => ({ ...makesSystems(all), restartPause }) });
  await world.run('loop', { ...spec });
  /** It runs for a second, reboots, and is started again: after how many milliseconds? */
  const reboot = async (): Promise<number> => {
    await world.clock.advance(1_000);
    world.unit('loop')!.process.exit(0, 'reboot');
    await settle();
    const { state, retryAt } = world.get('loop').status;
    assert.equal(state, 'backoff');
    const pauseMs = Date.parse(retryAt!) - world.clock.nowMs();
    await world.clock.advance(pauseMs);
    assert.equal(world.get('loop').status.state, 'running');
    return pauseMs;
  };
  await work(world, reboot);
}

/** Of an hour: what it had of starts, and what they left. */
async function anHour(spec: object, restartPause?: PauseRule): Promise<void> {
  await withLoop(spec, async (world, reboot) => {
    const begin = world.clock.nowMs(), pauses: number[] = [];
    while (world.clock.nowMs() - begin < 3_600_000 && pauses.length < 200) pauses.push(await reboot());
    assert.ok(pauses.length < 80, `${pauses.length} starts within an hour`);
    assert.deepEqual(pauses.slice(0, FREE_REBOOTS + 2), [0, 0, 0, 100, 200]);
    assert.equal(pauses.at(-1), MAX_BACKOFF_MS);
    // Whoever looks sees it: a count, a warning, when it is tried again.
    assert.equal(world.get('loop').status.reboots, pauses.length);
    const events = (await world.services.registry.records<Event>('Event')).items;
    assert.ok(events.some(({ spec: { message } }) => /^'loop' rebooted for the \d+th time in a row.*started again in 60 s/.test(message)));
    // Nothing of it grows on the host: one unit, one timer at most, one sandbox.
    assert.equal(world.containers.units.size + world.machines.units.size, 1);
    assert.ok(world.clock.waiting < 5, `${world.clock.waiting} timers`);
  }, restartPause);
}

describe('G08: a guest that reboots in a loop', () => {
  for (const [form, spec] of FORMS) {
    it(`${form} is started at once a few times, then once in a minute`, () => anHour(spec));

    it(`${form}: goes red where a reboot is never paused for`, () => goesRed(() => anHour(spec, atOnce)));
  }

  it('has an end where its policy says how often; a start by hand begins anew, and so does one that was up for a while', () => withLoop({ mode: 'os', entrypoint: ['graceful'], restart: { policy: 'on-failure', maxRetries: 2 } }, async (world, reboot) => {
    for (let round = 0; round < FREE_REBOOTS + 2; round++) await reboot();
    world.unit('loop')!.process.exit(0, 'reboot');
    await settle();
    assert.deepEqual([world.get('loop').status.state, world.get('loop').status.reason], ['stopped', 'reboot']);
    await world.clock.advance(600_000);
    assert.equal(world.get('loop').status.state, 'stopped');
    await ended(startInstance(world.services, ROOT, world.get('loop')));
    assert.deepEqual([world.get('loop').status.state, world.get('loop').status.reboots], ['running', 0]);
    for (let round = 0; round < FREE_REBOOTS + 1; round++) await reboot();
    await world.clock.advance(60_000);
    assert.equal(await reboot(), 0, 'it was up for a minute');
  }));

  it('is never stuck: between two starts it can be stopped, and the count goes on with the next daemon', () => withLoop({ mode: 'os', entrypoint: ['graceful'] }, async (world, reboot) => {
    for (let round = 0; round < FREE_REBOOTS + 7; round++) await reboot();
    world.unit('loop')!.process.exit(0, 'reboot');
    await settle();
    await world.reopen({ parts: makesSystems });
    await world.clock.advance(5_000);
    assert.deepEqual([world.get('loop').status.state, world.get('loop').status.reboots], ['backoff', FREE_REBOOTS + 8]);
    await ended(stopInstance(world.services, ROOT, world.get('loop')));
    await world.clock.advance(600_000);
    assert.equal(world.get('loop').status.state, 'stopped');
  }));
});
