/**
 * Room that is kept for the start of a daemon on a full disk: what it finds must be written down. The file is given up
 * when a store cannot be opened for want of space, and made again at a later start, when there is enough.
 */
import fs from 'node:fs';

const RESERVE_BYTES = 1024 * 1024;
/** With less left, keeping some back would make things worse. */
const PLENTY_BYTES = 16 * RESERVE_BYTES;

export function reserveName(file: string): string {
  return `${file}.reserve`;
}

/** True when there was something to give up. */
export function giveUpReserve(file: string): boolean {
  try {
    fs.rmSync(reserveName(file));
    return true;
  } catch {
    return false;
  }
}

/** Never fails: without it a start on a full disk is refused, and that is all. */
export function keepReserve(file: string): void {
  const name = reserveName(file);
  try {
    if (fs.statSync(name, { throwIfNoEntry: false })?.size === RESERVE_BYTES) return;
    const { bavail, bsize } = fs.statfsSync(file);
    // Written, not truncated: a hole holds no room.
    if (bavail * bsize >= PLENTY_BYTES) fs.writeFileSync(name, Buffer.alloc(RESERVE_BYTES, 1), { mode: 0o600 });
  } catch {
    fs.rmSync(name, { force: true });
  }
}
