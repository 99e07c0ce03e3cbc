import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadOrder, moduleInfo, packedKernel, unpackLz4Kernel, withoutSignature } from './kernel-image.ts';

function bzImage(payload: Buffer): Buffer {
  const image = Buffer.alloc(3 * 512 + 64 + payload.length + 4);
  image[0x1f1] = 2;
  image.write('HdrS', 0x202);
  image.writeUInt32LE(64, 0x248);
  image.writeUInt32LE(payload.length + 4, 0x24c);
  payload.copy(image, 3 * 512 + 64);
  image.writeUInt32LE(0xdeadbeef, image.length - 4);
  return image;
}

test('the payload of a bzImage is found and unpacked', () => {
  const payload = Buffer.from('02214c180400000030616263', 'hex');
  const packed = packedKernel(bzImage(payload));
  assert.equal(packed.packing, 'lz4');
  assert.equal(Buffer.concat([...unpackLz4Kernel(packed)]).toString(), 'abc');
  assert.equal(packedKernel(bzImage(Buffer.from('28b52ffd2003190000616263', 'hex'))).packing, 'zstd');
  assert.equal(packedKernel(bzImage(Buffer.from('1f8b08000000000000000000', 'hex'))).packing, 'gzip');
  assert.equal(packedKernel(bzImage(Buffer.from('fd377a585a0000000000000000', 'hex'))).packing, 'xz');
});

test('what is no bzImage, or says it is longer than it is, is refused', () => {
  assert.throws(() => packedKernel(Buffer.alloc(4096)), RangeError);
  assert.throws(() => packedKernel(bzImage(Buffer.from('425a6839000000000000000000', 'hex'))), /packed in a way/);
  const long = bzImage(Buffer.from('02214c180400000030616263', 'hex'));
  long.writeUInt32LE(0x7fffffff, 0x24c);
  assert.throws(() => packedKernel(long), RangeError);
});

test('a module tells its name and what it needs, soft needs first', () => {
  const info = Buffer.from('ELF...\0license=GPL\0softdep=pre: crc32c post: later\0depends=virtio,virtio-ring\0name=lib_x\0vermagic=6.1\0');
  assert.deepEqual(moduleInfo(info), { name: 'lib_x', depends: ['crc32c', 'virtio', 'virtio_ring'] });
  assert.deepEqual(moduleInfo(Buffer.from('\0depends=\0name=a\0')).depends, []);
  assert.throws(() => moduleInfo(Buffer.from('nothing')), RangeError);
});

test('a signature is taken off, a module without one stays as it is', () => {
  const trailer = Buffer.alloc(12);
  trailer.writeUInt32BE(5, 8);
  const magic = Buffer.from('~Module signature appended~\n');
  const signed = Buffer.concat([Buffer.from('module'), Buffer.alloc(5, 1), trailer, magic]);
  assert.equal(Buffer.from(withoutSignature(signed)).toString(), 'module');
  assert.equal(Buffer.from(withoutSignature(Buffer.from('module'))).toString(), 'module');
  trailer.writeUInt32BE(5000, 8);
  assert.throws(() => withoutSignature(Buffer.concat([Buffer.from('module'), trailer, magic])), RangeError);
});

test('modules come after what they need; what is built in has no file', () => {
  const files: Record<string, readonly string[]> = { a: ['b', 'built_in'], b: ['c'], c: ['b'], 'd_e': ['a'] };
  const order = loadOrder(['d-e', 'b'], (name) => (files[name] === undefined ? undefined : { name, depends: files[name] }));
  assert.deepEqual(order, ['c', 'b', 'a', 'd_e']);
});
