import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { assertConsistent, assertEmpty } from '../../../test/lib/consistency.ts';
import { sweepCrashes } from '../../../test/lib/crash-sweep.ts';
import { ended, FakeWorld, ROOT } from '../../../test/lib/fake-control.ts';
import { settle } from '../../../test/lib/test-clock.ts';
import type { Network } from '../../model/network.ts';
import { deleteInstance } from '../instance/delete.ts';
import { createNetwork, deleteNetwork } from './network.ts';

const inner = (world: FakeWorld): Network | undefined => world.services.registry.find<Network>('Network', 'default', 'inner');
const make = (world: FakeWorld, spec: { ipv4?: string } = {}) => ended(createNetwork(world.services, ROOT, { project: 'default', meta: { name: 'inner' }, spec: { isolated: false, internal: true, ...spec } }));
const drop = (world: FakeWorld) => ended(deleteNetwork(world.services, ROOT, inner(world)!));

describe('networks', () => {
  it('are made with a subnet of their own and go with it', async () => {
    await using world = await FakeWorld.open();
    await make(world, { ipv4: '10.40.7.0/24' });
    assert.deepEqual([inner(world)!.status.state, inner(world)!.status.ipv4], ['ready', { gateway: '10.40.7.1', prefixLength: 24 }]);
    assert.equal(world.network.bridges.size, 2);
    await drop(world);
    assert.deepEqual([world.network.bridges.size, world.network.subnets.size, inner(world)], [1, 1, undefined]);
  });

  it('a name or subnet that is taken is refused, and leases nothing', async () => {
    await using world = await FakeWorld.open();
    await make(world);
    const leased = [...world.network.subnets];
    await assert.rejects(make(world), { code: 'alreadyExists' });
    await assert.rejects(ended(createNetwork(world.services, ROOT, { project: 'default', meta: { name: 'two' }, spec: { isolated: false, internal: false, ipv4: '10.90.1.0/24' } })), { code: 'alreadyExists' });
    await assert.rejects(ended(createNetwork(world.services, ROOT, { project: 'default', meta: { name: 'two' }, spec: { isolated: false, internal: false, ipv4: '999.1.1.0/24' } })), { code: 'invalid' });
    await assert.rejects(ended(createNetwork(world.services, ROOT, { project: 'default', meta: {}, spec: { isolated: false, internal: false } })), { code: 'invalid' });
    assert.deepEqual([...world.network.subnets], leased);
  });

  it('of many makers of one name one wins, and the others’ subnets are free again', async () => {
    await using world = await FakeWorld.open();
    const results = await Promise.allSettled(Array.from({ length: 20 }, () => make(world)));
    assert.equal(results.filter((result) => result.status === 'fulfilled').length, 1);
    await settle();
    assert.equal(world.network.subnets.size, 2);
    await assertConsistent(world);
  });

  it('the default network stays; one that is used stays', async () => {
    await using world = await FakeWorld.open();
    await assert.rejects(ended(deleteNetwork(world.services, ROOT, world.services.registry.get<Network>('Network', 'default', 'default'))), { code: 'unsupported' });
    await make(world);
    await world.create('web', { networks: [{ name: 'inner' }] });
    await assert.rejects(drop(world), { code: 'wrongState', message: /'web'/ });
    await ended(deleteInstance(world.services, ROOT, world.get('web'), false));
    await drop(world);
  });

  it('are there again after a restart, and the pool is filled', async () => {
    await using world = await FakeWorld.open();
    await make(world);
    world.network.bridges.clear();
    await world.reopen();
    await settle();
    assert.equal(world.network.bridges.size, 2);
    assert.equal(world.services.pool.portIds().length, 8);
  });

  it('killed at every call of create and delete: there or not, and nothing leased without a network', async () => {
    const expectWhole = (world: FakeWorld): void => {
      const state = inner(world)?.status.state;
      assert.ok(state === undefined || state === 'ready', String(state));
      assert.deepEqual(world.network.bridges.size, state === undefined ? 1 : 2);
    };
    await sweepCrashes({ name: 'network.create', run: make, expect: expectWhole, retry: async (world) => (inner(world) === undefined ? make(world) : undefined) });
    await sweepCrashes({ name: 'network.delete', async prepare(world) { await make(world); }, run: drop, expect: expectWhole, retry: async (world) => (inner(world) === undefined ? undefined : drop(world)) });
  });
});

