import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addressClass, type AddressClass } from './address-class.ts';

const CASES: Readonly<Record<AddressClass, readonly string[]>> = {
  public: ['1.1.1.1', '172.15.255.255', '172.32.0.1', '100.128.0.1', '2606:4700::1111', '::ffff:8.8.8.8', '64:ff9b::808:808', '2002:808:808::1'],
  private: ['10.0.0.1', '172.16.0.1', '172.31.255.255', '192.168.1.1', '100.64.0.1', 'fd00::1', 'fc00::1', 'fec0::1', '::ffff:10.0.0.1', '64:ff9b::a00:1', '64:ff9b:1::a00:1', '2002:a00:1::1'],
  loopback: ['127.0.0.1', '127.255.255.254', '::1', '::ffff:127.0.0.1', '64:ff9b::7f00:1', '2002:7f00:1::', '::127.0.0.1'],
  local: ['169.254.169.254', '169.254.0.1', 'fe80::1', 'febf::1', '::ffff:169.254.169.254'],
  reserved: ['0.0.0.0', '0.1.2.3', '192.0.0.1', '192.0.2.1', '198.18.0.1', '224.0.0.1', '240.0.0.1', '255.255.255.255', '::', 'ff02::1', '2001:db8::1', '2001::1', '4000::1', '::2'],
};

for (const [kind, addresses] of Object.entries(CASES)) {
  test(`${kind}: ${addresses.join(' ')}`, () => { for (const one of addresses) assert.equal(addressClass(one), kind, one); });
}

test('what is no address is none', () => { for (const text of ['', 'localhost', '127.1', '0x7f000001', 'fe80::1%eth0']) assert.throws(() => addressClass(text), TypeError, text); });
