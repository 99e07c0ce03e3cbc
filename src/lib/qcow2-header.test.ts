import assert from 'node:assert/strict';
import { describe, it, test } from 'node:test';
import fc from 'fast-check';
import { l1Refusal, QCOW2_HEAD_BYTES, readQcow2Header } from './qcow2-header.ts';

const GIB = 1024 ** 3;
const LIMITS = { maxVirtualBytes: 64 * GIB };
const CLUSTER = 65_536;
const FILE_BYTES = 10 * CLUSTER;

/** As `qemu-img create -f qcow2 FILE 1G` lays it out. */
function sample(version: 2 | 3 = 3): DataView {
  const view = new DataView(new ArrayBuffer(QCOW2_HEAD_BYTES));
  view.setUint32(0, 0x514649fb);
  view.setUint32(4, version);
  view.setUint32(20, 16);
  view.setBigUint64(24, BigInt(GIB));
  view.setUint32(36, 2);
  view.setBigUint64(40, BigInt(3 * CLUSTER));
  view.setBigUint64(48, BigInt(CLUSTER));
  view.setUint32(56, 1);
  if (version === 3) {
    view.setUint32(96, 4);
    view.setUint32(100, 112);
  }
  return view;
}

const bytesOf = (view: DataView): Uint8Array => new Uint8Array(view.buffer);
const ruleOf = (view: DataView, fileBytes = FILE_BYTES): string => {
  const reading = readQcow2Header(bytesOf(view), fileBytes, LIMITS);
  return 'refused' in reading ? reading.refused.rule : 'accepted';
};
const extension = (at: number, type: number, length: number) => (view: DataView): void => {
  view.setUint32(at, type);
  view.setUint32(at + 4, length);
};

test('a header of version 3, and one of version 2, is read', () => {
  for (const version of [2, 3] as const) {
    assert.deepEqual(readQcow2Header(bytesOf(sample(version)), FILE_BYTES, LIMITS), { header: { version, clusterBits: 16, virtualBytes: GIB, l1Offset: 3 * CLUSTER, l1Entries: 2 } });
  }
});

