import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BerthError } from '../../src/model/errors.ts';
import { run } from '../../src/host/run.ts';
import { Leases } from '../../src/host/leases.ts';
import type { PublishedPort } from '../../src/drivers/network/driver.ts';
import { enterOwnNamespaces } from '../lib/own-namespaces.ts';
import { newId, NetworkLab } from '../lib/network-lab.ts';

enterOwnNamespaces();

const refusedWith = (code: string, text: RegExp) => (error: unknown) => {
  assert.ok(error instanceof BerthError, String(error));
  assert.equal(error.code, code);
  assert.match(error.message, text);
  return true;
};

test('F09: what is published on loopback answers there, for TCP and UDP, IPv4 and IPv6, and nowhere else', async () => {
  await using lab = await NetworkLab.open();
  const plan = await lab.network({ isolated: true });
  const lan = await lab.neighbour();
  const [server, other] = await Promise.all([lab.sandbox(plan), lab.sandbox(plan)]);
  const { ipv4, ipv6 } = server.ports[0]!;
  for (const protocol of ['tcp', 'udp'] as const) for (const address of ['0.0.0.0', '::']) await lab.serve(server, protocol, address, 80);
  const owner = newId();
  const ports: PublishedPort[] = (['tcp', 'udp'] as const).flatMap((protocol) => [
    { protocol, hostAddress: '127.0.0.1', hostPort: 8080, targetAddress: ipv4, targetPort: 80 },
    { protocol, hostAddress: '::1', hostPort: 8080, targetAddress: ipv6, targetPort: 80 },
  ]);
  await lab.driver.publish(owner, ports);
  for (const protocol of ['tcp', 'udp'] as const) {
    assert.equal(await lab.ask(undefined, protocol, '127.0.0.1', 8080), plan.ipv4.gateway);
    assert.equal(await lab.ask(undefined, protocol, '::1', 8080), plan.ipv6.gateway);
  }
  await Promise.all([lan, other].flatMap((place) => [lan.here4, lan.here6, plan.ipv4.gateway, plan.ipv6.gateway].map(async (address) => assert.match(await lab.ask(place, 'tcp', address, 8080), /^no /, address))));
  await lab.driver.unpublish(owner);
  assert.equal(await lab.ask(undefined, 'tcp', '127.0.0.1', 8080), 'no ECONNREFUSED');
  assert.equal(await lab.ask(undefined, 'tcp', '::1', 8080), 'no ECONNREFUSED');
});

test('what is published on all addresses answers to the world with the caller’s address, to the host and to other instances', async () => {
  await using lab = await NetworkLab.open();
  const plan = await lab.network({ isolated: true });
  const second = await lab.network();
  const lan = await lab.neighbour();
  const [server, sibling, stranger] = await Promise.all([lab.sandbox(plan), lab.sandbox(plan), lab.sandbox(second)]);
  const { ipv4, ipv6 } = server.ports[0]!;
  for (const protocol of ['tcp', 'udp'] as const) for (const address of ['0.0.0.0', '::']) await lab.serve(server, protocol, address, 80);
  const owner = newId();
  await lab.driver.publish(owner, (['tcp', 'udp'] as const).flatMap((protocol) => [
    { protocol, hostAddress: '0.0.0.0', hostPort: 8080, targetAddress: ipv4, targetPort: 80 },
    { protocol, hostAddress: '::', hostPort: 8080, targetAddress: ipv6, targetPort: 80 },
  ]));
  for (const protocol of ['tcp', 'udp'] as const) {
    assert.equal(await lab.ask(lan, protocol, lan.here4, 8080), lan.there4);
    assert.equal(await lab.ask(lan, protocol, lan.here6, 8080), lan.there6);
    for (const address of ['127.0.0.1', lan.here4, plan.ipv4.gateway]) assert.equal(await lab.ask(undefined, protocol, address, 8080), plan.ipv4.gateway);
    for (const address of ['::1', lan.here6, plan.ipv6.gateway]) assert.equal(await lab.ask(undefined, protocol, address, 8080), plan.ipv6.gateway);
    // Hairpin, also to itself.
    for (const place of [sibling, server, stranger]) {
      assert.equal(await lab.ask(place, protocol, lan.here4, 8080), plan.ipv4.gateway);
      assert.equal(await lab.ask(place, protocol, lan.here6, 8080), plan.ipv6.gateway);
      assert.equal(await lab.ask(place, protocol, plan.ipv4.gateway, 8080), plan.ipv4.gateway);
    }
  }
  await lab.driver.unpublish(owner);
  assert.match(await lab.ask(lan, 'tcp', lan.here4, 8080), /^no ECONNREFUSED/);
  assert.match(await lab.ask(sibling, 'tcp', lan.here4, 8080), /^no /);
});

