import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addressBytes, addressText, canonicalAddress, linkLocalOf, networkAddress, overlaps } from './ip-address.ts';

test('text and bytes are each other’s inverse', () => {
  for (const text of ['0.0.0.0', '10.89.0.255', '::', '::1', 'fd00:ec2::254', 'fe80::2:3ff:fe04:506', '1:2:3:4:5:6:7:8', '2001:db8::1:0:0:1']) assert.equal(addressText(addressBytes(text)), text);
});

test('other spellings have one canonical text', () => {
  assert.equal(canonicalAddress('FD00:0:0:0:0:0:0:1'), 'fd00::1');
  assert.equal(canonicalAddress('::ffff:10.0.0.1'), '::ffff:a00:1');
  assert.equal(canonicalAddress('0:0:1:0:0:0:0:0'), '0:0:1::');
});

test('what is no address is refused', () => {
  for (const text of ['', '10.0.0', '10.0.0.256', 'fe80::1%eth0', ':::', '1:2:3:4:5:6:7:8:9', '10.0.0.1/24', 'localhost']) assert.throws(() => addressBytes(text), TypeError);
});

test('prefixes overlap when one holds the other', () => {
  assert.equal(overlaps({ address: '10.89.0.0', prefixLength: 24 }, { address: '10.0.0.0', prefixLength: 8 }), true);
  assert.equal(overlaps({ address: '10.89.0.0', prefixLength: 24 }, { address: '10.89.1.0', prefixLength: 24 }), false);
  assert.equal(overlaps({ address: '10.89.0.0', prefixLength: 23 }, { address: '10.89.1.7', prefixLength: 32 }), true);
  assert.equal(overlaps({ address: '0.0.0.0', prefixLength: 0 }, { address: '::', prefixLength: 0 }), false);
  assert.equal(overlaps({ address: 'fd01::', prefixLength: 64 }, { address: 'fd01:0:0:1::', prefixLength: 64 }), false);
});

test('the network address has the host bits off', () => {
  assert.equal(networkAddress('10.89.7.200', 22), '10.89.4.0');
  assert.equal(networkAddress('fd12:3456::9', 64), 'fd12:3456::');
});

test('a link-local address follows from the MAC', () => {
  assert.equal(linkLocalOf('02:00:03:04:05:06'), 'fe80::3ff:fe04:506');
});