const HOSTILE: Readonly<Record<string, readonly [rule: string, change: (view: DataView) => void]>> = {
  'another magic': ['magic', (view) => view.setUint32(0, 0x514649fc)],
  'version 1': ['version', (view) => view.setUint32(4, 1)],
  'version 4': ['version', (view) => view.setUint32(4, 4)],
  'version 2^32 - 1': ['version', (view) => view.setUint32(4, 0xffff_ffff)],
  'a backing file': ['backingFile', (view) => { view.setBigUint64(8, 512n); view.setUint32(16, 11); }],
  'a backing file without a name': ['backingFile', (view) => view.setBigUint64(8, 512n)],
  'the length of a backing file without a place': ['backingFile', (view) => view.setUint32(16, 1023)],
  'a backing file at the end of all numbers': ['backingFile', (view) => view.setBigUint64(8, 2n ** 64n - 1n)],
  'clusters of 512 bytes': ['clusterBits', (view) => view.setUint32(20, 9)],
  'clusters of one byte': ['clusterBits', (view) => view.setUint32(20, 0)],
  'clusters of 4 MiB': ['clusterBits', (view) => view.setUint32(20, 22)],
  'clusters of 2^32 bits': ['clusterBits', (view) => view.setUint32(20, 0xffff_ffff)],
  'no size': ['size', (view) => view.setBigUint64(24, 0n)],
  'half a sector': ['size', (view) => view.setBigUint64(24, 513n)],
  'a disk of 100 TiB': ['size', (view) => view.setBigUint64(24, 100n * 2n ** 40n)],
  'a disk of 16 EiB': ['size', (view) => view.setBigUint64(24, 2n ** 64n - 512n)],
  'one sector more than may be': ['size', (view) => view.setBigUint64(24, BigInt(LIMITS.maxVirtualBytes + 512))],
  'AES': ['encryption', (view) => view.setUint32(32, 1)],
  'LUKS': ['encryption', (view) => view.setUint32(32, 2)],
  'one snapshot': ['snapshots', (view) => view.setUint32(60, 1)],
  'a million snapshots': ['snapshots', (view) => view.setUint32(60, 1_000_000)],
  'dirty': ['incompatibleFeatures', (view) => view.setBigUint64(72, 1n)],
  'corrupt': ['incompatibleFeatures', (view) => view.setBigUint64(72, 2n)],
  'an external data file': ['incompatibleFeatures', (view) => view.setBigUint64(72, 4n)],
  'extended L2 entries': ['incompatibleFeatures', (view) => view.setBigUint64(72, 16n)],
  'an unknown feature': ['incompatibleFeatures', (view) => view.setBigUint64(72, 32n)],
  'the last feature': ['incompatibleFeatures', (view) => view.setBigUint64(72, 2n ** 63n)],
  'a raw external file by autoclear': ['incompatibleFeatures', (view) => view.setBigUint64(88, 2n)],
  'reference counts of 128 bits': ['refcountOrder', (view) => view.setUint32(96, 7)],
  'a header of 96 bytes': ['headerLength', (view) => view.setUint32(100, 96)],
  'a header of 105 bytes': ['headerLength', (view) => view.setUint32(100, 105)],
  'a header longer than what is there': ['headerLength', (view) => view.setUint32(100, 0xffff_fff8)],
  'compression 2': ['compression', (view) => { view.setBigUint64(72, 8n); view.setUint8(104, 2); }],
  'zstd without its feature': ['compression', (view) => view.setUint8(104, 1)],
  'the feature without zstd': ['compression', (view) => view.setBigUint64(72, 8n)],
  'the format of a backing file': ['extensions', extension(112, 0xe2792aca, 3)],
  'the name of a data file': ['extensions', extension(112, 0x44415441, 11)],
  'LUKS in an extension': ['extensions', extension(112, 0x0537be77, 16)],
  'an unknown extension': ['extensions', extension(112, 0x12345678, 8)],
  'an extension longer than the header': ['extensions', extension(112, 0x6803f857, 0xffff_ffff)],
  'an extension that ends one byte behind the cluster': ['extensions', extension(112, 0x6803f857, CLUSTER - 112 - 7)],
  'extensions without end': ['extensions', (view) => { for (let at = 112; at + 8 <= CLUSTER; at += 8) extension(at, 0x6803f857, 0)(view); }],
  'a data file behind names of features': ['extensions', (view) => { extension(112, 0x6803f857, 9)(view); extension(136, 0x44415441, 8)(view); }],
  'no refcount table': ['refcountTable', (view) => view.setUint32(56, 0)],
  'a refcount table of 256 TiB': ['refcountTable', (view) => view.setUint32(56, 0xffff_ffff)],
  'a refcount table on the header': ['refcountTable', (view) => view.setBigUint64(48, 0n)],
  'a refcount table behind the end': ['refcountTable', (view) => view.setBigUint64(48, BigInt(FILE_BYTES))],
  'a refcount table at the end of all numbers': ['refcountTable', (view) => view.setBigUint64(48, 2n ** 64n - 65_536n)],
  'no L1 table': ['l1Table', (view) => view.setUint32(36, 0)],
  'an L1 table that is too short': ['l1Table', (view) => view.setUint32(36, 1)],
  'an L1 table of 32 GiB': ['l1Table', (view) => view.setUint32(36, 0xffff_ffff)],
  'an L1 table of 32 MiB and one entry': ['l1Table', (view) => view.setUint32(36, 4 * 1024 * 1024 + 1)],
  'an L1 table on the header': ['l1Table', (view) => view.setBigUint64(40, 0n)],
  'an L1 table between clusters': ['l1Table', (view) => view.setBigUint64(40, BigInt(3 * CLUSTER + 8))],
  'an L1 table that ends behind the end': ['l1Table', (view) => { view.setBigUint64(40, BigInt(9 * CLUSTER)); view.setUint32(36, CLUSTER / 8 + 1); }],
  'an L1 table at the end of all numbers': ['l1Table', (view) => view.setBigUint64(40, 2n ** 64n - 65_536n)],
};

