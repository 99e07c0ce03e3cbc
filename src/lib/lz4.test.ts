import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isLegacyLz4, legacyLz4Blocks } from './lz4.ts';

function frame(...blocks: readonly (readonly number[])[]): Uint8Array {
  const parts = blocks.map((block) => {
    const head = Buffer.alloc(4);
    head.writeUInt32LE(block.length);
    return Buffer.concat([head, Uint8Array.from(block)]);
  });
  return Buffer.concat([Buffer.from('02214c18', 'hex'), ...parts]);
}

const unpacked = (data: Uint8Array): string => Buffer.concat([...legacyLz4Blocks(data)]).toString();

test('literals, near and far matches, long lengths', () => {
  // "abc", then 3+4 bytes from 3 back, then "z".
  assert.equal(unpacked(frame([0x33, 97, 98, 99, 3, 0, 0x10, 122])), 'abcabcabcaz');
  // One literal repeated 1 + 15 + 4 + 255 + 10 times.
  assert.equal(unpacked(frame([0x1f, 97, 1, 0, 255, 10, 0x10, 122])), `${'a'.repeat(1 + 15 + 4 + 255 + 10)}z`);
  assert.equal(unpacked(frame([0x20, 97, 98], [0x10, 99])), 'abc');
});

test('what lz4 itself packed', () => {
  const packed = '02214c181e0000008f61626364656667680800ff261f780100ff19a0656e64206f662069740a';
  assert.equal(unpacked(Buffer.from(packed, 'hex')), `${'abcdefgh'.repeat(40)}${'x'.repeat(300)}end of it\n`);
});

test('damage is refused, never written past', () => {
  for (const block of [[0x33, 97], [0x12, 97, 2, 0, 0x10, 98], [0x12, 97, 0, 0, 0x10, 98], [0xf0], []]) {
    assert.throws(() => unpacked(frame(block)), RangeError, JSON.stringify(block));
  }
  const tooLong = [0x1f, 97, 1, 0, ...Array.from({ length: 8 * 1024 * 1024 / 255 + 10 }, () => 255), 0, 0x10, 98];
  assert.throws(() => unpacked(frame(tooLong)), RangeError);
  assert.throws(() => unpacked(Buffer.from('02214c18ff000000', 'hex')), RangeError);
  assert.ok(!isLegacyLz4(Buffer.from('04224d18', 'hex')));
});
