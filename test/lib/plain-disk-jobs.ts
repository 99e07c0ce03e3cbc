/** Disk jobs without a jail, for tests that have no root. Converts nothing: that is qemu-img's. */
import { createHash } from 'node:crypto';
import fs from 'node:fs/promises';
import { BerthError } from '../../src/model/errors.ts';
import type { DiskJobs } from '../../src/drivers/content/dir/disk-jobs.ts';

export function plainDiskJobs(): DiskJobs {
  return {
    async copy(bytes, directory, { maxBytes }, signal) {
      const hash = createHash('sha256');
      await using file = await fs.open(`/proc/self/fd/${directory.fd}/image`, 'wx', 0o600);
      let size = 0;
      for await (const chunk of bytes) {
        signal?.throwIfAborted();
        if (size + chunk.length > maxBytes) throw new BerthError('exhausted', `The disk has more than the ${maxBytes} bytes that it may have.`);
        hash.update(chunk);
        await file.write(chunk, 0, chunk.length, size);
        size += chunk.length;
      }
      return { digest: `sha256:${hash.digest('hex')}`, bytes: size };
    },
    convert: () => Promise.reject(new BerthError('unavailable', 'qemu-img is not installed.')),
  };
}
