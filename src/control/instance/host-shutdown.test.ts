/** J14: what ran when the host went down comes back with it as it was wished, in good order or after a power cut. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { assertConsistent } from '../../../test/lib/consistency.ts';
import { ended, FakeWorld, ROOT } from '../../../test/lib/fake-control.ts';
import { Life } from '../../../test/lib/mortal.ts';
import { goesRed } from '../../../test/lib/red.ts';
import { settle } from '../../../test/lib/test-clock.ts';
import type { ControlParts } from '../control.ts';
import { makesSystems } from '../../../test/lib/fake-systems.ts';
import { endWithHost } from './host-shutdown.ts';
import { stopInstance } from './stop.ts';

/** The host as it is after its next boot. */
const boot = (bootId: string) => ({ parts: (parts: ControlParts): ControlParts => ({ ...makesSystems(parts), describeNode: async () => ({ ...(await parts.describeNode()), bootId }) }) });

const hostReboots = (world: FakeWorld): void => {
  world.kill();
  world.containers.reboot();
  world.machines.reboot();
};

/** What each form asks for: the same words hold for all of them. */
const FORMS = { 'app containers': {}, 'OS containers': { mode: 'os' }, microVMs: { isolation: 'vm' }, VMs: { isolation: 'vm', mode: 'os' } } as const;

async function estate(form: object = {}): Promise<FakeWorld> {
  const world = await FakeWorld.open({ parts: makesSystems });
  const command = { entrypoint: ['graceful', '0'], restart: { policy: 'no' }, ...form };
  await world.run('always', { ...command, restart: { policy: 'always' } });
  await world.run('on-failure', { ...command, restart: { policy: 'on-failure', maxRetries: 1 } });
  await world.run('never', command);
  await world.run('gone', { removeOnExit: true, ...command });
  await world.run('off', { ...command, restart: { policy: 'always' } });
  await ended(stopInstance(world.services, ROOT, world.get('off')));
  return world;
}

const seen = (world: FakeWorld) => Object.fromEntries(['always', 'on-failure', 'never', 'off'].map((name) => [name, world.get(name).status.state]));
const BACK = { always: 'running', 'on-failure': 'running', never: 'stopped', off: 'stopped' };

async function assertBack(world: FakeWorld): Promise<void> {
  await world.clock.advance(1);
  assert.deepEqual(seen(world), BACK);
  assert.equal(world.find('gone'), undefined);
  assert.deepEqual(['always', 'on-failure'].map((name) => world.get(name).status.restarts), [0, 0]);
  await assertConsistent(world);
}

async function powerCut(bootId: string, form: object = {}): Promise<FakeWorld> {
  const world = await estate(form);
  hostReboots(world);
  await world.reopen(boot(bootId));
  await assertBack(world);
  return world;
}

describe('a reboot of the host', () => {
  for (const [form, spec] of Object.entries(FORMS)) {
    it(`${form} come back after a power cut, and in good order`, async () => {
      await using cut = await powerCut('boot-2', spec);
      assert.equal(cut.get('never').status.reason, 'unknown');
      await using world = await estate(spec);
      await endWithHost(world.services);
      await world.clock.advance(60_000);
      assert.deepEqual(seen(world), { always: 'backoff', 'on-failure': 'backoff', never: 'stopped', off: 'stopped' });
      hostReboots(world);
      await world.reopen(boot('boot-2'));
      await assertBack(world);
    });

    it(`${form}: goes red without a look at which boot it is`, () => goesRed(async () => { await powerCut('boot-1', spec); }));
  }

  it('after a power cut: at once and uncounted, whatever retries are left', async () => {
    await using world = await powerCut('boot-2');
    assert.equal(world.get('never').status.reason, 'unknown');
    const { items } = await world.services.registry.records<{ spec: { message: string } } & never>('Event');
    assert.ok(items.some((event: { spec: { message: string } }) => event.spec.message === "'always' went down with its host, and comes back with it."));
    // The boot is one that was seen to: the next daemon of it counts as ever.
    world.kill();
    world.containers.reboot();
    await world.reopen(boot('boot-2'));
    await world.clock.advance(1);
    assert.equal(seen(world).always, 'backoff');
  });

  it('goes red without a look at which boot it is: what was lost with the host would be a failure', () => goesRed(async () => { await powerCut('boot-1'); }));

  it('a daemon that dies while it sees to them leaves the rest to the next one', async () => {
    await using world = await estate();
    world.kill();
    world.containers.reboot();
    const life = new Life();
    let seenTo = 0;
    life.before = ({ on, method }) => { if (on === 'container' && method === 'remove' && ++seenTo === 2) life.end(); };
    assert.equal(await world.reopen({ ...boot('boot-2'), life }), false);
    await world.reopen(boot('boot-2'));
    await assertBack(world);
  });

  it('one that ended by itself before stays as it ended', async () => {
    await using world = await FakeWorld.open();
    await world.run('job', { restart: { policy: 'on-failure' }, command: ['graceful', '0'] });
    world.kill();
    world.containers.units.values().next().value!.process.exit(0);
    await world.reopen(boot('boot-2'));
    await world.clock.advance(60_000);
    assert.deepEqual([world.get('job').status.state, world.get('job').status.exitCode], ['stopped', 0]);
  });

  it('in good order: all are asked to end at once, nothing is started any more, and they come back', async () => {
    await using world = await estate();
    await endWithHost(world.services);
    await world.clock.advance(60_000);
    assert.deepEqual(seen(world), { always: 'backoff', 'on-failure': 'backoff', never: 'stopped', off: 'stopped' });
    assert.equal(world.get('never').status.exitCode, 0);
    assert.equal([...world.containers.units.values()].filter((unit) => unit.exit === undefined).length, 0);
    world.kill();
    world.containers.reboot();
    await world.reopen(boot('boot-2'));
    await assertBack(world);
  });

  it('in good order: who does not end in its time is killed, and does not hold up the others', async () => {
    await using world = await FakeWorld.open();
    await world.run('deaf', { restart: { policy: 'always' }, stopGraceMs: 5000, command: ['stubborn'] });
    await world.run('quick', { restart: { policy: 'always' }, command: ['graceful', '0'] });
    const over = endWithHost(world.services);
    await settle();
    assert.deepEqual([world.get('quick').status.state, world.get('deaf').status.state], ['backoff', 'running']);
    await world.clock.advance(5000);
    await over;
    assert.equal(world.get('deaf').status.state, 'backoff');
  });
});
