/** What SQLite answers (https://sqlite.org/rescode.html) in our words. */
import { BerthError } from '../../../model/errors.ts';

const BUSY = 5;
const IO_ERROR = 10;
const CORRUPT = 11;
const FULL = 13;
const CANNOT_OPEN = 14;
const NOT_A_DATABASE = 26;

/** The primary result code of an error of node:sqlite; undefined for any other error. */
function resultCode(error: unknown): number | undefined {
  const errcode = (error as { errcode?: unknown } | null)?.errcode;
  return typeof errcode === 'number' ? errcode & 0xff : undefined;
}

/** After a failed write or fsync nobody knows what the disk holds: the store must not go on. */
export function isDiskBroken(error: unknown): boolean {
  const code = resultCode(error);
  return code === IO_ERROR || code === CORRUPT || code === NOT_A_DATABASE;
}

export function corruptStore(file: string, what: string, { cause, hint }: { readonly cause?: unknown; readonly hint?: string } = {}): BerthError {
  return new BerthError('unavailable', `The store ${file} is damaged: ${what}.`, {
    hint: hint ?? 'Nothing was changed. Copy the file and those beside it, check the disk, then bring back a backup or run `berth recover`.',
    details: { reason: 'corrupt', file },
    cause,
  });
}

export function diskFull(file: string, cause: unknown): BerthError {
  return new BerthError('exhausted', `The disk that holds the store ${file} is full.`, {
    hint: 'Free some space; the store goes on by itself. What was acknowledged is safe.', details: { reason: 'diskFull', file }, cause,
  });
}

export function sqliteError(error: unknown, file: string): BerthError {
  if (error instanceof BerthError) return error;
  const said = error instanceof Error ? error.message : String(error);
  const errno = (error as { code?: unknown } | null)?.code;
  switch (errno === 'ENOSPC' || errno === 'EDQUOT' ? FULL : resultCode(error)) {
    case FULL:
      return diskFull(file, error);
    case BUSY:
      return new BerthError('busy', `Another process has the store ${file} open.`, {
        hint: 'Only one daemon may run on a root: stop the other one.', details: { reason: 'locked', file }, cause: error,
      });
    case CORRUPT:
    case NOT_A_DATABASE:
      return corruptStore(file, said, { cause: error });
    case IO_ERROR:
    case CANNOT_OPEN:
      return new BerthError('unavailable', `The store ${file} cannot be read or written: ${said}.`, {
        hint: 'Check the disk and the rights on the file, then start the daemon again.', details: { reason: 'io', file }, cause: error,
      });
    default:
      return new BerthError('internal', `The store ${file} failed: ${said}`, { details: { file }, cause: error });
  }
}