test('F09: a neighbour with a route to the bridge reaches nothing, published or not', async () => {
  for (const guardLeftOut of [false, true]) {
    await using lab = await NetworkLab.open(guardLeftOut ? { guardsLeftOut: new Set(['unpublished']) } : {});
    const plan = await lab.network();
    const lan = await lab.neighbour();
    const server = await lab.sandbox(plan);
    const { ipv4, ipv6 } = server.ports[0]!;
    for (const address of ['0.0.0.0', '::']) await lab.serve(server, 'tcp', address, 80);
    await lab.driver.publish(newId(), [{ protocol: 'tcp', hostAddress: '0.0.0.0', hostPort: 8080, targetAddress: ipv4, targetPort: 80 }]);
    await lan.run(['ip', 'route', 'add', `${plan.ipv4.gateway}/32`, 'via', lan.here4]);
    await lan.run(['ip', 'route', 'add', `${ipv4}/32`, 'via', lan.here4]);
    await lan.run(['ip', '-6', 'route', 'add', `${ipv6}/128`, 'via', lan.here6]);
    const [direct4, direct6] = await Promise.all([lab.ask(lan, 'tcp', ipv4, 80), lab.ask(lan, 'tcp', ipv6, 80)]);
    assert.equal(direct4, guardLeftOut ? lan.there4 : 'no ETIMEDOUT');
    assert.equal(direct6, guardLeftOut ? lan.there6 : 'no ETIMEDOUT');
    assert.equal(await lab.ask(lan, 'tcp', lan.here4, 8080), lan.there4);
    // The network's name server is not for the neighbour either.
    assert.equal(await lab.ask(lan, 'tcp', plan.ipv4.gateway, 53), 'no ETIMEDOUT');
  }
});

test('F14: a port that somebody has is refused before anything changes', async () => {
  await using lab = await NetworkLab.open();
  const plan = await lab.network();
  const server = await lab.sandbox(plan);
  const port = (hostAddress: string, hostPort: number, protocol: 'tcp' | 'udp' = 'tcp'): PublishedPort => ({ protocol, hostAddress, hostPort, targetAddress: server.ports[0]!.ipv4, targetPort: 80 });
  const [mine, theirs] = [newId(), newId()];
  await lab.serve(undefined, 'tcp', '127.0.0.1', 8081);
  await lab.serve(undefined, 'udp', '0.0.0.0', 8082);
  await lab.serve(server, 'tcp', '0.0.0.0', 80);
  await lab.driver.publish(mine, [port('127.0.0.1', 8080)]);
  await assert.rejects(lab.driver.publish(theirs, [port('127.0.0.1', 9000), port('127.0.0.1', 8081)]), refusedWith('alreadyExists', /127\.0\.0\.1:8081\/tcp is in use by another program/));
  await assert.rejects(lab.driver.publish(theirs, [port('0.0.0.0', 8081)]), refusedWith('alreadyExists', /0\.0\.0\.0:8081\/tcp/));
  await assert.rejects(lab.driver.publish(theirs, [port('127.0.0.1', 8082, 'udp')]), refusedWith('alreadyExists', /8082\/udp/));
  await assert.rejects(lab.driver.publish(theirs, [port('0.0.0.0', 8080)]), refusedWith('alreadyExists', /8080\/tcp is in use by another instance/));
  await assert.rejects(lab.driver.publish(theirs, [port('203.0.113.9', 8090)]), refusedWith('invalid', /203\.0\.113\.9 is not an address of this host/));
  assert.equal(await lab.ask(undefined, 'tcp', '127.0.0.1', 9000), 'no ECONNREFUSED', 'the first port of the refused pair is free again');
  // A second root on the same machine sees the lease.
  const neighbours = new Leases({ leaseDir: lab.options.leaseDir, rootTag: 'other1', rootDir: lab.options.runDir });
  await assert.rejects(neighbours.changePorts([], [{ protocol: 'tcp', address: '127.0.0.1', port: 8080 }]), refusedWith('alreadyExists', /the Berth root/));
  await neighbours.changePorts([], [{ protocol: 'tcp', address: '127.0.0.1', port: 9100 }]);
  await assert.rejects(lab.driver.publish(theirs, [port('127.0.0.1', 9100)]), refusedWith('alreadyExists', /the Berth root/));
  await neighbours.forget();
  await lab.driver.publish(theirs, [port('127.0.0.1', 9100)]);
  assert.equal(await lab.ask(undefined, 'tcp', '127.0.0.1', 8080), plan.ipv4.gateway);
});

test('F14: what refuses is that somebody has it: with nobody there the same port is published', async () => {
  await using lab = await NetworkLab.open();
  const plan = await lab.network();
  const server = await lab.sandbox(plan);
  const wanted: PublishedPort[] = [{ protocol: 'tcp', hostAddress: '127.0.0.1', hostPort: 8081, targetAddress: server.ports[0]!.ipv4, targetPort: 80 }];
  const somebody = await lab.serve(undefined, 'tcp', '127.0.0.1', 8081);
  await lab.serve(server, 'tcp', '0.0.0.0', 80);
  await assert.rejects(lab.driver.publish(newId(), wanted), refusedWith('alreadyExists', /8081/));
  // 127.0.0.1 said it, not the instance: nothing was taken from who has the port.
  assert.equal(await lab.ask(undefined, 'tcp', '127.0.0.1', 8081), '127.0.0.1');
  const gone = new Promise((resolve) => somebody.once('close', resolve));
  somebody.kill('SIGKILL');
  await gone;
  await lab.driver.publish(newId(), wanted);
  assert.equal(await lab.ask(undefined, 'tcp', '127.0.0.1', 8081), plan.ipv4.gateway);
});

