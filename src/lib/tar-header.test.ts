import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { paxRecord, sealTarHeader, tarEnd, tarEntry, tarHeader, tarPadding } from './tar-header.ts';

const text = (bytes: Uint8Array, from: number, length: number) => Buffer.from(bytes).toString('latin1', from, from + length);

describe('tarHeader', () => {
  it('lays the fields where POSIX says, with a right checksum', () => {
    const block = tarHeader({ path: 'etc/passwd', mode: 0o640, uid: 1, gid: 42, sizeBytes: 10, mtimeSeconds: 1_700_000_000 });
    assert.equal(text(block, 0, 11), 'etc/passwd\0');
    assert.equal(text(block, 100, 8), '0000640\0');
    assert.equal(text(block, 108, 8), '0000001\0');
    assert.equal(text(block, 116, 8), '0000052\0');
    assert.equal(text(block, 124, 12), '00000000012\0');
    assert.equal(text(block, 156, 1), '0');
    assert.equal(text(block, 257, 8), 'ustar\u000000');
    const sum = block.reduce((total, byte, at) => total + (at >= 148 && at < 156 ? 32 : byte), 0);
    assert.equal(parseInt(text(block, 148, 6), 8), sum);
  });

  it('writes what octal cannot hold in base 256, negative numbers included', () => {
    const large = tarHeader({ path: 'a', sizeBytes: 2 ** 40 });
    assert.equal(large[124], 0x80);
    assert.equal(Buffer.from(large).readBigUInt64BE(128), 2n ** 40n);
    assert.equal(tarHeader({ path: 'a', sizeBytes: -1 })[124], 0xff);
  });

  it('seals a block that was changed by hand', () => {
    const block = tarHeader({ path: 'a' });
    block[0] = 'b'.charCodeAt(0);
    assert.deepEqual(sealTarHeader(block), tarHeader({ path: 'b' }));
  });
});

describe('tarEntry', () => {
  it('pads content to whole blocks', () => {
    assert.equal(tarEntry({ path: 'a' }, Buffer.from('x')).length, 1024);
    assert.equal(tarEntry({ path: 'a' }, Buffer.alloc(512)).length, 1024);
    assert.equal(tarPadding(0).length, 0);
    assert.equal(tarEnd().length, 1024);
  });

  it('puts long names into an extended header', () => {
    const path = `${'d/'.repeat(60)}f`;
    assert.ok(Buffer.from(tarEntry({ path })).includes(`path=${path}\n`));
  });
});

describe('paxRecord', () => {
  it('counts its own digits', () => {
    for (const length of [1, 5, 90, 93, 94, 95, 986, 9980]) {
      const record = Buffer.from(paxRecord('k', 'v'.repeat(length))).toString();
      assert.equal(Number(record.split(' ')[0]), record.length);
    }
  });
});
