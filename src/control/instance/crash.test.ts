/** Promise 4: kill -9 at any step leaves either nothing or a named state that a retry finishes; nothing leaks. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { armAt, callsOf, sweepCrashes, sweepRecoveryCrashes, type SweepCase } from '../../../test/lib/crash-sweep.ts';
import { ended, FakeWorld, ROOT } from '../../../test/lib/fake-control.ts';
import { Life } from '../../../test/lib/mortal.ts';
import { settle } from '../../../test/lib/test-clock.ts';
import { FORM_DEFAULTS } from '../../model/instance-defaults.ts';
import type { InstanceState } from '../../model/instance-status.ts';
import type { Operation } from '../../model/operation.ts';
import { createNetwork } from '../network/network.ts';
import { deleteInstance } from './delete.ts';
import { killInstance, pauseInstance, renameInstance, resumeInstance } from './lifecycle.ts';
import { startInstance } from './start.ts';
import { stopInstance } from './stop.ts';
import { updateInstance } from './update.ts';

const RICH = { volumes: [{ volume: 'data', target: '/data' }], ports: [{ targetPort: 80, hostPort: 8080 }] };
const DISK = { isolation: 'vm', volumes: [{ volume: 'data', target: '/data' }] };
const TWO_NETWORKS = { ...RICH, networks: [{ name: 'default' }, { name: 'inner' }] };

async function makeInner(world: FakeWorld): Promise<void> {
  await ended(createNetwork(world.services, ROOT, { project: 'default', meta: { name: 'inner' }, spec: { isolated: false, internal: true } }));
}

const start = (world: FakeWorld) => ended(startInstance(world.services, ROOT, world.get('web')));
const stop = (world: FakeWorld) => ended(stopInstance(world.services, ROOT, world.get('web')));

const lower = (world: FakeWorld) => updateInstance(world.services, ROOT, world.get('web'), { spec: { memoryBytes: 128 * 1024 * 1024 } });

/** The state is one of these, or (`absent`) the instance is not there. */
function states(...allowed: (InstanceState | 'absent')[]): SweepCase['expect'] {
  return (world, died) => {
    const state = world.find('web')?.status.state ?? 'absent';
    assert.ok(allowed.includes(state), `${died}: the state is ${state}, not ${allowed.join(' or ')}`);
  };
}

/** Whatever was left: it can be brought to run. */
async function bringUp(world: FakeWorld, spec: Record<string, unknown> = RICH): Promise<void> {
  const found = world.find('web');
  if (found === undefined) await world.run('web', spec);
  else if (found.status.state !== 'running') await start(world);
  assert.equal(world.get('web').status.state, 'running');
}

async function bringDown(world: FakeWorld): Promise<void> {
  if (world.get('web').status.state === 'running') await stop(world);
}

async function remove(world: FakeWorld): Promise<void> {
  const found = world.find('web');
  if (found !== undefined) await ended(deleteInstance(world.services, ROOT, found, true));
}