test('published ports answer while no daemon runs, and the next one takes them over', async () => {
  await using lab = await NetworkLab.open();
  const plan = await lab.network();
  const server = await lab.sandbox(plan);
  const lan = await lab.neighbour();
  await lab.serve(server, 'tcp', '0.0.0.0', 80);
  const owner = newId();
  const ports = ['127.0.0.1', '0.0.0.0'].map((hostAddress, i): PublishedPort => ({ protocol: 'tcp', hostAddress, hostPort: 8080 + i, targetAddress: server.ports[0]!.ipv4, targetPort: 80 }));
  await lab.driver.publish(owner, ports);
  const gone = newId();
  await lab.driver.publish(gone, [{ ...ports[0]!, hostPort: 8090 }, { ...ports[1]!, hostPort: 8091 }]);
  await lab.restart();
  assert.equal(await lab.ask(undefined, 'tcp', '127.0.0.1', 8080), plan.ipv4.gateway);
  assert.equal(await lab.ask(lan, 'tcp', lan.here4, 8081), lan.there4);
  await lab.driver.ensureNetwork(plan);
  await lab.driver.adopt(server, server.ports);
  await lab.driver.publish(owner, ports);
  assert.deepEqual((await lab.driver.reconcile()).filter((sentence) => !sentence.includes('taken out')), []);
  assert.equal(await lab.ask(undefined, 'tcp', '127.0.0.1', 8080), plan.ipv4.gateway);
  assert.equal(await lab.ask(lan, 'tcp', lan.here4, 8081), lan.there4);
  assert.equal(await lab.ask(undefined, 'tcp', '127.0.0.1', 8090), 'no ECONNREFUSED', 'what nobody claimed is taken away');
  assert.equal(await lab.ask(lan, 'tcp', lan.here4, 8091), 'no ECONNREFUSED');
});

test('a long stream through the proxy arrives whole and half-closed', async () => {
  await using lab = await NetworkLab.open();
  const plan = await lab.network();
  const server = await lab.sandbox(plan);
  await lab.serve(server, 'tcp', '::', 80);
  await lab.driver.publish(newId(), [{ protocol: 'tcp', hostAddress: '::1', hostPort: 8080, targetAddress: server.ports[0]!.ipv6, targetPort: 80 }]);
  const bytes = 64 * 1024 * 1024;
  const { stdout } = await lab.probeIn(undefined, ['pump', '::1', '8080', String(bytes)], 60_000);
  assert.equal(Number(stdout), bytes + plan.ipv6.gateway.length + 1);
});

test('a caller that keeps sending datagrams from one port reaches the new target, not the old one', async () => {
  await using lab = await NetworkLab.open();
  const plan = await lab.network();
  const lan = await lab.neighbour();
  const [one, two] = await Promise.all([lab.sandbox(plan), lab.sandbox(plan)]);
  for (const address of ['0.0.0.0', '::']) await lab.serve(two, 'udp', address, 53);
  const owner = newId();
  const to = (target: typeof one): PublishedPort[] => [
    { protocol: 'udp', hostAddress: '0.0.0.0', hostPort: 5353, targetAddress: target.ports[0]!.ipv4, targetPort: 53 },
    { protocol: 'udp', hostAddress: '::', hostPort: 5353, targetAddress: target.ports[0]!.ipv6, targetPort: 53 },
  ];
  const ask = async (address: string): Promise<string> => (await lab.probeIn(lan, ['ask', 'udp', address, '5353', '40000'])).stdout.trim();
  await lab.driver.publish(owner, to(one)); // nobody serves there
  for (const address of [lan.here4, lan.here6]) assert.match(await ask(address), /^no /);
  await lab.driver.publish(owner, to(two));
  assert.equal(await ask(lan.here4), lan.there4);
  assert.equal(await ask(lan.here6), lan.there6);
});

test('segments fit a way out that is narrower than the bridge', async () => {
  await using lab = await NetworkLab.open();
  const plan = await lab.network();
  const lan = await lab.neighbour();
  const server = await lab.sandbox(plan);
  await run('ip', ['link', 'set', 'near1', 'mtu', '1400']); // the neighbour's end stays at 1500 and knows nothing of it
  for (const address of ['0.0.0.0', '::']) await lab.serve(server, 'tcp', address, 80);
  await lab.driver.publish(newId(), [
    { protocol: 'tcp', hostAddress: '0.0.0.0', hostPort: 8080, targetAddress: server.ports[0]!.ipv4, targetPort: 80 },
    { protocol: 'tcp', hostAddress: '::', hostPort: 8080, targetAddress: server.ports[0]!.ipv6, targetPort: 80 },
  ]);
  for (const [address, headers] of [[lan.here4, 40], [lan.here6, 60]] as const) {
    const size = Number((await lab.probeIn(lan, ['mss', address, '8080'])).stdout);
    assert.ok(size > 1200 && size <= 1400 - headers, `${address}: ${size}`);
  }
});
