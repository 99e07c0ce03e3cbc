import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { objectId } from '../../model/ids.ts';
import { bootSeed } from './boot-seed.ts';
import type { UnitPlan } from './driver.ts';

const PLAN = {
  id: objectId('abcdefghijkl'), hostname: 'web',
  network: { interfaces: [], nameservers: ['10.1.0.1', 'fd00::1'], searchDomains: ['default.berth'] },
  boot: {
    users: [{ name: 'bob', uid: 1500, gecos: 'Bob', home: '', shell: '', passwordHash: '', groups: ['adm', 'sudo'], sudo: ['ALL=(ALL) ALL'], keys: ['ssh-ed25519 AAAA', 'ssh-ed25519 BBBB'] }],
    files: [{ path: '/f', mode: 0o4755, owner: 'root', group: 'adm', append: true, content: Buffer.from([0, 255, 10]) }],
    commands: [['/bin/sh', '-c', 'echo "a\0b"'.replace('\0', '')], ['true']],
  },
} as unknown as UnitPlan;

/** As native/os-boot.c reads it. */
function decode(seed: Uint8Array): Buffer[][] {
  const bytes = Buffer.from(seed);
  const records: Buffer[][] = [];
  for (let at = 0; at < bytes.length; ) {
    const count = bytes.readUInt32LE(at);
    at += 4;
    records.push(Array.from({ length: count }, () => {
      const length = bytes.readUInt32LE(at);
      const field = bytes.subarray(at + 4, at + 4 + length);
      at += 4 + length;
      return field;
    }));
  }
  return records;
}

const texts = (records: Buffer[][]): string[][] => records.map((fields) => fields.map((field) => field.toString('latin1')));

describe('the boot seed', () => {
  it('says whose system it is first, then users before the files that they own, then the resolver, then commands', () => {
    const records = texts(decode(bootSeed(PLAN)));
    assert.deepEqual(records.map(([what]) => what), ['instance', 'user', 'file', 'resolver', 'command', 'command']);
    assert.deepEqual(records[0]!.slice(1), ['abcdefghijkl', 'web', '127.0.0.1 localhost\n127.0.1.1 web.default.berth web\n::1 localhost ip6-localhost ip6-loopback\nff02::1 ip6-allnodes\nff02::2 ip6-allrouters\n']);
    assert.deepEqual(records[1]!.slice(1), ['bob', '1500', 'Bob', '', '', '', 'adm,sudo', 'bob ALL=(ALL) ALL\n', 'ssh-ed25519 AAAA\nssh-ed25519 BBBB\n']);
    assert.deepEqual(records[2]!.slice(1), ['/f', '4755', 'root', 'adm', '1', '\x00\xff\n']);
    assert.deepEqual(records[3]!.slice(1), ['search default.berth\nnameserver 10.1.0.1\nnameserver fd00::1\n', '[Resolve]\nDNS=10.1.0.1 fd00::1\nDomains=default.berth\n']);
    assert.deepEqual(records[5], ['command', 'true']);
  });

  it('is whole whatever the fields hold', () => {
    const odd = 'x\n\0\u0001ü'.repeat(50);
    const records = decode(bootSeed({ ...PLAN, boot: { users: [], files: [{ path: odd, mode: 0, owner: odd, group: odd, append: false, content: Buffer.from(odd) }], commands: [[odd]], cloud: { metaData: odd, userData: odd } } }));
    assert.deepEqual(records.map(([what]) => what!.toString()), ['instance', 'cloud', 'file', 'resolver', 'command']);
    assert.equal(records[2]![6]!.toString(), odd);
  });

  it('without networks there is no resolver to name', () => {
    assert.deepEqual(texts(decode(bootSeed({ ...PLAN, boot: undefined, network: { interfaces: [], nameservers: [], searchDomains: [] } })))[1], ['resolver', '', '[Resolve]\nDNS=\nDomains=\n']);
  });
});
