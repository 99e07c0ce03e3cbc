/** Who may talk to whom: instances among each other, to the host, to the world. Each wall is tried with and without its guard. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { run } from '../../src/host/run.ts';
import type { Guard } from '../../src/drivers/network/bridge/port-rules.ts';
import { METADATA_IPV4, METADATA_IPV6 } from '../../src/drivers/network/bridge/host-rules.ts';
import { enterOwnNamespaces } from '../lib/own-namespaces.ts';
import { newId, NetworkLab } from '../lib/network-lab.ts';

enterOwnNamespaces();

/**
 * The same body with the guard in force and without it; `open` says which of the two it is. Where a second wall stands
 * behind the guard, `behind` is left out in both, so that the guard is seen lab.
 */
function withAndWithout(name: string, guard: Guard, body: (lab: NetworkLab, open: boolean) => Promise<void>, behind: readonly Guard[] = []): void {
  for (const open of [false, true]) {
    test(open ? `${name}: without the guard '${guard}' it does not hold` : name, async () => {
      await using lab = await NetworkLab.open({ guardsLeftOut: new Set(open ? [guard, ...behind] : behind) });
      await body(lab, open);
    });
  }
}

const reached = (answer: string): boolean => !answer.startsWith('no ');

for (const kind of ['veth', 'tap'] as const) {
  withAndWithout(`members of an isolated network do not reach each other (tap and ${kind})`, 'isolation', async (lab, open) => {
    const plan = await lab.network({ isolated: true });
    const [a, b] = [await lab.station(plan, 'tap'), await lab.station(plan, kind)];
    await Promise.all([b.port.ipv4, b.port.ipv6].map(async (address) => assert.equal((await lab.at(a, ['ping', '-c1', '-W1', address])).code === 0, open, address)));
    for (const gateway of [plan.ipv4.gateway, plan.ipv6.gateway]) assert.equal((await lab.at(a, ['ping', '-c1', '-W2', gateway])).code, 0);
  }, ['cross-network']);
}

withAndWithout('members of an isolated network do not reach each other by way of the gateway', 'cross-network', async (lab, open) => {
  const plan = await lab.network({ isolated: true });
  const [a, b] = [await lab.station(plan, 'veth'), await lab.station(plan, 'veth')];
  for (const [from, to] of [[a, b], [b, a]] as const) {
    await lab.at(from, ['ip', 'route', 'add', `${to.port.ipv4}/32`, 'via', plan.ipv4.gateway]);
    await lab.at(from, ['ip', '-6', 'route', 'add', `${to.port.ipv6}/128`, 'via', plan.ipv6.gateway]);
  }
  await Promise.all([b.port.ipv4, b.port.ipv6].map(async (address) => assert.equal((await lab.at(a, ['ping', '-c1', '-W1', address])).code === 0, open, address)));
});

withAndWithout('networks do not reach each other', 'cross-network', async (lab, open) => {
  const [one, two] = [await lab.network(), await lab.network()];
  const [a, b] = [await lab.station(one, 'veth'), await lab.station(two, 'tap')];
  await Promise.all([b.port.ipv4, b.port.ipv6].map(async (address) => assert.equal((await lab.at(a, ['ping', '-c1', '-W1', address])).code === 0, open, address)));
});

withAndWithout('F07: services of the host are not for instances, by any of its addresses', 'host-services', async (lab, open) => {
  const [plan, second] = [await lab.network({ isolated: true }), await lab.network()];
  const lan = await lab.neighbour();
  const a = await lab.sandbox(plan);
  for (const address of ['0.0.0.0', '::']) for (const protocol of ['tcp', 'udp'] as const) await lab.serve(undefined, protocol, address, 8443);
  const tried = [
    ...[plan.ipv4.gateway, plan.ipv6.gateway, second.ipv4.gateway, second.ipv6.gateway, lan.here4, lan.here6].map((address) => ['tcp', address] as const),
    ...[plan.ipv4.gateway, plan.ipv6.gateway].map((address) => ['udp', address] as const), // an answer from another address would not be taken
  ];
  await Promise.all(tried.map(async ([protocol, address]) => assert.equal(reached(await lab.ask(a, protocol, address, 8443)), open, `${protocol} ${address}`)));
  // The name server of another network is a service of the host too; its own hangs up on who says nothing.
  if (!open) assert.equal(await lab.ask(a, 'tcp', second.ipv4.gateway, 53), 'no ETIMEDOUT');
});

withAndWithout('F07: the host’s loopback is out of reach even where route_localnet is on', 'loopback', async (lab, open) => {
  const plan = await lab.network();
  const a = await lab.station(plan, 'veth');
  await lab.serve(undefined, 'tcp', '127.0.0.1', 2379);
  await run('sh', ['-c', 'for f in /proc/sys/net/ipv4/conf/b*/route_localnet; do echo 1 >$f; done']);
  for (const command of ['addr flush dev lo', `route add 127.0.0.0/8 via ${plan.ipv4.gateway} src ${a.port.ipv4}`]) await lab.at(a, ['ip', ...command.split(' ')]);
  await lab.at(a, ['ip', 'route', 'flush', 'table', 'local', 'dev', 'lo']);
  await lab.at(a, ['sh', '-c', 'echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet']);
  assert.equal(reached(await lab.askAt(a, 'tcp', '127.0.0.1', 2379)), open);
}, ['host-services']);

