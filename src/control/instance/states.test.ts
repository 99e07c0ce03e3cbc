/** The state table, asked through the real functions: every verb in every state is allowed, or refused as wrongState. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { assertConsistent } from '../../../test/lib/consistency.ts';
import { ended, FakeWorld, ROOT } from '../../../test/lib/fake-control.ts';
import { settle } from '../../../test/lib/test-clock.ts';
import { INSTANCE_STATES, verbAllowed, type Instance, type InstanceState } from '../../model/instance-status.ts';
import { Transaction } from '../registry.ts';
import { withStatus } from './context.ts';
import { deleteInstance } from './delete.ts';
import { attachInstance, execInstance } from './exec.ts';
import { killInstance, pauseInstance, renameInstance, resizeInstance, resumeInstance } from './lifecycle.ts';
import { restartInstance } from './restart.ts';
import { startInstance } from './start.ts';
import { stopInstance } from './stop.ts';
import { updateInstance } from './update.ts';

type Verb = (world: FakeWorld, instance: Instance) => Promise<unknown>;

const VERBS_OF_INSTANCES: Readonly<Record<string, Verb>> = {
  start: ({ services }, instance) => ended(startInstance(services, ROOT, instance)),
  stop: ({ services }, instance) => ended(stopInstance(services, ROOT, instance)),
  restart: ({ services }, instance) => ended(restartInstance(services, ROOT, instance)),
  kill: ({ services }, instance) => killInstance(services, ROOT, instance),
  pause: ({ services }, instance) => pauseInstance(services, ROOT, instance),
  resume: ({ services }, instance) => resumeInstance(services, ROOT, instance),
  rename: ({ services }, instance) => renameInstance(services, ROOT, instance, 'other'),
  update: ({ services }, instance) => updateInstance(services, ROOT, instance, { spec: { env: { A: '1' } } }),
  delete: ({ services }, instance) => ended(deleteInstance(services, ROOT, instance, false)),
  forceDelete: ({ services }, instance) => ended(deleteInstance(services, ROOT, instance, true)),
  exec: async ({ services, control }, instance) => (await execInstance(services, control.execLimit, ROOT, instance, { command: ['true'] })).exit,
  attach: async ({ services }, instance) => (await attachInstance(services, ROOT, instance)).close(),
};

/** Brings an instance into a state by the ways that lead there; the passing ones are written down and held by nobody. */
async function bringInto(world: FakeWorld, state: InstanceState): Promise<Instance> {
  const { services } = world;
  const spec = { command: ['sleep'], terminal: true };
  switch (state) {
    case 'stopped': return world.create('web', spec);
    case 'running': return world.run('web', spec);
    case 'paused': return pauseInstance(services, ROOT, await world.run('web', spec));
    case 'failed': {
      await world.create('web', { ...spec, command: ['missing'] });
      await assert.rejects(ended(startInstance(services, ROOT, world.get('web'))));
      world.services.registry.commit(new Transaction().put({ ...world.get('web'), spec: { ...world.get('web').spec, command: ['sleep'] } }));
      await settle();
      return world.get('web');
    }
    case 'backoff':
      await world.run('web', { ...spec, command: ['graceful', '1'], restart: { policy: 'always' } });
      world.unit('web')!.process.signal('SIGTERM');
      await settle();
      return world.get('web');
    case 'unsupervised':
      world.containers.loseMonitor((await world.run('web', spec)).meta.id as never);
      await world.reopen();
      return world.get('web');
    default: {
      const made = await world.run('web', spec);
      const transaction = new Transaction();
      transaction.put(withStatus(made, { state }));
      await services.registry.commit(transaction);
      return world.get('web');
    }
  }
}

describe('verbs and states', () => {
  for (const state of INSTANCE_STATES) {
    for (const [verb, run] of Object.entries(VERBS_OF_INSTANCES)) {
      const allowed = verbAllowed(state, verb);
      it(`${verb} of what is ${state}: ${allowed ? 'done' : 'refused as wrongState'}`, async () => {
        await using world = await FakeWorld.open();
        const instance = await bringInto(world, state);
        assert.equal(instance.status.state, state);
        if (!allowed) {
          const before = await world.store.revision();
          await assert.rejects(run(world, instance), (error: { code: string; message: string; details: { state: string; allowed: string[] } }) => {
            assert.equal(error.code, 'wrongState');
            assert.deepEqual([error.details.state, error.details.allowed.includes(state)], [state, false]);
            assert.match(error.message, new RegExp(`^'web' is ${state}; ${verb === 'resize' ? 'attach' : verb} needs`));
            return true;
          });
          assert.equal(await world.store.revision(), before, 'a refusal writes nothing');
          assert.equal(world.get('web').status.state, state);
        } else {
          const done = run(world, instance);
          await world.clock.advance(20_000);
          await done;
        }
      });
    }
  }

  it('resize needs a terminal that can be attached to', async () => {
    await using world = await FakeWorld.open();
    const running = await bringInto(world, 'running');
    await resizeInstance(world.services, ROOT, running, { rows: 5, columns: 7 });
    assert.deepEqual(world.unit('web')!.size, { rows: 5, columns: 7 });
    await ended(stopInstance(world.services, ROOT, running));
    await assert.rejects(resizeInstance(world.services, ROOT, world.get('web'), { rows: 5, columns: 7 }), { code: 'wrongState' });
    await assertConsistent(world);
  });

  it('a refusal names the state, what is needed and what to do', async () => {
    await using world = await FakeWorld.open();
    const running = await bringInto(world, 'running');
    await assert.rejects(ended(deleteInstance(world.services, ROOT, running, false)), { code: 'wrongState', message: "'web' is running; delete needs it to be stopped or failed.", hint: 'berth rm --force web stops and deletes it.' });
    await pauseInstance(world.services, ROOT, running);
    await assert.rejects(ended(stopInstance(world.services, ROOT, running)), { code: 'wrongState', hint: 'berth resume web thaws it; berth kill web ends it as it is.' });
    await resumeInstance(world.services, ROOT, running);
    await ended(stopInstance(world.services, ROOT, running));
    await assert.rejects(ended(stopInstance(world.services, ROOT, running)), { code: 'wrongState', hint: 'There is nothing to do.' });
    await assert.rejects(killInstance(world.services, ROOT, world.get('web')), { code: 'wrongState', hint: 'berth start web' });
  });
});