describe('addresses', () => {
  it('are unique on a network, kept over stop and restart, and not reused at once', async () => {
    await using world = await FakeWorld.open();
    const seen = new Set<string>();
    for (let i = 0; i < 50; i++) {
      const made = await world.create('web');
      const { ipv4, ipv6 } = made.status.ports[0]!;
      assert.equal(seen.has(ipv4), false);
      seen.add(ipv4);
      assert.ok(ipv6.endsWith(`::${Number(ipv4.split('.')[3]).toString(16)}`));
      await ended(deleteInstance(world.services, ROOT, made, false));
    }
    await assertEmpty(world);
  });

  it('are not reused at once after a restart of the daemon either', async () => {
    await using world = await FakeWorld.open();
    const [first, second] = [await world.create('first'), await world.create('second')];
    await ended(deleteInstance(world.services, ROOT, first, false));
    await world.reopen();
    const next = await world.create('next');
    assert.notEqual(next.status.ports[0]!.ipv4, first.status.ports[0]!.ipv4);
    assert.notEqual(next.status.ports[0]!.ipv4, second.status.ports[0]!.ipv4);
  });

  it('run out with a sentence, and come back', async () => {
    await using world = await FakeWorld.open();
    await make(world);
    const all = await Promise.all(Array.from({ length: 253 }, (_, i) => world.create(`web${i}`, { networks: [{ name: 'inner' }] })));
    assert.equal(new Set(all.map((one) => one.status.ports[0]!.ipv4)).size, 253);
    await assert.rejects(world.create('more', { networks: [{ name: 'inner' }] }), { code: 'exhausted', message: "Network 'inner' has no free address left.", hint: /Delete instances/ });
    await ended(deleteInstance(world.services, ROOT, all[100]!, false));
    assert.equal((await world.create('more', { networks: [{ name: 'inner' }] })).status.ports[0]!.ipv4, all[100]!.status.ports[0]!.ipv4);
    await assertConsistent(world);
  });

  it('may be chosen, once', async () => {
    await using world = await FakeWorld.open();
    await make(world);
    const gateway = inner(world)!.status.ipv4.gateway;
    const wanted = gateway.replace(/\.1$/, '.77');
    const spec = { networks: [{ name: 'inner', ipv4: wanted }] };
    const results = await Promise.allSettled(Array.from({ length: 10 }, (_, i) => world.create(`web${i}`, spec)));
    assert.equal(results.filter((result) => result.status === 'fulfilled').length, 1);
    for (const result of results) if (result.status === 'rejected') assert.equal((result.reason as { code: string }).code, 'alreadyExists');
    for (const wrong of [gateway, gateway.replace(/\.1$/, '.0'), gateway.replace(/\.1$/, '.255'), '10.1.1.1', '1.2.3']) await assert.rejects(world.create('other', { networks: [{ name: 'inner', ipv4: wrong }] }), { code: 'invalid' });
    await settle();
    await assertConsistent(world);
  });

  it('are never given twice, also when the next daemon begins to count anew', async () => {
    await using world = await FakeWorld.open();
    const seen = new Set<string>();
    for (let round = 0; round < 4; round++) {
      for (let i = 0; i < 5; i++) seen.add((await world.run(`web${round}${i}`)).status.ports[0]!.ipv4);
      await world.reopen();
      await settle();
    }
    assert.equal(seen.size, 20);
    await assertConsistent(world);
  });
});