describe('a hostile header is refused by its rule', () => {
  for (const [name, [rule, change]] of Object.entries(HOSTILE)) {
    it(name, () => {
      const view = sample();
      assert.equal(ruleOf(view), 'accepted');
      change(view);
      assert.equal(ruleOf(view), rule);
    });
  }

  it('an extension of version 2 counts as well', () => {
    const view = sample(2);
    extension(72, 0xe2792aca, 3)(view);
    assert.equal(ruleOf(view), 'extensions');
  });

  it('cut anywhere', () => {
    const whole = bytesOf(sample());
    for (const length of [0, 3, 4, 8, 71, 72, 100, 103, 104, 111, 112, 119]) {
      const reading = readQcow2Header(whole.subarray(0, length), length, LIMITS);
      assert.ok('refused' in reading, String(length));
    }
  });
});

describe('the L1 table', () => {
  const header = { version: 3, clusterBits: 16, virtualBytes: GIB, l1Offset: 3 * CLUSTER, l1Entries: 2 } as const;
  const table = (...entries: readonly bigint[]): Uint8Array => {
    const view = new DataView(new ArrayBuffer(entries.length * 8));
    for (const [index, entry] of entries.entries()) view.setBigUint64(index * 8, entry);
    return bytesOf(view);
  };

  it('leads to places inside the file, or nowhere', () => {
    assert.equal(l1Refusal(table(0n, 2n ** 63n | BigInt(4 * CLUSTER), BigInt(9 * CLUSTER)), header, FILE_BYTES), undefined);
  });

  for (const [name, entry] of Object.entries({
    'the header': 512n, 'between clusters': BigInt(4 * CLUSTER + 512), 'the end of the file': BigInt(FILE_BYTES), 'half inside': BigInt(9 * CLUSTER + CLUSTER / 2),
    'reserved bits': 2n ** 56n | BigInt(4 * CLUSTER), 'the low reserved bits': BigInt(4 * CLUSTER + 1), 'everything set': 2n ** 64n - 1n,
  })) it(`refused: ${name}`, () => assert.equal(l1Refusal(table(0n, entry), header, FILE_BYTES)?.rule, 'l1Table'));
});

test('whatever the bytes are: an answer, and one that is accepted leads nowhere else', () => {
  const offsets = [4, 8, 16, 20, 24, 32, 36, 40, 48, 56, 60, 72, 80, 88, 96, 100, 104, 112, 116, 120];
  const change = fc.record({ at: fc.constantFrom(...offsets), value: fc.oneof(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.constantFrom(0n, 1n, 3n, 8n, 16n, 65_536n, 2n ** 32n, 2n ** 63n)), wide: fc.boolean() });
  fc.assert(fc.property(fc.array(change, { maxLength: 4 }), fc.constantFrom(2 as const, 3 as const), fc.integer({ min: 0, max: 20 * CLUSTER }), (changes, version, fileBytes) => {
    const view = sample(version);
    for (const { at, value, wide } of changes) if (wide) view.setBigUint64(at, value); else view.setUint32(at, Number(value & 0xffff_ffffn));
    const reading = readQcow2Header(bytesOf(view).subarray(0, Math.min(QCOW2_HEAD_BYTES, fileBytes)), fileBytes, LIMITS);
    if ('refused' in reading) return;
    const { header } = reading;
    assert.equal(view.getBigUint64(8), 0n);
    assert.equal(view.getUint32(32), 0);
    assert.equal(view.getUint32(60), 0);
    assert.ok(header.virtualBytes > 0 && header.virtualBytes <= LIMITS.maxVirtualBytes);
    assert.ok(header.l1Offset + header.l1Entries * 8 <= fileBytes && header.l1Entries * 8 <= 32 * 1024 * 1024);
    if (header.version === 3) assert.equal(view.getBigUint64(72) & ~8n, 0n);
  }), { numRuns: 5000 });
  fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => { assert.ok('refused' in readQcow2Header(bytes, bytes.length, LIMITS)); }), { numRuns: 2000 });
});
