/** What an archive is, told by its first bytes: its compression, and whether it holds images or is one root file system. */
import type { Compression } from '../../unpack/driver.ts';

const BLOCK = 512;

/** RFC 1952 and RFC 8878 (a zstd frame, or a skippable one in front). */
export function compressionOf(head: Uint8Array): Compression {
  if (head[0] === 0x1f && head[1] === 0x8b) return 'gzip';
  if (head[0] === 0x28 && head[1] === 0xb5 && head[2] === 0x2f && head[3] === 0xfd) return 'zstd';
  if ((head[0]! & 0xf0) === 0x50 && head[1] === 0x2a && head[2] === 0x4d && head[3] === 0x18) return 'zstd';
  return 'none';
}

const IMAGE_NAME = /^(oci-layout|index\.json|manifest\.json|repositories|blobs|blobs\/.*|[0-9a-f]{64}(\.json|\.tar|\.tar\.gz|\/.*)?)$/;

/** The first entry that has a name tells: a layout begins with blobs/ or its index, a root file system never does. */
export function holdsImages(head: Uint8Array): boolean {
  const bytes = Buffer.from(head.buffer, head.byteOffset, head.byteLength);
  for (let at = 0; at + BLOCK <= bytes.length; ) {
    const name = bytes.toString('latin1', at, at + 100).replace(/\0.*$/s, '').replace(/^(\.\/)+/, '').replace(/\/$/, '');
    const flag = bytes.toString('latin1', at + 156, at + 157);
    const size = parseInt(bytes.toString('latin1', at + 124, at + 136).replace(/\0.*$/s, ''), 8) || 0;
    if (!'xgLK'.includes(flag) && name !== '' && name !== '.') return IMAGE_NAME.test(name);
    at += BLOCK + Math.ceil(size / BLOCK) * BLOCK;
  }
  return false;
}
