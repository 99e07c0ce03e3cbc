/** J12: many verbs at once on few names, with deaths of the daemon in between; whatever comes of it is consistent. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { assertConsistent, assertEmpty } from '../../test/lib/consistency.ts';
import { armAt, removeAll } from '../../test/lib/crash-sweep.ts';
import { ended, FakeWorld, ROOT } from '../../test/lib/fake-control.ts';
import { Life } from '../../test/lib/mortal.ts';
import { settle } from '../../test/lib/test-clock.ts';
import { BerthError } from '../model/errors.ts';
import type { Instance } from '../model/instance-status.ts';
import type { Network } from '../model/network.ts';
import type { Volume } from '../model/volume.ts';
import { deleteInstance } from './instance/delete.ts';
import { execInstance } from './instance/exec.ts';
import { killInstance, pauseInstance, renameInstance, resumeInstance } from './instance/lifecycle.ts';
import { restartInstance } from './instance/restart.ts';
import { startInstance } from './instance/start.ts';
import { stopInstance } from './instance/stop.ts';
import { updateInstance } from './instance/update.ts';
import { createNetwork, deleteNetwork } from './network/network.ts';
import { deleteVolume } from './volume/volume.ts';

const NAMES = ['a', 'b', 'c'];
const COMMANDS = [['sleep'], ['true'], ['graceful', '3'], ['stubborn'], ['later', '50', '1'], ['missing'], ['oom']];
const POLICIES = ['no', 'always', 'on-failure', 'unless-stopped'];

/** A linear congruential generator: the same seed, the same story. */
function dice(seed: number): <T>(faces: readonly T[]) => T {
  let state = seed * 2_654_435_761;
  return (faces) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return faces[Math.floor((state / 2 ** 32) * faces.length)]!;
  };
}

type Act = (world: FakeWorld, roll: ReturnType<typeof dice>) => Promise<unknown>;

const create: Act = (world, roll) => world.create(roll(NAMES), { running: roll([true, true, false]), command: roll(COMMANDS), restart: { policy: roll(POLICIES) }, ...roll([{}, { removeOnExit: true, restart: { policy: 'no' } }, { isolation: 'vm' }, { volumes: [{ volume: 'data', target: '/d' }] }, { ports: [{ hostPort: 8080, targetPort: 80 }] }, { networks: [{ name: 'inner' }, { name: 'default' }] }]) });

/** The verb on one of those that are there; where there is none, one is made. */
const on = (verb: (world: FakeWorld, instance: Instance) => Promise<unknown>): Act => async (world, roll) => {
  const all = world.services.registry.list<Instance>('Instance');
  await (all.length === 0 ? create(world, roll) : verb(world, roll(all)));
};

const ACTS: readonly Act[] = [
  create, create, create,
  on(({ services }, instance) => ended(startInstance(services, ROOT, instance))),
  on(({ services }, instance) => ended(stopInstance(services, ROOT, instance, { graceMs: 20 }))),
  on(({ services }, instance) => ended(restartInstance(services, ROOT, instance, { graceMs: 20 }))),
  on(({ services }, instance) => killInstance(services, ROOT, instance)),
  on(({ services }, instance) => pauseInstance(services, ROOT, instance)),
  on(({ services }, instance) => resumeInstance(services, ROOT, instance)),
  on(({ services }, instance) => updateInstance(services, ROOT, instance, { spec: { env: { A: 'x' }, running: instance.meta.generation % 2 === 0 } })),
  on(({ services, control }, instance) => execInstance(services, control.execLimit, ROOT, instance, { command: ['true'] }).then((session) => session.exit)),
  on(({ services }, instance) => ended(deleteInstance(services, ROOT, instance, true))),
  on(({ services }, instance) => ended(deleteInstance(services, ROOT, instance, false))),
  async (world, roll) => on(({ services }, instance) => renameInstance(services, ROOT, instance, roll(NAMES)))(world, roll),
  ({ services }) => ended(createNetwork(services, ROOT, { project: 'default', meta: { name: 'inner' }, spec: { isolated: false, internal: true } })),
  async ({ services }) => { const network = services.registry.find<Network>('Network', 'default', 'inner'); if (network !== undefined) await ended(deleteNetwork(services, ROOT, network)); },
  async ({ services }) => { const volume = services.registry.find<Volume>('Volume', 'default', 'data'); if (volume !== undefined) await ended(deleteVolume(services, ROOT, volume)); },
];

/** All at once; time passes until everybody has an answer. */
async function storm(world: FakeWorld, roll: ReturnType<typeof dice>, count: number, life: Life): Promise<void> {
  const open = new Set<Promise<void>>();
  for (let i = 0; i < count; i++) {
    const one: Promise<void> = roll(ACTS)(world, roll).then(() => undefined, (error: unknown) => {
      if (!(error instanceof BerthError) || (error.code === 'internal' && !/missing/.test(error.message))) throw error;
    }).finally(() => open.delete(one));
    one.catch(() => undefined);
    open.add(one);
    if (roll([true, false, false])) await world.clock.advance(roll([1, 10, 30]));
  }
  const all = Promise.all(open);
  let over = false;
  void all.then(() => { over = true; }, () => { over = true; });
  for (let turns = 0; !over && !life.isOver; turns++) {
    if (turns > 2000) throw new Error(`${open.size} verbs have no answer after ${turns} s`);
    await world.clock.advance(1000);
  }
  if (!life.isOver) await all;
}

/** Nothing is about to start any more. */
async function calm(world: FakeWorld): Promise<void> {
  for (const instance of world.services.registry.list<Instance>('Instance')) if (instance.status.state === 'backoff') await ended(stopInstance(world.services, ROOT, instance));
  await settle();
}

describe('a storm of verbs', () => {
  let deaths = 0;

  for (let seed = 1; seed <= 12; seed++) {
    it(`seed ${seed}: everybody gets an answer, and all is consistent`, async () => {
      const roll = dice(seed);
      const life = new Life();
      await using world = await FakeWorld.open({ life });
      await storm(world, roll, 60, life);
      await calm(world);
      await assertConsistent(world);
      await removeAll(world);
      await assertEmpty(world);
    });
  }

  for (let seed = 101; seed <= 125; seed++) {
    it(`seed ${seed}: with the daemon killed in it, three times over`, async () => {
      const roll = dice(seed);
      await using world = await FakeWorld.open();
      for (let death = 0; death < 3; death++) {
        const life = new Life();
        await world.reopen({ life });
        armAt(life, roll(Array.from({ length: 150 }, (_, i) => i)), roll(['before', 'after']));
        await storm(world, roll, 40, life).catch((error: unknown) => { if (!life.isOver) throw error; });
        deaths += life.isOver ? 1 : 0;
        await world.reopen();
        await world.clock.advance(30_000);
        await calm(world);
        await assertConsistent(world);
      }
      await removeAll(world);
      await assertEmpty(world);
    });
  }

  it('killed most of the daemons that it was to kill', () => { assert.ok(deaths > 40, `${deaths} of 75`); });
});

it('a storm leaves no error in the log that is a bug', async () => {
  const life = new Life();
  await using world = await FakeWorld.open({ life });
  await storm(world, dice(7), 80, life);
  assert.deepEqual(world.log.filter((line) => /TypeError|descriptor|share the ids|two ports/.test(JSON.stringify(line))), []);
});
