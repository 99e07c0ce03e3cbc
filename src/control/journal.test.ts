import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { assertConsistent, assertEmpty } from '../../test/lib/consistency.ts';
import { ended, FakeWorld, MEMBER, ROOT } from '../../test/lib/fake-control.ts';
import { Life, type OutsideCall } from '../../test/lib/mortal.ts';
import { settle } from '../../test/lib/test-clock.ts';
import type { Operation } from '../model/operation.ts';
import { bootstrapImage } from './image/image.ts';
import { createInstance } from './instance/create.ts';
import { deleteInstance } from './instance/delete.ts';
import { killInstance } from './instance/lifecycle.ts';
import { startInstance } from './instance/start.ts';
import { stopInstance } from './instance/stop.ts';
import { createNetwork } from './network/network.ts';
import { createProject } from './project/project.ts';
import { createVolume } from './volume/volume.ts';

const KEY = 'key-0123456789';

/** A gate in front of one call to the outside: what comes there waits. */
function gateAt(life: Life, method: string): { readonly reached: Promise<OutsideCall>; open(): void } {
  const reached = Promise.withResolvers<OutsideCall>();
  const opened = Promise.withResolvers<void>();
  life.before = (call) => {
    if (call.method !== method) return undefined;
    reached.resolve(call);
    return opened.promise;
  };
  return { reached: reached.promise, open: () => { life.before = () => undefined; opened.resolve(); } };
}

describe('Idempotency-Key', () => {
  it('answers the same operation: while it runs, when it is over, after a restart, and when the object is gone', async () => {
    const life = new Life();
    await using world = await FakeWorld.open({ life });
    const request = { ...world.request('web', { running: true }), idempotencyKey: KEY };
    const gate = gateAt(life, 'create');
    const first = createInstance(world.services, ROOT, request);
    await gate.reached;
    const second = await createInstance(world.services, ROOT, request);
    gate.open();
    const [a, b] = await Promise.all([(await first).done, second.done]);
    assert.deepEqual([a.meta.name, b.meta.name, b.status.state], [KEY, KEY, 'succeeded']);
    assert.equal(world.containers.units.size, 1);
    const third = await createInstance(world.services, ROOT, request);
    assert.deepEqual([third.operation.status.state, (await third.done).status.result], ['succeeded', a.status.result]);
    await world.reopen();
    assert.equal((await (await createInstance(world.services, ROOT, request)).done).status.state, 'succeeded');
    await ended(deleteInstance(world.services, ROOT, world.get('web'), true));
    assert.equal((await createInstance(world.services, ROOT, request)).operation.status.state, 'succeeded');
    await assertEmpty(world);
  });

  it('answers a failure as it was', async () => {
    await using world = await FakeWorld.open();
    const request = { ...world.request('web', { running: true, command: ['missing'] }), idempotencyKey: KEY };
    const first = await (await createInstance(world.services, ROOT, request)).done;
    const again = await (await createInstance(world.services, ROOT, request)).done;
    assert.deepEqual([first.status.state, again.status.error], ['failed', first.status.error]);
  });

  it('of many at once with one key, one makes something, also when nobody names it', async () => {
    for (const name of ['web', undefined]) {
      await using world = await FakeWorld.open();
      const started = await Promise.all(Array.from({ length: 20 }, () => createInstance(world.services, ROOT, { ...world.request(name), idempotencyKey: KEY })));
      await Promise.all(started.map((one) => one.done));
      await settle();
      assert.deepEqual([new Set(started.map((one) => one.operation.meta.name)).size, world.services.registry.count('Instance')], [1, 1]);
      await assertConsistent(world);
    }
  });

  it('holds for networks and volumes too', async () => {
    await using world = await FakeWorld.open();
    for (let i = 0; i < 2; i++) {
      await Promise.all([1, 2].map(() => createNetwork(world.services, ROOT, { project: 'default', meta: { name: 'inner' }, spec: { isolated: false, internal: true }, idempotencyKey: `${KEY}-n` }).then((one) => one.done)));
      await Promise.all([1, 2].map(() => createVolume(world.services, ROOT, { project: 'default', meta: { name: 'data' }, spec: { type: 'filesystem' }, idempotencyKey: `${KEY}-v` }).then((one) => one.done)));
    }
    assert.deepEqual([world.network.bridges.size, world.network.subnets.size, world.storage.volumes.size], [2, 2, 1]);
  });

  it('is refused for another verb, another caller, or as no key', async () => {
    await using world = await FakeWorld.open();
    const request = { ...world.request('web'), idempotencyKey: KEY };
    await ended(createInstance(world.services, ROOT, request));
    await assert.rejects(createInstance(world.services, MEMBER, request), { code: 'alreadyExists' });
    await assert.rejects(createVolume(world.services, ROOT, { project: 'default', meta: { name: 'data' }, spec: { type: 'filesystem' }, idempotencyKey: KEY }), { code: 'alreadyExists' });
    for (const wrong of ['short', 'UPPER-CASE-123', 'a/b/c/d/e/f/g', '../../../../../', 'x'.repeat(65), 'with space 12']) {
      await assert.rejects(createInstance(world.services, ROOT, { ...world.request('other'), idempotencyKey: wrong }), { code: 'invalid' });
    }
    await settle();
    await assertConsistent(world);
  });

  it('E02: the key and the operation of one project mean nothing in another', async () => {
    const life = new Life();
    await using world = await FakeWorld.open({ life });
    await createProject(world.services, ROOT, { name: 'other' }, {});
    await ended(bootstrapImage(world.services, ROOT, 'other', { name: 'busybox', include: [], config: {} }, undefined));
    const gate = gateAt(life, 'create');
    const first = await createInstance(world.services, ROOT, { ...world.request('web', { running: true }), idempotencyKey: KEY });
    await gate.reached;
    const { journal } = world.services;
    assert.equal(journal.get('other', KEY), undefined, 'not even while it runs');
    assert.equal(await journal.wait('other', KEY, 10), undefined);
    assert.throws(() => journal.cancel('other', KEY), { code: 'notFound' });
    const theirs = await createInstance(world.services, ROOT, { ...world.request('web', {}, 'other'), idempotencyKey: KEY });
    assert.deepEqual([(await theirs.done).meta.project, (await theirs.done).status.state], ['other', 'succeeded']);
    gate.open();
    assert.equal((await first.done).meta.project, 'default');
    await assertConsistent(world);
  });
});

