import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NetworkPlan } from '../driver.ts';
import { configuration, hostsFile, reservation, reverseZone } from './name-server.ts';

const plan: NetworkPlan = { id: 'nnnnnnnnnnnn' as never, name: 'net', project: 'shop', ipv4: { gateway: '10.89.0.1', prefixLength: 24 }, ipv6: { gateway: 'fd00:1::1', prefixLength: 64 }, isolated: true, internal: false, mtu: 1500 };
const options = { dir: '/run/berth/networks/nnnnnnnnnnnn', program: 'dnsmasq', resolvConf: '/etc/resolv.conf', user: 'nobody' };

test('the configuration of a network with a way out, and of one without', (t) => {
  t.assert.snapshot(configuration(plan, 'babc1231', options), { serializers: [String] });
  const internal = configuration({ ...plan, internal: true }, 'babc1231', options);
  assert.match(internal, /^no-resolv$/m);
  assert.doesNotMatch(internal, /resolv-file/);
});

test('a reservation names one MAC, and whose lease it may take over', () => {
  const port = { mac: '02:00:00:00:00:0A', ipv4: '10.89.0.5', ipv6: 'FD00:1:0::5' };
  assert.equal(reservation(port, undefined), '02:00:00:00:00:0a,10.89.0.5,[fd00:1::5]\n');
  assert.equal(reservation(port, '02:00:00:00:00:0a'), '02:00:00:00:00:0a,10.89.0.5,[fd00:1::5]\n');
  assert.equal(reservation(port, '02:00:00:00:00:0b'), '02:00:00:00:00:0a,02:00:00:00:00:0b,10.89.0.5,[fd00:1::5]\n');
  assert.throws(() => reservation({ ...port, mac: '02:00,set:x' }, undefined), { code: 'invalid' });
});

test('reverse zones are cut at whole labels', () => {
  assert.equal(reverseZone('10.89.0.1', 24), '0.89.10.in-addr.arpa');
  assert.equal(reverseZone('10.89.0.1', 20), '89.10.in-addr.arpa');
  assert.equal(reverseZone('fd00:1::1', 64), '0.0.0.0.0.0.0.0.1.0.0.0.0.0.d.f.ip6.arpa');
});

test('a line of hosts has the canonical address and the full name first', () => {
  assert.equal(hostsFile([{ name: 'web', addresses: ['10.89.0.5', 'FD00:1:0::5'] }], 'shop.berth'), '10.89.0.5 web.shop.berth web\nfd00:1::5 web.shop.berth web\n');
});

test('what could be two lines, or another name, is refused', () => {
  for (const name of ['', 'a.b', 'a b', 'a\n10.0.0.1 gateway', 'münchen', '-a', 'a'.repeat(64), 'WEB']) assert.throws(() => hostsFile([{ name, addresses: ['10.0.0.1'] }], 'shop.berth'), { code: 'invalid' });
  for (const address of ['', 'web', '10.0.0.1\n', '10.0.0.1 x', 'fe80::1%eth0']) assert.throws(() => hostsFile([{ name: 'web', addresses: [address] }], 'shop.berth'), TypeError);
});

test('the host’s null device is not given to the name server’s user', () => {
  const text = configuration(plan, 'bt0', { dir: '/run/x', resolvConf: '/etc/resolv.conf', user: 'dnsmasq' } as never);
  assert.match(text, /^log-facility=\/run\/x\/log$/m);
  assert.doesNotMatch(text, /\/dev\//);
});
