/** What control makes of a system's own words: it is up, it reboots, it powered itself off, it is asked to. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ended, FakeWorld, ROOT } from '../../../test/lib/fake-control.ts';
import { settle } from '../../../test/lib/test-clock.ts';
import type { RuntimeDriver } from '../../drivers/runtime/driver.ts';
import type { ControlParts } from '../control.ts';
import { BerthError } from '../../model/errors.ts';
import { startInstance } from './start.ts';
import { stopInstance } from './stop.ts';
import { updateInstance } from './update.ts';

type Word = 'running' | 'degraded' | 'starting';

/** A runtime that makes systems, too: each says `word` when it is told to be up, and hears power-off when `heeds`. */
class Systems {
  word: Word = 'running';
  heeds = true;
  asked = 0;
  /** What asking ends with, when it does not go well. */
  answer: BerthError | undefined;
  world!: FakeWorld;
  #up = Promise.withResolvers<void>();

  /** The init of what was started last is up. */
  async bootOver(): Promise<void> {
    this.#up.resolve();
    this.#up = Promise.withResolvers();
    await settle();
  }

  around = (all: ControlParts): ControlParts => ({ ...all, runtimes: { ...all.runtimes, container: this.#wrap(all.runtimes.container) } });

  #wrap(inner: RuntimeDriver): RuntimeDriver {
    const more: Partial<RuntimeDriver> = {
      available: () => Promise.resolve({ ok: true, boundary: 'kernel' }),
      booted: async () => { await this.#up.promise; return this.word; },
      powerOff: (id) => {
        this.asked++;
        if (this.heeds) this.world.containers.units.get(id)?.process.exit(0, 'poweroff');
        return this.answer === undefined ? Promise.resolve() : Promise.reject(this.answer);
      },
    };
    return new Proxy(inner, {
      get(target, key: keyof RuntimeDriver) {
        const value = more[key] ?? target[key];
        return typeof value === 'function' ? (value as (...args: never[]) => unknown).bind(target) : value;
      },
    });
  }
}

async function withSystem(work: (world: FakeWorld, systems: Systems) => Promise<void>, spec: Record<string, unknown> = {}): Promise<void> {
  const systems = new Systems();
  await using world = await FakeWorld.open({ parts: systems.around });
  systems.world = world;
  await world.run('box', { mode: 'os', entrypoint: ['graceful'], ...spec });
  await work(world, systems);
}

const status = (world: FakeWorld) => world.get('box').status;

describe('systems', () => {
  it('is running at once, and healthy when its init says so', () => withSystem(async (world, systems) => {
    assert.deepEqual([status(world).state, status(world).form, status(world).health], ['running', 'osContainer', 'unknown']);
    await systems.bootOver();
    assert.equal(status(world).health, 'healthy');
  }));

  for (const word of ['degraded', 'starting'] as const) {
    it(`is unhealthy when it says ${word}`, () => withSystem(async (world, systems) => {
      systems.word = word;
      await systems.bootOver();
      assert.equal(status(world).health, 'unhealthy');
    }));
  }

  for (const policy of ['always', 'no']) {
    it(`comes back from its own reboot at once and uncounted; policy ${policy}`, () => withSystem(async (world, systems) => {
      await systems.bootOver();
      world.unit('box')!.process.exit(0, 'reboot');
      await settle();
      assert.deepEqual([status(world).state, status(world).health], ['backoff', undefined]);
      await world.clock.advance(0);
      assert.deepEqual([status(world).state, status(world).restarts, status(world).health], ['running', 0, 'unknown']);
      await systems.bootOver();
      assert.equal(status(world).health, 'healthy');
    }, { restart: { policy } }));

    it(`stays off when it powered itself off; policy ${policy}`, () => withSystem(async (world) => {
      world.unit('box')!.process.exit(0, 'poweroff');
      await settle();
      await world.clock.advance(120_000);
      assert.deepEqual([status(world).state, status(world).reason, status(world).exitCode], ['stopped', 'poweroff', 0]);
      await ended(startInstance(world.services, ROOT, world.get('box')));
      assert.equal(status(world).state, 'running');
    }, { restart: { policy } }));
  }

  it('an init that dies is restarted, as every form’s process, and counted', () => withSystem(async (world) => {
    world.unit('box')!.process.exit(137, 'killed');
    await settle();
    await world.clock.advance(100);
    assert.deepEqual([status(world).state, status(world).restarts], ['running', 1]);
  }));

  it('a stop asks for the power-off, again every three seconds, and kills at the end of the grace', () => withSystem(async (world, systems) => {
    systems.heeds = false;
    const stop = stopInstance(world.services, ROOT, world.get('box'), { graceMs: 10_000 });
    await settle();
    assert.equal(systems.asked, 1);
    for (const seconds of [3, 6, 9]) {
      await world.clock.advance(3_000);
      assert.equal(systems.asked, 1 + seconds / 3);
    }
    await world.clock.advance(1_000);
    await ended(stop);
    assert.deepEqual([status(world).state, status(world).reason], ['stopped', 'killed']);
  }));

  it('a machine that goes while it is asked has stopped: its last breath is no failure', () => withSystem(async (world, systems) => {
    systems.answer = new BerthError('unavailable', 'The machine is gone.');
    await ended(stopInstance(world.services, ROOT, world.get('box')));
    assert.deepEqual([status(world).state, status(world).reason], ['stopped', 'poweroff']);
  }));

  it('a guest that never answers is killed at the end of the grace', () => withSystem(async (world, systems) => {
    Object.assign(systems, { heeds: false, answer: new BerthError('timeout', 'The guest’s agent did not answer within 5000 ms.') });
    const stop = stopInstance(world.services, ROOT, world.get('box'), { graceMs: 3_000 });
    await settle();
    await world.clock.advance(3_000);
    await ended(stop);
    assert.deepEqual([status(world).state, status(world).reason], ['stopped', 'killed']);
  }));

  it('one that is only starting hears the second word', () => withSystem(async (world, systems) => {
    systems.heeds = false;
    const stop = stopInstance(world.services, ROOT, world.get('box'));
    await settle();
    systems.heeds = true;
    await world.clock.advance(3_000);
    await ended(stop);
    assert.deepEqual([systems.asked, status(world).reason], [2, 'poweroff']);
  }));

  it('a stop signal of the wish is sent in its place', () => withSystem(async (world, systems) => {
    await ended(stopInstance(world.services, ROOT, world.get('box')));
    assert.deepEqual([systems.asked, status(world).state], [0, 'stopped']);
  }, { stopSignal: 'SIGTERM' }));

  it('the word of an earlier run says nothing about the next', () => withSystem(async (world, systems) => {
    await ended(stopInstance(world.services, ROOT, world.get('box')));
    await ended(startInstance(world.services, ROOT, world.get('box')));
    assert.equal(status(world).health, 'unknown');
    await systems.bootOver();
    assert.equal(status(world).health, 'healthy');
  }));

  it('user data is applied once: it cannot be changed; and it has a bound', () => withSystem(async (world) => {
    await assert.rejects(updateInstance(world.services, ROOT, world.get('box'), { spec: { userData: { hostname: 'x' } } }), { code: 'unsupported' });
    await assert.rejects(world.create('large', { mode: 'os', userData: { write_files: [{ path: '/x', content: 'x'.repeat(200_000) }, { path: '/y', content: 'x'.repeat(100_000) }] } }), { code: 'invalid', message: /256 KiB/ });
    await assert.rejects(world.create('two', { mode: 'os', userData: {}, cloudInit: 'x' }), { code: 'invalid' });
    await assert.rejects(world.create('none', { mode: 'os', cloudInit: 'x' }), { code: 'unsupported', message: /no cloud-init/ });
  }));

  it('what it cannot have is refused at create and at update', () => withSystem(async (world) => {
    for (const spec of [{ user: '33' }, { workdir: '/x' }, { init: true }, { readOnlyRoot: true }]) {
      await assert.rejects(world.create('no', { mode: 'os', ...spec }), { code: 'unsupported', message: /cannot be had with an OS container/ });
      await assert.rejects(updateInstance(world.services, ROOT, world.get('box'), { spec }), { code: 'unsupported' });
    }
    await assert.rejects(world.create('no', { userData: { hostname: 'x' } }), { code: 'unsupported', message: /An application has no first boot/ });
  }));
});
