import assert from 'node:assert/strict';
import { it } from 'node:test';
import { networkFiles } from './network-files.ts';

const NONE = { interfaces: [], nameservers: [], searchDomains: [] };

it('names the container on all its addresses, and its resolvers', () => {
  const files = networkFiles('web', {
    interfaces: [{ name: 'eth0', mac: '02:00:00:00:00:01', mtu: 1500, gateways: [], addresses: [{ address: '10.89.0.5', prefixLength: 24 }, { address: 'fd00::5', prefixLength: 64 }] }],
    nameservers: ['10.89.0.1', 'fd00::1'], searchDomains: ['default.berth'],
  });
  assert.equal(files.hosts, '127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\nff02::1 ip6-allnodes\nff02::2 ip6-allrouters\n10.89.0.5 web\nfd00::5 web\n');
  assert.equal(files.resolver, 'search default.berth\nnameserver 10.89.0.1\nnameserver fd00::1\n');
  assert.equal(files.hostname, 'web\n');
});

it('names it on the loopback where it has no network', () => {
  assert.match(networkFiles('web', NONE).hosts, /^127\.0\.1\.1 web$/m);
  assert.equal(networkFiles('web', NONE).resolver, '');
});

it('A17: refuses what could be a line of its own', () => {
  for (const bad of ['a\nb', 'a b', '', 'a\r', '-a', '#x', 'x'.repeat(64)]) assert.throws(() => networkFiles(bad, NONE), /is not a host name/);
  assert.throws(() => networkFiles('web', { ...NONE, nameservers: ['10.0.0.1\nnameserver 6.6.6.6'] }), /is not an address/);
  assert.throws(() => networkFiles('web', { ...NONE, searchDomains: ['x\nnameserver 6.6.6.6'] }), /is not a search domain/);
});
