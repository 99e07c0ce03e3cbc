import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { assertConsistent, assertEmpty } from '../../../test/lib/consistency.ts';
import { ended, FakeWorld, MEMBER, ROOT, succeeded } from '../../../test/lib/fake-control.ts';
import { settle } from '../../../test/lib/test-clock.ts';
import type { Network } from '../../model/network.ts';
import type { Volume } from '../../model/volume.ts';
import { deleteImage } from '../image/image.ts';
import { createNetwork } from '../network/network.ts';
import { createProject } from '../project/project.ts';
import { deleteVolume } from '../volume/volume.ts';
import { createInstance } from './create.ts';
import { deleteInstance } from './delete.ts';
import { startInstance } from './start.ts';

describe('instance.create', () => {
  it('makes a stopped instance with its root and its address, and starts nothing', async () => {
    await using world = await FakeWorld.open();
    const made = await world.create('web');
    assert.deepEqual([made.status.state, made.status.form, made.spec.running, made.meta.generation], ['stopped', 'appContainer', false, 1]);
    assert.equal(world.containers.units.size, 0);
    await assertConsistent(world);
  });

  it('makes and starts in one operation: two durable commits', async () => {
    await using world = await FakeWorld.open();
    const before = await world.store.revision();
    const made = await world.run('web');
    assert.deepEqual([made.status.state, made.status.boundary, made.status.observedGeneration], ['running', 'kernel', 1]);
    assert.ok(made.status.pid! > 0 && made.status.monitorPid! > 0 && made.status.uidMap!.count === 65_536);
    assert.deepEqual(Object.keys(made.status.addresses), ['default']);
    assert.equal(await world.store.revision() - before, 2);
    await assertConsistent(world);
  });

  it('a microVM is the same spec with another isolation', async () => {
    await using world = await FakeWorld.open();
    const made = await world.run('web', { isolation: 'vm' });
    assert.deepEqual([made.status.form, made.status.boundary, made.status.uidMap], ['microVM', 'emulated', undefined]);
    const plan = world.unit('web')!.plan;
    assert.ok(plan.network.interfaces[0]!.tap !== undefined && plan.root.imageFile !== undefined && plan.root.upperDisk !== undefined);
    await assertConsistent(world);
    await ended(deleteInstance(world.services, ROOT, made, true));
    await assertEmpty(world);
  });

  it('J11: of a hundred makers of one name exactly one succeeds, and the others leave nothing', async () => {
    await using world = await FakeWorld.open();
    const results = await Promise.allSettled(Array.from({ length: 100 }, (_, i) => world.create('same', { running: i % 2 === 0, ports: [{ targetPort: 80 }] })));
    const codes = results.map((result) => (result.status === 'fulfilled' ? 'made' : (result.reason as { code: string }).code));
    assert.deepEqual(Object.fromEntries(Object.entries(Object.groupBy(codes, (code) => code)).map(([code, all]) => [code, all!.length])), { made: 1, alreadyExists: 99 });
    await settle();
    await assertConsistent(world);
  });

  it('gives a name of its own to who has none, never a taken one', async () => {
    await using world = await FakeWorld.open();
    const made = await Promise.all(Array.from({ length: 40 }, () => world.create(undefined)));
    assert.equal(new Set(made.map((one) => one.meta.name)).size, 40);
    for (const { meta } of made) assert.match(meta.name, /^[a-z]+-[a-z]+(-[0-9a-z]+)?$/);
  });

  it('a name may be used again after its delete, an id never is', async () => {
    await using world = await FakeWorld.open();
    const first = await world.create('web');
    await ended(deleteInstance(world.services, ROOT, first, false));
    const second = await world.create('web');
    assert.notEqual(first.meta.id, second.meta.id);
  });

  for (const [what, spec, code, path] of [
    ['an image that is not there', { image: 'nothing' }, 'notFound', undefined],
    ['an image name that is none', { image: 'No Such' }, 'invalid', 'spec.image'],
    ['a project’s network that is not there', { networks: [{ name: 'nowhere' }] }, 'notFound', undefined],
    ['a network twice', { networks: [{ name: 'default' }, { name: 'default' }] }, 'invalid', 'spec.networks'],
    ['ports without a network', { networks: [], ports: [{ targetPort: 80 }] }, 'invalid', 'spec.ports'],
    ['two mounts on one directory', { volumes: [{ volume: 'a', target: '/data' }, { volume: 'b', target: '/data/' }] }, 'invalid', 'spec.volumes.1.target'],
    ['a tmpfs over a volume', { volumes: [{ volume: 'a', target: '/data' }], tmpfs: [{ target: '//data', sizeBytes: 4096 }] }, 'invalid', 'spec.tmpfs.0.target'],
    ['a restart of what is deleted when it ends', { removeOnExit: true, restart: { policy: 'always' } }, 'invalid', 'spec.restart.policy'],
    ['a working directory in /proc', { workdir: '/proc/self/fd/8' }, 'invalid', 'spec.workdir'],
    ['a limit that a start alone breaks', { pids: 2 }, 'invalid', 'spec.pids'],
    ...['/proc', '/sys/fs/cgroup', '/dev', '//dev//shm', '/dev/'].flatMap((target) => [
      [`a volume at ${target}`, { volumes: [{ volume: 'a', target }] }, 'invalid', 'spec.volumes.0.target'],
      [`a tmpfs at ${target}`, { tmpfs: [{ target, sizeBytes: 4096 }] }, 'invalid', 'spec.tmpfs.0.target'],
    ] as const),
    ['a volume at /', { volumes: [{ volume: 'a', target: '/' }] }, 'invalid', 'spec.volumes.0.target'],
    ['a tmpfs at //', { tmpfs: [{ target: '//', sizeBytes: 4096 }] }, 'invalid', 'spec.tmpfs.0.target'],
    ['no command at all', { command: [], entrypoint: [] }, 'invalid', 'spec.command'],
    ['an unknown user', { user: 'nobody-here' }, 'invalid', 'spec.user'],
    ['a user number out of the range', { user: '65536' }, 'invalid', 'spec.user'],
    ['a capability that reaches the host', { capabilities: { add: ['SYS_ADMIN'], drop: [] } }, 'invalid', 'spec.capabilities.add'],
    ['a signal that is none', { stopSignal: 'SIGNOTHING' }, 'invalid', undefined],
    ['an OS form', { mode: 'os' }, 'unsupported', undefined],
    ['a root disk that the pool cannot bound', { rootDiskBytes: 64 * 1024 * 1024 }, 'unsupported', 'spec.rootDiskBytes'],
    ['an address outside of the network', { networks: [{ name: 'default', ipv4: '192.168.9.9' }] }, 'invalid', undefined],
    ['the gateway’s address', { networks: [{ name: 'default', ipv4: '10.90.1.1' }] }, 'invalid', undefined],
    ['an IPv6 address of one’s own', { networks: [{ name: 'default', ipv6: 'fd00::9' }] }, 'unsupported', 'spec.networks.0.ipv6'],
    ['a program that the image does not have', { command: ['missing'], running: true }, 'notFound', undefined],
  ] as const) {
    it(`refuses ${what}, and leaves nothing`, async () => {
      await using world = await FakeWorld.open();
      await assert.rejects(world.create('web', spec), (error: { code: string; fields: { path: string }[] }) => {
        assert.equal(error.code, code);
        if (path !== undefined) assert.deepEqual(error.fields.map((field) => field.path), [path]);
        return true;
      });
      await settle();
      await assertEmpty(world);
      await world.run('web');
    });
  }

  it('a refused create holds no address: the network can still be filled to its last one', async () => {
    await using world = await FakeWorld.open();
    await ended(createNetwork(world.services, ROOT, { project: 'default', meta: { name: 'small' }, spec: { isolated: false, internal: false } }));
    for (let i = 0; i < 300; i++) await assert.rejects(world.create('web', { networks: [{ name: 'small' }, { name: 'default', ipv4: '10.90.1.1' }] }));
    await world.create('web', { networks: [{ name: 'small' }] });
    await assertConsistent(world);
  });

  it('a host that cannot run the form says why', async () => {
    await using world = await FakeWorld.open();
    world.machines.unavailable = 'QEMU is not installed.';
    await assert.rejects(world.create('web', { isolation: 'vm' }), { code: 'unsupported', message: /QEMU is not installed/ });
  });

  it('the host keeps its reserve, and the sum is shown', async () => {
    await using world = await FakeWorld.open();
    world.facts = { ...world.facts, memoryAvailableBytes: 1_700 * 1024 * 1024 };
    await world.run('small');
    await assert.rejects(world.run('large', { isolation: 'vm', memoryBytes: 1024 ** 3 }), { code: 'exhausted', message: /needs 1120 MiB; 1700 MiB are available and 1638 MiB/ });
    world.facts = { ...world.facts, memoryAvailableBytes: 12 * 1024 ** 3, diskFreeBytes: 1 };
    await assert.rejects(world.run('other'), { code: 'exhausted', message: /disk/ });
    await assertConsistent(world);
  });

  it('a project’s limit of instances holds against many at once', async () => {
    await using world = await FakeWorld.open();
    await createProject(world.services, ROOT, { name: 'small' }, { instancesLimit: 3 });
    await importInto(world, 'small');
    const results = await Promise.allSettled(Array.from({ length: 12 }, (_, i) => createInstance(world.services, ROOT, world.request(`web${i}`, {}, 'small')).then((one) => one.done)));
    assert.equal(results.filter((result) => result.status === 'fulfilled').length, 3);
    for (const result of results) if (result.status === 'rejected') assert.equal((result.reason as { code: string }).code, 'exhausted');
    await settle();
    await assertConsistent(world);
  });

  it('a project’s limit of memory counts what runs in it', async () => {
    await using world = await FakeWorld.open();
    await createProject(world.services, ROOT, { name: 'small' }, { memoryLimitBytes: 1024 ** 3 });
    await importInto(world, 'small');
    const run = (name: string, spec: Record<string, unknown>) => ended(createInstance(world.services, ROOT, world.request(name, { running: true, ...spec }, 'small')));
    await run('one', {});
    await run('two', { memoryBytes: 500 * 1024 * 1024 });
    await assert.rejects(run('three', { isolation: 'vm' }), { code: 'exhausted', message: /1024 MiB/ });
    await ended(deleteInstance(world.services, ROOT, world.get('one', 'small'), true));
    await run('three', { isolation: 'vm' });
  });

  it('a directory of the host is for root on the socket alone', async () => {
    await using world = await FakeWorld.open();
    const spec = { volumes: [{ hostPath: '/etc', target: '/host' }] };
    await assert.rejects(world.create('web', spec, MEMBER), { code: 'forbidden' });
    await world.create('web', { ...spec, running: true }, ROOT);
    assert.deepEqual(world.unit('web')!.plan.mounts, [{ source: '/etc', target: '/host', readOnly: false }]);
  });
});