const CASES: readonly SweepCase[] = [
  { name: 'create', prepare: makeInner, run: (world) => world.create('web', TWO_NETWORKS), expect: states('absent', 'stopped'), retry: (world) => bringUp(world, TWO_NETWORKS) },
  { name: 'create and start', prepare: makeInner, run: (world) => world.run('web', TWO_NETWORKS), expect: states('absent', 'running'), retry: (world) => bringUp(world, TWO_NETWORKS) },
  { name: 'create and start from the pool', run: (world) => world.run('web', RICH), expect: states('absent', 'running'), retry: bringUp },
  { name: 'create and start a microVM', run: (world) => world.run('web', { isolation: 'vm', ports: [{ targetPort: 80 }] }), expect: states('absent', 'running'), retry: (world) => bringUp(world, { isolation: 'vm' }) },
  { name: 'create and start a microVM with a disk', run: (world) => world.run('web', DISK), expect: states('absent', 'running'), retry: (world) => bringUp(world, DISK) },
  { name: 'start', async prepare(world) { await world.create('web', RICH); }, run: start, expect: states('stopped', 'running', 'failed'), retry: bringUp },
  { name: 'start a microVM', async prepare(world) { await world.create('web', { isolation: 'vm' }); }, run: start, expect: states('stopped', 'running', 'failed'), retry: bringUp },
  { name: 'stop', async prepare(world) { await world.run('web', RICH); }, run: stop, expect: states('running', 'stopped'), retry: bringDown },
  { name: 'stop a microVM', async prepare(world) { await world.run('web', { isolation: 'vm' }); }, run: stop, expect: states('running', 'stopped'), retry: bringDown },
  { name: 'stop with --rm', async prepare(world) { await world.run('web', { ...RICH, removeOnExit: true }); }, run: stop, expect: states('running', 'absent'), retry: remove },
  { name: 'stop of what is paused after a crash of its daemon', async prepare(world) { await pauseInstance(world.services, ROOT, await world.run('web', RICH)); }, run: async (world) => { await resumeInstance(world.services, ROOT, world.get('web')); await stop(world); }, expect: states('paused', 'running', 'stopped') },
  { name: 'delete', async prepare(world) { await world.create('web', RICH); }, run: (world) => ended(deleteInstance(world.services, ROOT, world.get('web'), false)), expect: states('stopped', 'absent'), retry: remove },
  { name: 'forced delete', async prepare(world) { await world.run('web', RICH); }, run: remove, expect: states('running', 'absent'), retry: remove },
  { name: 'forced delete of a microVM', async prepare(world) { await world.run('web', { isolation: 'vm' }); }, run: remove, expect: states('running', 'absent'), retry: remove },
  { name: 'its own end', async prepare(world) { await world.run('web', { ...RICH, command: ['graceful', '3'] }); }, run: async (world) => { await killInstance(world.services, ROOT, world.get('web'), 'SIGTERM'); await settle(); }, expect: states('running', 'stopped'), retry: bringUp },
  { name: 'its own end with --rm', async prepare(world) { await world.run('web', { ...RICH, command: ['graceful', '3'], removeOnExit: true }); }, run: async (world) => { await killInstance(world.services, ROOT, world.get('web'), 'SIGTERM'); await settle(); }, expect: states('running', 'absent'), retry: remove },
  { name: 'its own end with restart', async prepare(world) { await world.run('web', { ...RICH, command: ['graceful', '3'], restart: { policy: 'always' } }); }, run: async (world) => { await killInstance(world.services, ROOT, world.get('web'), 'SIGTERM'); await settle(); await world.clock.advance(150); }, expect: states('running', 'backoff', 'failed'), async retry(world) { await world.clock.advance(61_000); assert.equal(world.get('web').status.state, 'running'); } },
  { name: 'rename', async prepare(world) { await world.run('old', RICH); }, run: (world) => renameInstance(world.services, ROOT, world.get('old'), 'web'), async retry(world) { if (world.find('web') === undefined) await renameInstance(world.services, ROOT, world.get('old'), 'web'); } },
  { name: 'pause', async prepare(world) { await world.run('web', RICH); }, run: (world) => pauseInstance(world.services, ROOT, world.get('web')), expect: states('running', 'paused') },
  { name: 'update that starts', async prepare(world) { await world.create('web', RICH); }, run: (world) => updateInstance(world.services, ROOT, world.get('web'), { spec: { running: true, env: { A: '1' } } }), expect: states('stopped', 'running', 'failed'), retry: bringUp },
  ...(['container', 'vm'] as const).map((isolation): SweepCase => ({
    name: `update of limits that run (${isolation})`, async prepare(world) { await world.run('web', { isolation }); }, run: lower,
    expect(world, died) {
      const { spec, status } = world.get('web');
      assert.equal(status.state, 'running', died);
      assert.equal(world.unit('web')!.resources.memoryBytes, spec.memoryBytes ?? FORM_DEFAULTS[status.form].memoryBytes, `${died}: what is in force is what the spec says`);
    },
    retry: lower,
  })),
];

describe('a daemon killed at every call of', () => {
  for (const one of CASES) it(one.name, async () => { assert.ok(await sweepCrashes(one) > 0); });
});

describe('what runs is never taken back', () => {
  for (const name of ['start', 'start a microVM']) {
    it(`${name}: killed after the workload was let go, the next daemon finds it running and says that the start succeeded`, async () => {
      const one = CASES.find((each) => each.name === name)!;
      const calls = await callsOf(one);
      const started = calls.findIndex((call) => call.endsWith('.start'));
      for (let index = started; index < calls.length; index++) {
        await using world = await FakeWorld.open();
        await one.prepare!(world);
        const life = new Life();
        await world.reopen({ life });
        await settle();
        armAt(life, index, 'after');
        await Promise.race([one.run(world).then(settle, settle), life.died]);
        const pid = world.containers.nextPid + world.machines.nextPid;
        await world.reopen();
        assert.equal(world.get('web').status.state, 'running', `killed after ${calls[index]}`);
        assert.equal(world.containers.nextPid + world.machines.nextPid, pid, 'nothing was started a second time');
        const operation = world.services.registry.list<Operation>('Operation').find((each) => each.spec.verb === 'instance.start')!;
        assert.equal(operation.status.state, 'succeeded');
      }
    });
  }
});

describe('the next daemon killed as well, at every call of its opening, after', () => {
  const some = (calls: readonly string[]): number[] => [Math.floor(calls.length / 3), Math.floor((calls.length * 2) / 3), calls.length - 2];
  for (const name of ['create and start', 'start', 'stop', 'stop with --rm', 'forced delete', 'its own end with --rm']) {
    it(name, async () => { assert.ok(await sweepRecoveryCrashes(CASES.find((one) => one.name === name)!, some) > 0); });
  }
});
