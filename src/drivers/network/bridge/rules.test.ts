import { test } from 'node:test';
import assert from 'node:assert/strict';
import { linkLocalOf } from '../../../lib/ip-address.ts';
import type { NetworkPlan, PortPlan, PublishedPort } from '../driver.ts';
import { commandsOf } from './expressions.ts';
import type { TablePlan } from './expressions.ts';
import { factKey, factValue, networkFacts, portFacts, publishedFacts } from './facts.ts';
import type { Fact } from './facts.ts';
import { hostTable } from './host-rules.ts';
import { hostNames } from './names.ts';
import { portTable, rawPortRules } from './port-rules.ts';

const names = hostNames('abc123');
const none: ReadonlySet<never> = new Set();
const lines = (table: TablePlan): string => commandsOf(table).map((command) => JSON.stringify(command)).join('\n');
const said = (facts: readonly Fact[]): string[] => facts.map((fact) => `${factKey(fact)}${fact.value === undefined ? '' : ` → ${factValue(fact)}`}`);

// Whoever changes a rule sees here what it does to all of them; `--test-update-snapshots` accepts it.
test('the rules of ports', (t) => t.assert.snapshot(lines(portTable(names, none)), { serializers: [String] }));
test('the rules of the host', (t) => t.assert.snapshot(lines(hostTable(names, none)), { serializers: [String] }));
test('the rules in the kernel’s own words', (t) => t.assert.snapshot(rawPortRules(names, none).map((rule) => `${rule.chain}: ${rule.expressions.map(({ name, data }) => `${name} ${data.toString('hex')}`).join(', ')}`).join('\n'), { serializers: [String] }));

test('every guard that may be left out stands for at least one rule', () => {
  const all = lines(portTable(names, none)) + lines(hostTable(names, none)) + rawPortRules(names, none).length;
  for (const guard of ['mac', 'arp', 'ipv4-source', 'dhcp-server', 'ethertype', 'ipv6-source', 'router-advertisement', 'neighbour-advertisement', 'hidden-neighbour-discovery', 'dhcpv6-server', 'dhcp-client', 'unasked-advertisement', 'dhcp-elsewhere', 'isolation', 'cross-network', 'host-services', 'loopback', 'metadata', 'internal', 'unpublished', 'foreign-gateway'] as const) {
    const without = new Set([guard]);
    assert.notEqual(lines(portTable(names, without)) + lines(hostTable(names, without)) + rawPortRules(names, without).length, all, guard);
  }
});

const port: PortPlan = { portId: 'aaaaaaaa', network: 'nnnnnnnnnnnn' as never, interfaceName: 'eth0', mac: '02:00:00:00:00:05', ipv4: '10.89.0.5', ipv6: 'fd00::5' };
const plan: NetworkPlan = { id: port.network, name: 'net', project: 'default', ipv4: { gateway: '10.89.0.1', prefixLength: 24 }, ipv6: { gateway: 'fd00::1', prefixLength: 64 }, isolated: true, internal: false, mtu: 1500 };

test('a port is known by its MAC, its addresses and the link-local one that follows from its MAC', () => {
  assert.deepEqual(said(portFacts(names.port(port.portId), port, true)), [
    'bridge port_mac vabc123aaaaaaaa . 02:00:00:00:00:05',
    'bridge port_ip4 vabc123aaaaaaaa . 10.89.0.5',
    'bridge port_ip6 vabc123aaaaaaaa . fd00::5',
    `bridge port_ip6 vabc123aaaaaaaa . ${linkLocalOf(port.mac)}`,
  ]);
  assert.ok(said(portFacts(names.port(port.portId), port, false)).includes('bridge open_ports vabc123aaaaaaaa'));
  assert.ok(said(portFacts(names.port(port.portId), { ...port, dhcp: true }, true)).includes('bridge asking_ports vabc123aaaaaaaa'));
});

test('an internal network has no way out, an isolated one none across', () => {
  const sets = (wish: Partial<NetworkPlan>): string[] => networkFacts('babc1231', { ...plan, ...wish }).map((fact) => fact.set).filter((set) => !set.startsWith('gateway'));
  assert.deepEqual(sets({ isolated: false }), ['open_bridge', 'egress']);
  assert.deepEqual(sets({ isolated: true }), ['egress']);
  assert.deepEqual(sets({ isolated: true, internal: true }), []);
});

test('a port on loopback is translated for nobody', () => {
  const published = (hostAddress: string): PublishedPort => ({ protocol: 'tcp', hostAddress, hostPort: 8080, targetAddress: hostAddress.includes(':') ? port.ipv6 : port.ipv4, targetPort: 80 });
  for (const address of ['127.0.0.1', '127.0.0.53', '::1']) assert.deepEqual(said(publishedFacts(published(address))), ['inet loopback tcp . 8080']);
  assert.deepEqual(said(publishedFacts(published('0.0.0.0'))), [
    'inet loopback tcp . 8080', 'inet target4 tcp . 10.89.0.5 . 80', 'inet held_anywhere4 tcp . 8080', 'inet anywhere4_address tcp . 8080 → 10.89.0.5', 'inet anywhere4_port tcp . 8080 → 80',
  ]);
  assert.deepEqual(said(publishedFacts(published('2001:db8::1'))), [
    'inet target6 tcp . fd00::5 . 80', 'inet held6 tcp . 2001:db8::1 . 8080', 'inet published6_address tcp . 2001:db8::1 . 8080 → fd00::5', 'inet published6_port tcp . 2001:db8::1 . 8080 → 80',
  ]);
});

test('names fit an interface and carry the tag; those of another root are strangers', () => {
  assert.equal(names.port('aaaaaaaa').length, 15);
  assert.equal(names.portIdOf('vabc123aaaaaaaa'), 'aaaaaaaa');
  for (const stranger of ['vabc124aaaaaaaa', 'vethabc123aaaaa', 'vabc123aaaaaaa', 'babc1231']) assert.equal(names.portIdOf(stranger), undefined);
  assert.ok(names.isBridge(names.bridge(12)));
  for (const stranger of ['babc124', 'babc123', 'br0', 'babc123x']) assert.equal(names.isBridge(stranger), false);
  assert.throws(() => names.port('../../x'), /port id/);
  assert.throws(() => hostNames('ABC'), /root tag/);
});