describe('volumes of an instance', () => {
  const spec = { volumes: [{ volume: 'data', target: '/data' }, { volume: 'data', target: '/again', readOnly: true }] };

  it('are made with it and stay after it', async () => {
    await using world = await FakeWorld.open();
    const made = await world.run('web', spec);
    const volume = world.services.registry.get<Volume>('Volume', 'default', 'data');
    assert.deepEqual(world.unit('web')!.plan.mounts.map((mount) => [mount.target, mount.readOnly]), [['/data', false], ['/again', true]]);
    world.storage.volumes.get(volume.meta.id)!.files.set('row', 'kept');
    await ended(deleteInstance(world.services, ROOT, made, true));
    await assertEmpty(world);
    const again = await world.run('web', spec);
    assert.equal(again.status.volumes['data'], volume.meta.id);
    assert.equal(world.storage.volumes.get(volume.meta.id)!.files.get('row'), 'kept');
  });

  it('cannot be deleted while an instance has them', async () => {
    await using world = await FakeWorld.open();
    const made = await world.create('web', spec);
    const volume = () => world.services.registry.get<Volume>('Volume', 'default', 'data');
    await assert.rejects(deleteVolume(world.services, ROOT, volume()), { code: 'wrongState', message: /'web'/ });
    await ended(deleteInstance(world.services, ROOT, made, false));
    await ended(deleteVolume(world.services, ROOT, volume()));
    assert.equal(world.storage.volumes.size, 0);
  });

  it('a volume that many make at once is one volume', async () => {
    await using world = await FakeWorld.open();
    const made = await Promise.all(Array.from({ length: 8 }, (_, i) => world.run(`web${i}`, spec)));
    assert.equal(new Set(made.map((one) => one.status.volumes['data'])).size, 1);
    await assertConsistent(world);
  });

  it('a delete and a create at the same time: never an instance on a volume that is gone', async () => {
    for (let turns = 0; turns < 12; turns++) {
      await using world = await FakeWorld.open();
      const first = await world.create('first', spec);
      await ended(deleteInstance(world.services, ROOT, first, false));
      const volume = world.services.registry.get<Volume>('Volume', 'default', 'data');
      const create = world.create('web', spec);
      for (let turn = 0; turn < turns; turn++) await Promise.resolve();
      await Promise.allSettled([create, ended(deleteVolume(world.services, ROOT, volume))]);
      await settle();
      const made = world.find('web');
      if (made !== undefined) {
        const used = world.services.registry.byId<Volume>(made.status.volumes['data']!);
        assert.equal(used?.status.state, 'ready', `after ${turns} turns`);
        assert.ok(world.storage.volumes.has(used.meta.id));
      }
      await assertConsistent(world);
    }
  });
});