describe('published ports', () => {
  const bound = (world: FakeWorld, name: string) => world.get(name).status.published.map((port) => `${port.hostAddress} ${port.hostPort}/${port.protocol}>${port.targetPort}`);

  it('bind to loopback of both families, unless an address is given', async () => {
    await using world = await FakeWorld.open();
    await world.run('web', { ports: [{ hostPort: 8080, targetPort: 80 }, { hostPort: 53, targetPort: 53, protocol: 'udp', hostAddress: '0.0.0.0' }] });
    assert.deepEqual(bound(world, 'web'), ['127.0.0.1 8080/tcp>80', '::1 8080/tcp>80', '0.0.0.0 53/udp>53']);
    const { ipv4, ipv6 } = world.get('web').status.ports[0]!;
    assert.deepEqual(world.network.published.get(world.get('web').meta.id as never)!.map((port) => port.targetAddress), [ipv4, ipv6, ipv4]);
    await assertConsistent(world);
  });

  it('get a free port when they name none, another for each', async () => {
    await using world = await FakeWorld.open();
    const ports = new Set<number>();
    for (let i = 0; i < 20; i++) for (const port of (await world.create(`web${i}`, { ports: [{ targetPort: 80 }, { targetPort: 81 }] })).status.published) ports.add(port.hostPort);
    assert.equal(ports.size, 40);
    for (const port of ports) assert.ok(port >= 20_000 && port < 30_000);
  });

  for (const [what, first, second, clashes] of [
    ['the same port', {}, {}, true],
    ['another protocol', {}, { protocol: 'udp' }, false],
    ['another address', { hostAddress: '127.0.0.1' }, { hostAddress: '127.0.0.2' }, false],
    ['the wildcard after an address', { hostAddress: '127.0.0.1' }, { hostAddress: '0.0.0.0' }, true],
    ['an address after the wildcard', { hostAddress: '0.0.0.0' }, { hostAddress: '127.0.0.1' }, true],
    ['the wildcard of the other family', { hostAddress: '0.0.0.0' }, { hostAddress: '::' }, false],
    ['one address in two spellings', { hostAddress: '::1' }, { hostAddress: '0:0:0:0:0:0:0:1' }, true],
    ['the wildcard in another spelling', { hostAddress: '::1' }, { hostAddress: '0:0::0' }, true],
  ] as const) {
    it(`${what}: ${clashes ? 'taken' : 'free'}`, async () => {
      await using world = await FakeWorld.open();
      const spec = (wish: object) => ({ ports: [{ hostPort: 8080, targetPort: 80, ...wish }] });
      const one = await world.create('one', spec(first));
      const two = world.create('two', spec(second));
      if (!clashes) return void await two;
      await assert.rejects(two, { code: 'alreadyExists', message: /8080\/tcp.*published by another instance/, hint: /leave it out/ });
      await ended(deleteInstance(world.services, ROOT, one, false));
      await assert.rejects(world.create('both', { ports: [...spec(first).ports, ...spec(second).ports] }), { code: 'invalid', message: /twice/ });
      const both = await Promise.allSettled([world.create('one', spec(first)), world.create('two', spec(second))]);
      assert.deepEqual(both.map((result) => result.status).toSorted(), ['fulfilled', 'rejected'], 'at the same moment');
    });
  }

  it('an address that is none is refused as a field', async () => {
    await using world = await FakeWorld.open();
    for (const hostAddress of ['999.1.1.1', '....', ':::', '1.2.3.4.5', '::1::', '1']) {
      await assert.rejects(async () => world.create('web', { ports: [{ hostPort: 8080, targetPort: 80, hostAddress }] }), { code: 'invalid' });
    }
  });

  it('a port that somebody else on the host has fails the start with that sentence, and nothing stays', async () => {
    await using world = await FakeWorld.open();
    world.network.foreign.add('tcp/8080');
    await assert.rejects(world.run('web', { ports: [{ hostPort: 8080, targetPort: 80 }] }), { code: 'alreadyExists', message: /listens on 127.0.0.1:8080/ });
    await settle();
    await assertEmpty(world);
  });

  it('of many that want one port at once, one gets it', async () => {
    await using world = await FakeWorld.open();
    const results = await Promise.allSettled(Array.from({ length: 30 }, (_, i) => world.run(`web${i}`, { ports: [{ hostPort: 8080, targetPort: 80 }] })));
    assert.equal(results.filter((result) => result.status === 'fulfilled').length, 1);
    await settle();
    await assertConsistent(world);
  });

  it('many ports are either all published or refused with a reason', async () => {
    await using world = await FakeWorld.open();
    const many = (count: number) => ({ ports: Array.from({ length: count }, (_, i) => ({ targetPort: i + 1 })) });
    assert.equal((await world.run('web', many(24))).status.published.length, 48);
    await assert.rejects(world.run('more', many(25)), { code: 'unsupported', message: /50 published ports/ });
    await ended(deleteInstance(world.services, ROOT, world.get('web'), true));
    await assertEmpty(world);
  });
});
