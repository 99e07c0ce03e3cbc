/** Block volumes: for VMs only, one writer at a time or several readers, whatever starts at the same moment or dies meanwhile. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { assertConsistent } from '../../../test/lib/consistency.ts';
import { ended, FakeWorld, ROOT } from '../../../test/lib/fake-control.ts';
import { settle } from '../../../test/lib/test-clock.ts';
import type { Volume } from '../../model/volume.ts';
import { createVolume, deleteVolume } from '../volume/volume.ts';
import { killInstance } from './lifecycle.ts';
import { startInstance } from './start.ts';
import { stopInstance } from './stop.ts';

const MIB = 1024 * 1024;
const make = (world: FakeWorld, name: string, spec: { type: 'filesystem' | 'block'; sizeBytes?: number }) => ended(createVolume(world.services, ROOT, { project: 'default', meta: { name }, spec }));
const volume = (world: FakeWorld, name = 'data') => world.services.registry.get<Volume>('Volume', 'default', name);
const vm = (readOnly = false, name = 'data') => ({ isolation: 'vm' as const, volumes: [{ volume: name, target: '/data', readOnly }] });
const start = (world: FakeWorld, name: string) => ended(startInstance(world.services, ROOT, world.get(name)));
const stop = (world: FakeWorld, name: string) => ended(stopInstance(world.services, ROOT, world.get(name)));
const busy = (holder: string) => (error: { code: string; message: string; details?: { holder?: string } }) => error.code === 'busy' && error.message.includes(`'${holder}'`) && error.details?.holder === holder;

describe('block volumes', () => {
  it('reach a machine as disks, with the size that was asked for or 1 GiB', async () => {
    await using world = await FakeWorld.open();
    await make(world, 'data', { type: 'block', sizeBytes: 64 * MIB });
    await world.run('db', { isolation: 'vm', volumes: [{ volume: 'data', target: '/data', readOnly: false }, { volume: 'new', target: '/new', readOnly: false }] });
    const { mounts, volumeDisks } = world.unit('db')!.plan;
    assert.deepEqual([mounts, volumeDisks], [[], [
      { name: 'data', file: world.services.storage.volumePath(volume(world).meta.id as never, 'block'), target: '/data', readOnly: false },
      { name: 'new', file: world.services.storage.volumePath(volume(world, 'new').meta.id as never, 'block'), target: '/new', readOnly: false },
    ]]);
    assert.deepEqual([volume(world).status.sizeBytes, volume(world, 'new').status.sizeBytes, volume(world, 'new').spec], [64 * MIB, 1024 * MIB, { type: 'block' }]);
    assert.equal(world.storage.volumes.get(volume(world).meta.id)!.sizeBytes, 64 * MIB);
    assert.ok(volume(world).status.attachedAt !== undefined);
    await assert.rejects(ended(deleteVolume(world.services, ROOT, volume(world))), { code: 'wrongState', message: /'db'/ });
    await assertConsistent(world);
  });

  it('are refused for containers, directories for machines, each with the way out; one too small, one in two places', async () => {
    await using world = await FakeWorld.open();
    await make(world, 'data', { type: 'block' });
    await make(world, 'shared', { type: 'filesystem' });
    await assert.rejects(world.create('a', { volumes: [{ volume: 'data', target: '/data' }] }), { code: 'unsupported', message: /is a disk/ });
    world.machines.noDirectories = { reason: 'This host has no virtiofsd.', hint: 'Use a block volume: --type block' };
    await assert.rejects(world.create('a', vm(false, 'shared')), { code: 'unsupported', message: /^Volume 'shared' is a directory, and cannot be shown to a machine here\. This host has no virtiofsd\.$/, hint: /--type block/ });
    await assert.rejects(world.create('a', { isolation: 'vm', volumes: [{ hostPath: '/srv', target: '/data' }] }), { code: 'unsupported', message: /virtiofsd/ });
    await assert.rejects(world.create('a', { isolation: 'vm', volumes: [{ volume: 'data', target: '/a' }, { volume: 'data', target: '/b' }] }), { code: 'invalid' });
    await assert.rejects(make(world, 'tiny', { type: 'block', sizeBytes: MIB }), { code: 'invalid' });
    await assertConsistent(world);
  });

  it('directories reach machines where the host can show them: one beside its disks, in many machines and containers at once', async () => {
    await using world = await FakeWorld.open();
    await make(world, 'shared', { type: 'filesystem' });
    const source = world.services.storage.volumePath(volume(world, 'shared').meta.id as never, 'filesystem');
    const volumes = [{ volume: 'shared', target: '/a', readOnly: false }, { volume: 'shared', target: '/b', readOnly: true }, { volume: 'own', target: '/own', readOnly: false }, { hostPath: '/srv', target: '/srv', readOnly: true }];
    for (const name of ['one', 'two']) await world.run(name, { isolation: 'vm', volumes: volumes.filter(({ volume: named }) => name === 'one' || named !== 'own') });
    await world.run('three', { volumes: [volumes[0]!] });
    const { mounts, volumeDisks } = world.unit('one')!.plan;
    assert.deepEqual(mounts, [{ source, target: '/a', readOnly: false }, { source, target: '/b', readOnly: true }, { source: '/srv', target: '/srv', readOnly: true }]);
    assert.deepEqual(volumeDisks!.map(({ name }) => name), ['own']);
    assert.equal(volume(world, 'own').spec.type, 'block');
    await assertConsistent(world);
  });

  it('one writer: a second machine is told who has it, by create and by start, until he lets go', async () => {
    await using world = await FakeWorld.open();
    await make(world, 'data', { type: 'block' });
    await world.run('one', vm());
    await assert.rejects(world.run('two', vm()), busy('one'));
    await assert.rejects(world.run('two', vm(true)), busy('one'));
    await world.create('two', vm());
    await assert.rejects(start(world, 'two'), busy('one'));
    assert.equal(world.get('two').status.state, 'stopped', 'nothing became of it');
    await world.reopen();
    await assert.rejects(start(world, 'two'), busy('one'));
    await stop(world, 'one');
    await start(world, 'two');
    await assert.rejects(start(world, 'one'), busy('two'));
    await killInstance(world.services, ROOT, world.get('two'));
    await settle();
    await start(world, 'one');
    await assertConsistent(world);
  });

  it('several readers, and no writer beside them', async () => {
    await using world = await FakeWorld.open();
    await make(world, 'data', { type: 'block' });
    await world.run('one', vm(true));
    await world.run('two', vm(true));
    await assert.rejects(world.run('three', vm()), busy('one'));
    await assertConsistent(world);
  });

  it('of many starts at the same moment one wins', async () => {
    await using world = await FakeWorld.open();
    await make(world, 'data', { type: 'block' });
    const names = ['a', 'b', 'c', 'd'];
    for (const name of names) await world.create(name, vm());
    const results = await Promise.allSettled(names.map((name) => start(world, name)));
    assert.deepEqual(results.map((one) => (one.status === 'fulfilled' ? 'started' : (one.reason as { code: string }).code)).toSorted(), ['busy', 'busy', 'busy', 'started']);
    assert.equal([...world.machines.units.keys()].length, 1);
    await assertConsistent(world);
  });

  it('who waits for its restart keeps it', async () => {
    await using world = await FakeWorld.open();
    await make(world, 'data', { type: 'block' });
    await world.run('one', { ...vm(), command: ['graceful', '3'], restart: { policy: 'always' } });
    await killInstance(world.services, ROOT, world.get('one'), 'SIGTERM');
    await settle();
    assert.equal(world.get('one').status.state, 'backoff');
    await assert.rejects(world.run('two', vm()), busy('one'));
  });
});
