/** A microVM on a bridge network, beside a container's sandbox, in a network namespace of the test's own. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { InterfacePlan } from '../../src/drivers/runtime/driver.ts';
import { Links } from '../../src/host/links.ts';
import { logText } from '../lib/crun-bench.ts';
import { NetworkLab } from '../lib/network-lab.ts';
import { enterOwnNamespaces } from '../lib/own-namespaces.ts';
import { openQemuBench } from '../lib/qemu-bench.ts';
import { until } from '../lib/until.ts';

enterOwnNamespaces();

test('a microVM reaches its gateway, its neighbour and its name server, under its own address only, and is reached', async () => {
  await using lab = await NetworkLab.open();
  await using bench = await openQemuBench();
  const network = await lab.network();
  const neighbour = await lab.sandbox(network);
  const port = lab.port(network);
  // Somebody had the machine's addresses before, and the neighbour remembers him.
  const before = await lab.driver.openSandbox({ ports: [{ ...lab.port(network), ipv4: port.ipv4, ipv6: port.ipv6 }] });
  for (const address of [port.ipv4, port.ipv6]) assert.equal((await lab.inside(neighbour, ['ping', '-c1', '-W2', address])).code, 0, address);
  await lab.driver.closeSandbox(before);
  const eth0: InterfacePlan = {
    name: 'eth0', mac: port.mac, mtu: 1400, tap: await lab.driver.prepareTap(port),
    addresses: [{ address: port.ipv4, prefixLength: network.ipv4.prefixLength }, { address: port.ipv6, prefixLength: network.ipv6.prefixLength }],
    gateways: [network.ipv4.gateway, network.ipv6.gateway],
  };
  const plan = bench.plan(['sh', '-c', 'ip addr show eth0; ip route; ip -6 route; cat /etc/hosts /etc/resolv.conf; hostname; echo ready; sleep 1000'], {
    capabilities: ['NET_ADMIN', 'NET_RAW'],
    network: { interfaces: [eth0], nameservers: lab.driver.nameservers(network.id), searchDomains: ['default.berth'] },
  });
  await lab.driver.setNames(network.id, plan.id, [{ name: 'neighbour', addresses: [neighbour.ports[0]!.ipv4] }]);
  await bench.driver.create(plan);
  await bench.driver.start(plan.id);
  const log = await until(async () => {
    const { stdout } = logText(await bench.driver.logFiles(plan.id));
    return stdout.includes('ready\n') ? stdout : undefined;
  }, { what: 'the workload', deadlineMs: 30_000 });
  for (const expected of [`link/ether ${port.mac}`, 'mtu 1400', `inet ${port.ipv4}/${network.ipv4.prefixLength}`, `inet6 ${port.ipv6}/64`, `default via ${network.ipv4.gateway}`, `default via ${network.ipv6.gateway}`, `${port.ipv4}\tinside`, 'search default.berth', `nameserver ${lab.driver.nameservers(network.id)[0]}`]) {
    assert.ok(log.includes(expected), `${expected}\n${log}`);
  }
  for (const address of [port.ipv4, port.ipv6]) {
    const told = new RegExp(`^${address} .*lladdr ${port.mac} `, 'm');
    await until(async () => told.test((await lab.inside(neighbour, ['ip', 'neigh'])).stdout), { deadlineMs: 3_000, what: `${address} at the machine` });
  }
  const ping = async (...args: readonly string[]): Promise<number> => (await bench.exec(plan.id, ['ping', '-c1', '-W2', ...args], { capabilities: ['NET_RAW'] })).exitCode;
  for (const address of [network.ipv4.gateway, network.ipv6.gateway, neighbour.ports[0]!.ipv4, neighbour.ports[0]!.ipv6, 'neighbour']) assert.equal(await ping(address), 0, address);
  for (const address of [port.ipv4, port.ipv6]) assert.equal((await lab.inside(neighbour, ['ping', '-c1', '-W2', address])).code, 0, address);

  // The rules that hold for a container's port hold for this one: another source address gets nowhere.
  const stranger = port.ipv4.replace(/\d+$/, '222');
  assert.equal((await bench.exec(plan.id, ['ip', 'addr', 'add', `${stranger}/32`, 'dev', 'eth0'], { capabilities: ['NET_ADMIN'] })).exitCode, 0);
  assert.equal(await ping('-I', stranger, network.ipv4.gateway), 1);
  assert.equal(await ping(network.ipv4.gateway), 0);

  await bench.driver.remove(plan.id, { keepLog: false });
  await lab.driver.release(undefined, [port]);
  using links = new Links();
  assert.ok(!(await links.list()).some((link) => link.name === eth0.tap!.name), 'the tap went with its machine');
});