withAndWithout('F09: what is published on loopback is not for a neighbour where route_localnet is on', 'loopback', async (lab, open) => {
  const plan = await lab.network();
  const lan = await lab.neighbour();
  const server = await lab.sandbox(plan);
  await lab.serve(server, 'tcp', '0.0.0.0', 80);
  await lab.driver.publish(newId(), [{ protocol: 'tcp', hostAddress: '127.0.0.1', hostPort: 8080, targetAddress: server.ports[0]!.ipv4, targetPort: 80 }]);
  await run('sh', ['-c', 'for f in /proc/sys/net/ipv4/conf/near*/route_localnet; do echo 1 >$f; done']);
  await lan.run(['sh', '-c', `ip addr flush dev lo; ip route flush table local dev lo; ip route add 127.0.0.0/8 via ${lan.here4} src ${lan.there4}; echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet`]);
  assert.equal(reached(await lab.ask(lan, 'tcp', '127.0.0.1', 8080)), open);
});

withAndWithout('the name server of a network is not for a neighbour with a route to it', 'foreign-gateway', async (lab, open) => {
  const plan = await lab.network();
  const lan = await lab.neighbour();
  await lan.run(['ip', 'route', 'add', `${plan.ipv4.gateway}/32`, 'via', lan.here4]);
  await lan.run(['ip', '-6', 'route', 'add', `${plan.ipv6.gateway}/128`, 'via', lan.here6]);
  await lab.driver.setNames(plan.id, newId(), [{ name: 'web', addresses: ['203.0.113.5'] }]);
  await Promise.all([plan.ipv4.gateway, plan.ipv6.gateway].map(async (address) => assert.equal((await lan.run(['busybox', 'timeout', '3', 'busybox', 'nslookup', 'web', address])).stdout.includes('203.0.113.5'), open, address)));
});

withAndWithout('F08: the metadata service of a cloud is out of reach', 'metadata', async (lab, open) => {
  const plan = await lab.network();
  const lan = await lab.neighbour();
  const a = await lab.sandbox(plan);
  for (const address of METADATA_IPV4) {
    await lan.run(['ip', 'addr', 'add', `${address}/32`, 'dev', 'far']);
    await run('ip', ['route', 'add', `${address}/32`, 'via', lan.there4]);
  }
  for (const address of METADATA_IPV6) {
    await lan.run(['ip', '-6', 'addr', 'add', `${address}/128`, 'dev', 'far', 'nodad']);
    await run('ip', ['-6', 'route', 'add', `${address}/128`, 'via', lan.there6]);
  }
  await Promise.all([...METADATA_IPV4, ...METADATA_IPV6].map(async (address) => assert.equal((await lab.inside(a, ['ping', '-c1', '-W2', address])).code === 0, open, address)));
});

withAndWithout('an internal network has no way out and none in', 'internal', async (lab, open) => {
  const plan = await lab.network({ internal: true });
  const lan = await lab.neighbour();
  const other = await lab.network();
  const a = await lab.station(plan, 'veth');
  void other; // its presence turns forwarding on
  await lab.at(a, ['ip', 'route', 'add', 'default', 'via', plan.ipv4.gateway]);
  await lab.at(a, ['ip', '-6', 'route', 'add', 'default', 'via', plan.ipv6.gateway]);
  await lan.run(['ip', 'route', 'add', `${a.port.ipv4}/32`, 'via', lan.here4]);
  await lan.run(['ip', '-6', 'route', 'add', `${a.port.ipv6}/128`, 'via', lan.here6]);
  await Promise.all([lan.there4, lan.there6].map(async (address) => assert.equal((await lab.at(a, ['ping', '-c1', '-W3', address])).code === 0, open, address)));
  await assert.rejects(lab.driver.publish(newId(), [{ protocol: 'tcp', hostAddress: '0.0.0.0', hostPort: 8080, targetAddress: a.port.ipv4, targetPort: 80 }]), /internal network/);
});

test('a sandbox without ports has a loopback and nothing else', async () => {
  await using lab = await NetworkLab.open();
  const a = await lab.sandbox();
  const links = JSON.parse((await lab.inside(a, ['ip', '-j', 'link'])).stdout) as { ifname: string; flags: string[] }[];
  assert.deepEqual(links.map((link) => link.ifname), ['lo']);
  assert.ok(links[0]!.flags.includes('UP'));
});

test('an instance on two networks reaches both and leaves by the first', async () => {
  await using lab = await NetworkLab.open();
  const [one, two] = [await lab.network(), await lab.network()];
  const lan = await lab.neighbour();
  const [both, first, second] = [await lab.sandbox(one, two), await lab.sandbox(one), await lab.sandbox(two)];
  for (const peer of [first, second]) for (const address of [peer.ports[0]!.ipv4, peer.ports[0]!.ipv6]) assert.equal((await lab.inside(both, ['ping', '-c1', '-W2', address])).code, 0, address);
  for (const address of [lan.there4, lan.there6]) assert.equal((await lab.inside(both, ['ping', '-c1', '-W2', address])).code, 0, address);
});
