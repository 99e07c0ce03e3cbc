import assert from 'node:assert/strict';
import { test } from 'node:test';
import { commandsOf } from '../../src/drivers/network/bridge/expressions.ts';
import { hostTable } from '../../src/drivers/network/bridge/host-rules.ts';
import { hostNames } from '../../src/drivers/network/bridge/names.ts';
import { portTable } from '../../src/drivers/network/bridge/port-rules.ts';
import { Nft } from '../../src/host/nft.ts';
import { enterOwnNamespaces } from '../lib/own-namespaces.ts';
import { NetworkLab } from '../lib/network-lab.ts';
import { until } from '../lib/until.ts';

enterOwnNamespaces();

test('two sandboxes resolve through their gateway and are kept apart on an isolated network', async () => {
  await using lab = await NetworkLab.open();
  const plan = await lab.network({ isolated: true });
  const [a, b] = await Promise.all([lab.sandbox(plan), lab.sandbox(plan)]);
  await lab.driver.setNames(plan.id, 'a00000000001' as never, [{ name: 'web', addresses: [b.ports[0]!.ipv4, b.ports[0]!.ipv6] }]);
  const [server] = lab.driver.nameservers(plan.id);
  const answer = await lab.inside(a, ['busybox', 'nslookup', 'web.default.berth', server!]);
  assert.match(answer.stdout, new RegExp(b.ports[0]!.ipv4.replaceAll('.', '\\.')), answer.stdout + answer.stderr);
  assert.equal((await lab.inside(a, ['ping', '-c1', '-W1', plan.ipv4.gateway])).code, 0);
  assert.equal((await lab.inside(a, ['ping', '-c1', '-W1', plan.ipv6.gateway])).code, 0);
  assert.equal((await lab.inside(a, ['ping', '-c1', '-W1', b.ports[0]!.ipv4])).code, 1);
  assert.equal((await lab.inside(a, ['ping', '-c1', '-W1', b.ports[0]!.ipv6])).code, 1);
});

test('an address that changed hands is found at its new owner at once', async () => {
  await using lab = await NetworkLab.open();
  const plan = await lab.network({ isolated: false });
  const [a, old] = await Promise.all([lab.sandbox(plan), lab.sandbox(plan)]);
  const { ipv4, ipv6 } = old.ports[0]!;
  for (const address of [ipv4, ipv6]) assert.equal((await lab.inside(a, ['ping', '-c1', '-W1', address])).code, 0);
  await lab.driver.closeSandbox(old);
  const heir = { ...lab.port(plan), ipv4, ipv6 };
  await using _ = { sandbox: await lab.driver.openSandbox({ ports: [heir] }), async [Symbol.asyncDispose]() { await lab.driver.closeSandbox(this.sandbox); } };
  for (const address of [ipv4, ipv6]) {
    // A neighbour that is not told asks the old owner for more than eight seconds before it looks for another.
    const told = new RegExp(`^${address} .*lladdr ${heir.mac} `, 'm');
    await until(async () => told.test((await lab.inside(a, ['ip', 'neigh'])).stdout), { deadlineMs: 3_000, what: `${address} at its heir` });
    assert.equal((await lab.inside(a, ['ping', '-c1', '-W1', address])).code, 0);
  }
});

test('members of an open network reach each other', async () => {
  await using lab = await NetworkLab.open();
  const plan = await lab.network();
  const [a, b] = await Promise.all([lab.sandbox(plan), lab.sandbox(plan)]);
  // A busy host may need longer than one of them for its first answer.
  for (const { ipv4, ipv6 } of [b.ports[0]!]) for (const address of [ipv4, ipv6]) assert.equal((await lab.inside(a, ['ping', '-c3', '-i0.2', '-W3', address])).code, 0);
});

test('what an instance sends and receives is counted from its side', async () => {
  await using lab = await NetworkLab.open();
  const plan = await lab.network();
  const [a, b] = await Promise.all([lab.sandbox(plan), lab.sandbox(plan)]);
  const [ofA, ofB] = [a, b].map(({ ports }) => ports[0]!.portId) as [string, string];
  const before = await lab.driver.traffic([ofA, ofB]);
  // Larger questions than answers: an echo that b refuses to give.
  await lab.inside(b, ['sysctl', '-qw', 'net.ipv4.icmp_echo_ignore_all=1']);
  await lab.inside(a, ['ping', '-c20', '-i0.01', '-W1', '-s1000', b.ports[0]!.ipv4]);
  const after = await lab.driver.traffic([ofA, ofB]);
  const grown = (port: string, what: 'receivedBytes' | 'sentBytes'): number => after.get(port)![what] - before.get(port)![what];
  assert.ok(grown(ofA, 'sentBytes') >= 20_000 && grown(ofA, 'receivedBytes') < 10_000, JSON.stringify([...after]));
  assert.ok(grown(ofB, 'receivedBytes') >= 20_000 && grown(ofB, 'sentBytes') < 10_000, JSON.stringify([...after]));
});

test('the world sees the host’s address, in IPv4 and IPv6', async () => {
  await using lab = await NetworkLab.open();
  const plan = await lab.network({ isolated: true });
  const world = await lab.neighbour();
  const a = await lab.sandbox(plan);
  // The neighbour has no route to the bridge: only a masqueraded packet gets an answer.
  assert.equal((await lab.inside(a, ['ping', '-c1', '-W2', world.there4])).code, 0);
  assert.equal((await lab.inside(a, ['ping', '-c1', '-W2', world.there6])).code, 0);
});

test('nft accepts the rules, whichever guard is left out', async () => {
  const nft = new Nft();
  const names = hostNames('abc123');
  const guards = [undefined, 'mac', 'arp', 'ipv4-source', 'dhcp-server', 'ethertype', 'ipv6-source', 'router-advertisement', 'neighbour-advertisement', 'hidden-neighbour-discovery', 'dhcpv6-server', 'isolation', 'cross-network', 'host-services', 'loopback', 'metadata', 'internal', 'unpublished', 'foreign-gateway'] as const;
  for (const guard of guards) {
    const without = new Set(guard === undefined ? [] : [guard]);
    await nft.check([portTable(names, without), hostTable(names, without)].flatMap(commandsOf));
  }
  assert.deepEqual(await nft.tables(), [], 'a check changes nothing');
});
