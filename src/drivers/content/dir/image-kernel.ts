/** Kernels of images, as machines boot them: `kernels/HEX/` (host/kernel-layout.ts). */
import fs from 'node:fs/promises';
import path from 'node:path';
import { syncDirectory } from '../../../host/files.ts';
import { describeKernel, KERNEL_RELEASE, layOutKernel } from '../../../host/kernel-layout.ts';
import { removeTree } from '../../../host/remove-tree.ts';
import { BerthError } from '../../../model/errors.ts';
import type { Unpacker } from '../../unpack/driver.ts';
import type { PerImage } from './per-image-store.ts';

const MAX_NAMES = 10_000;

export function imageKernel(unpacker: Unpacker): PerImage {
  return {
    what: 'the kernel',
    suffix: '',
    async make(layers, target, stop) {
      const release = await releaseIn(unpacker, layers), work = await fs.mkdtemp(`${target}.tmp-`);
      try {
        await fs.chmod(work, 0o755);
        await describeKernel(await layOutKernel({ release, read: (file, maxBytes) => unpacker.readFile(layers, file, maxBytes) }, work));
        // Who comes after the last one has left makes it anew, and a directory cannot take the place of another.
        stop.throwIfAborted();
        await fs.rename(work, target);
        await syncDirectory(path.dirname(target));
      } finally {
        await removeTree(work);
      }
    },
    async bytes(target) {
      const files = await fs.readdir(target, { recursive: true, withFileTypes: true }).catch(() => []);
      const sizes = await Promise.all(files.filter((file) => file.isFile()).map(async (file) => (await fs.stat(path.join(file.parentPath, file.name)).catch(() => undefined))?.size ?? 0));
      return sizes.reduce((sum, bytes) => sum + bytes, 0);
    },
  };
}

async function releaseIn(unpacker: Unpacker, layers: readonly string[]): Promise<string> {
  const boot = await unpacker.listDirectory(layers, 'boot', MAX_NAMES) ?? [];
  const releases = boot.filter((name) => name.startsWith('vmlinuz-')).map((name) => name.slice('vmlinuz-'.length)).filter((name) => KERNEL_RELEASE.test(name));
  const [release, ...others] = releases.length > 0 ? releases : (await unpacker.listDirectory(layers, 'lib/modules', MAX_NAMES) ?? []).filter((name) => KERNEL_RELEASE.test(name));
  if (release === undefined) throw new BerthError('invalid', 'The image holds no kernel: there is no /boot/vmlinuz-RELEASE in it.', { hint: 'Make one of a kernel package: dpkg-deb --fsys-tarfile linux-image-….deb | berth image import - --as KERNEL' });
  if (others.length > 0) throw new BerthError('invalid', `The image holds ${others.length + 1} kernels, and it is not said which is meant: ${[release, ...others].slice(0, 10).join(', ')}.`, { hint: 'Make an image of one of them.' });
  return release;
}
