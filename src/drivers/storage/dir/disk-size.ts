/** The length of a disk's file. */
import type { FileHandle } from 'node:fs/promises';
import { formatBytes } from '../../../lib/bytes.ts';
import { BerthError } from '../../../model/errors.ts';

/** Gives the file its length; what holds nothing takes no room. @throws BerthError `invalid` when the file system knows no file of this size. */
export async function setDiskSize(file: Pick<FileHandle, 'truncate'>, bytes: number): Promise<void> {
  try {
    await file.truncate(bytes);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EFBIG') throw error;
    throw new BerthError('invalid', `A disk of ${formatBytes(bytes)} is larger than a file of this pool can be.`, { cause: error });
  }
}
