/** Read-only image files for VMs: `erofs/HEX.img`. */
import fs from 'node:fs/promises';
import type { Unpacker } from '../../unpack/driver.ts';
import type { PerImage } from './per-image-store.ts';

export function imageFile(unpacker: Unpacker): PerImage {
  return {
    what: 'the image file',
    suffix: '.img',
    make: (layers, target, stop) => unpacker.buildErofs(layers, target, stop),
    // They are sparse where the image is empty: what counts is what lies on the disk.
    bytes: async (target) => ((await fs.stat(target).catch(() => undefined))?.blocks ?? 0) * 512,
  };
}
