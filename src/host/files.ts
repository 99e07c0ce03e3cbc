/** Files that survive a crash whole: temp file, fsync, rename, fsync of the directory. And bounded reads. */
import fs from 'node:fs';
import { constants } from 'node:fs';
import path from 'node:path';
import { BerthError } from '../model/errors.ts';

let counter = 0;

export async function writeFileAtomic(file: string, data: string | Uint8Array, mode = 0o600): Promise<void> {
  const temporary = `${file}.tmp-${process.pid}-${counter++}`;
  const handle = await fs.promises.open(temporary, 'wx', mode);
  try {
    try {
      await handle.writeFile(data);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await fs.promises.rename(temporary, file);
  } catch (error) {
    await fs.promises.rm(temporary, { force: true });
    throw error;
  }
  await syncDirectory(path.dirname(file));
}

export async function syncDirectory(dir: string): Promise<void> {
  const handle = await fs.promises.open(dir, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

const MIN_READ_BYTES = 4096;

/** Reads a regular file of at most `maxBytes`; never follows a symbolic link in the last component, never blocks on a FIFO. */
export async function readBounded(file: string, maxBytes: number): Promise<Buffer> {
  const handle = await fs.promises.open(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const stat = await handle.stat();
    if (!stat.isFile()) throw new BerthError('invalid', `${file} is not a regular file.`);
    if (stat.size > maxBytes) throw new BerthError('exhausted', `${file} is larger than ${maxBytes} bytes.`);
    // As large as the file says, not as it may be; files of the kernel say 0, and others may grow.
    let buffer = Buffer.allocUnsafe(Math.min(maxBytes, Math.max(stat.size, MIN_READ_BYTES)) + 1);
    let length = 0;
    for (;;) {
      if (length === buffer.length) buffer = Buffer.concat([buffer], Math.min(maxBytes + 1, buffer.length * 2));
      const { bytesRead } = await handle.read(buffer, length, buffer.length - length, null);
      length += bytesRead;
      if (bytesRead === 0) return buffer.subarray(0, length);
      if (length > maxBytes) throw new BerthError('exhausted', `${file} is larger than ${maxBytes} bytes.`);
    }
  } finally {
    await handle.close();
  }
}

export async function exists(file: string): Promise<boolean> {
  return fs.promises.lstat(file).then(() => true, (error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return false;
    throw error;
  });
}

/**
 * Removes a directory of ours at once, which as promises would take two dozen turns of the event loop for a dozen small
 * files; again and again for a while where a process that was just killed still wrote its last file into it.
 */
export async function removeDirectory(dir: string): Promise<void> {
  try {
    fs.rmSync(dir, { recursive: true, force: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOTEMPTY') throw error;
    await fs.promises.rm(dir, { recursive: true, force: true, maxRetries: 10, retryDelay: 20 });
  }
}