describe('networks and images of an instance', () => {
  it('a network cannot be deleted under an instance, not even one that is being made', async () => {
    const { deleteNetwork } = await import('../network/network.ts');
    for (let turns = 0; turns < 24; turns += 2) {
      await using world = await FakeWorld.open();
      await ended(createNetwork(world.services, ROOT, { project: 'default', meta: { name: 'inner' }, spec: { isolated: false, internal: true } }));
      const network = world.services.registry.get<Network>('Network', 'default', 'inner');
      const create = world.run('web', { networks: [{ name: 'inner' }] });
      for (let turn = 0; turn < turns; turn++) await Promise.resolve();
      await Promise.allSettled([create, ended(deleteNetwork(world.services, ROOT, network))]);
      await settle();
      const made = world.find('web');
      if (made !== undefined) assert.ok(world.network.bridges.has(network.meta.id as never), `after ${turns} turns`);
      await assertConsistent(world);
    }
  });

  it('an image stays as long as an instance was made from it', async () => {
    await using world = await FakeWorld.open();
    const made = await world.create('web');
    await assert.rejects(deleteImage(world.services, ROOT, 'default', 'busybox', false), { code: 'wrongState', message: /'web'/ });
    succeeded(await (await startInstance(world.services, ROOT, made)).done);
    await ended(deleteInstance(world.services, ROOT, world.get('web'), true));
    assert.deepEqual((await deleteImage(world.services, ROOT, 'default', 'busybox', false)).deleted, true);
    assert.equal(world.content.blobs.size, 0);
  });
});

async function importInto(world: FakeWorld, project: string): Promise<void> {
  const { bootstrapImage } = await import('../image/image.ts');
  succeeded(await (await bootstrapImage(world.services, ROOT, project, { name: 'busybox', include: [], config: {} }, undefined)).done);
}