describe('operations', () => {
  it('say which step is at work and how far it is, to whoever follows', async () => {
    const life = new Life();
    await using world = await FakeWorld.open({ life });
    const seen: string[] = [];
    const gate = gateAt(life, 'bootstrap');
    const { operation, done } = await bootstrapImage(world.services, ROOT, 'default', { name: 'debian:trixie', include: [], config: {} }, undefined);
    world.services.journal.follow('default', operation.meta.name, (one: Operation) => seen.push(`${one.status.state} ${one.status.step} ${one.status.progress?.what ?? ''}`.trim()));
    gate.open();
    await done;
    assert.deepEqual([seen.includes('running 0 debian:trixie'), seen.at(-1)], [true, 'succeeded 0 debian:trixie']);
  });

  it('a follower that throws harms nobody', async () => {
    await using world = await FakeWorld.open();
    const { operation, done } = await createInstance(world.services, ROOT, world.request('web', { running: true }));
    world.services.journal.follow('default', operation.meta.name, () => { throw new Error('a bug of the follower'); });
    assert.equal((await done).status.state, 'succeeded');
    await assertConsistent(world);
  });

  it('can be waited for, with a limit', async () => {
    const life = new Life();
    await using world = await FakeWorld.open({ life });
    const gate = gateAt(life, 'create');
    const { operation } = await createInstance(world.services, ROOT, world.request('web', { running: true }));
    await gate.reached;
    const waited = world.services.journal.wait('default', operation.meta.name, 1000);
    await world.clock.advance(1000);
    assert.equal((await waited)!.status.state, 'running');
    const again = world.services.journal.wait('default', operation.meta.name, 1000);
    gate.open();
    assert.equal((await again)!.status.state, 'succeeded');
    assert.equal((await world.services.journal.wait('default', operation.meta.name, 1000))!.status.state, 'succeeded');
    assert.equal(await world.services.journal.wait('default', 'nothing-of-this', 1000), undefined);
  });

  it('cancelled at any step of a create: undone, nothing is left', async () => {
    for (const method of ['createVolume', 'createRoot', 'openSandbox', 'publish', 'setNames', 'create', 'start']) {
      const life = new Life();
      await using world = await FakeWorld.open({ life });
      await ended(createNetwork(world.services, ROOT, { project: 'default', meta: { name: 'inner' }, spec: { isolated: false, internal: true } }));
      const gate = gateAt(life, method);
      const { operation, done } = await createInstance(world.services, ROOT, world.request('web', { running: true, networks: [{ name: 'inner' }], volumes: [{ volume: 'data', target: '/d' }], ports: [{ targetPort: 80 }] }));
      await gate.reached;
      world.services.journal.cancel('default', operation.meta.name);
      gate.open();
      const finished = await done;
      assert.deepEqual([method, finished.status.state, finished.status.error?.message], [method, 'cancelled', 'instance.create was cancelled.']);
      assert.throws(() => world.services.journal.cancel('default', operation.meta.name), { code: 'wrongState', message: /finished/ });
      await settle();
      await assertEmpty(world);
    }
  });

  it('cannot be cancelled after the last step that can be taken back', async () => {
    const life = new Life();
    await using world = await FakeWorld.open({ life });
    await world.run('web');
    const gate = gateAt(life, 'waitExit');
    const { operation, done } = await stopInstance(world.services, ROOT, world.get('web'));
    await gate.reached;
    assert.throws(() => world.services.journal.cancel('default', operation.meta.name), { code: 'wrongState', message: /past its last step/ });
    gate.open();
    assert.equal((await done).status.state, 'succeeded');
    assert.throws(() => world.services.journal.cancel('default', 'nothing-of-this'), { code: 'notFound' });
  });

  it('a thousand are kept, and only finished ones go', async () => {
    await using world = await FakeWorld.open();
    const made = await world.create('web');
    for (let i = 0; i < 505; i++) {
      await ended(startInstance(world.services, ROOT, world.get('web')));
      await ended(stopInstance(world.services, ROOT, world.get('web'), { graceMs: 0 }));
    }
    assert.equal(made.meta.id, world.get('web').meta.id);
    assert.ok(world.services.registry.count('Operation') <= 1001);
    await assertConsistent(world);
  });

  it('a verb that comes second waits its turn, and is told who holds the object when that is too long', async () => {
    await using world = await FakeWorld.open();
    await world.run('web', { command: ['stubborn'] });
    const stop = await stopInstance(world.services, ROOT, world.get('web'), { graceMs: 3_600_000 });
    const start = assert.rejects(ended(startInstance(world.services, ROOT, world.get('web'))), { code: 'busy' });
    const told = assert.rejects(ended(stopInstance(world.services, ROOT, world.get('web'))), { code: 'busy', message: /instance\.stop is at work/, details: { holder: 'instance.stop' } });
    await world.clock.advance(30_001);
    await Promise.all([start, told]);
    await killInstance(world.services, ROOT, world.get('web'));
    assert.equal((await stop.done).status.state, 'succeeded');
    await ended(startInstance(world.services, ROOT, world.get('web')));
    await assertConsistent(world);
  });

  it('a forced delete does not wait for the grace of a stop', async () => {
    await using world = await FakeWorld.open();
    await world.run('web', { command: ['stubborn'] });
    const stop = await stopInstance(world.services, ROOT, world.get('web'), { graceMs: 3_600_000 });
    await ended(deleteInstance(world.services, ROOT, world.get('web'), true));
    assert.equal((await stop.done).status.state, 'succeeded');
    await assertEmpty(world);
  });
});
