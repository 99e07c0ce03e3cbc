/** The raw disk of a VM: a sparse file, empty or a copy of an image's, with shared blocks where the file system has them. */
import { constants } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import { exists, syncDirectory } from '../../../host/files.ts';
import { run } from '../../../host/run.ts';
import { asBerthError, BerthError } from '../../../model/errors.ts';
import type { RootOptions } from '../driver.ts';
import { setDiskSize } from './disk-size.ts';

const COPY_TIMEOUT_MS = 6 * 3_600_000;
const TELL_EVERY_MS = 500;
const BLOCK_BYTES = 512;

/** Made once: a half-made one has another name. It is never looked at, whatever a guest wrote to it. */
export async function makeRawDisk(file: string, { from, sizeBytes }: { readonly from?: string | undefined; readonly sizeBytes: number }, options: RootOptions = {}): Promise<void> {
  if (await exists(file)) return;
  const temporary = `${file}.making`;
  await fs.rm(temporary, { force: true });
  try {
    if (from !== undefined) await copy(from, temporary, options);
    await using handle = await fs.open(temporary, from === undefined ? 'wx' : constants.O_WRONLY | constants.O_NOFOLLOW, 0o600);
    const { size } = await handle.stat();
    if (size > sizeBytes) throw new BerthError('invalid', `The disk has ${size} bytes and cannot be cut to ${sizeBytes}.`);
    await handle.chmod(0o600);
    await setDiskSize(handle, sizeBytes);
    await handle.sync();
  } catch (error) {
    await fs.rm(temporary, { force: true });
    if (options.signal?.aborted === true) throw new BerthError('wrongState', 'Making the disk was cancelled.', { cause: error });
    if (error instanceof BerthError && error.message.includes('No space left on device')) throw new BerthError('exhausted', 'There is no room for the disk on this host.', { hint: 'Delete images, volumes or instances.', cause: error });
    throw asBerthError(error, 'make the disk');
  }
  await fs.rename(temporary, file);
  await syncDirectory(path.dirname(file));
}

/** Never smaller: what a guest wrote at its end would be gone. */
export async function growRawDisk(file: string, sizeBytes: number): Promise<void> {
  try {
    await using handle = await fs.open(file, constants.O_WRONLY | constants.O_NOFOLLOW);
    const { size } = await handle.stat();
    if (size > sizeBytes) throw new BerthError('invalid', `The disk has ${size} bytes and cannot be cut to ${sizeBytes}.`);
    await setDiskSize(handle, sizeBytes);
    await handle.sync();
  } catch (error) {
    throw asBerthError(error, 'make the disk larger');
  }
}

/** By cp(1): it shares blocks where it can, keeps holes, and does not hold up the daemon. */
async function copy(from: string, to: string, { signal, onProgress }: RootOptions): Promise<void> {
  const total = ((await fs.stat(from)).blocks ?? 0) * BLOCK_BYTES;
  const tell = (): void => void fs.stat(to).then(({ blocks }) => onProgress?.({ done: Math.min(total, blocks * BLOCK_BYTES), total, unit: 'bytes', what: 'copying the disk' }), () => undefined);
  const timer = onProgress === undefined ? undefined : setInterval(tell, TELL_EVERY_MS);
  try {
    await run('cp', ['--reflink=auto', '--sparse=always', '--no-preserve=all', '--no-target-directory', '--', from, to], { timeoutMs: COPY_TIMEOUT_MS, signal });
  } finally {
    clearInterval(timer);
  }
}
