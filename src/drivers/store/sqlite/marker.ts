/**
 * A small file beside the store that says that there is a store and how it was left, so that a store that vanished or
 * became empty is never taken for a new one.
 *
 * open: written after the first commit of a run, so the write-ahead log exists · closing: before the last checkpoint ·
 * clean: everything is in the main file.
 */
import { readBounded, writeFileAtomic } from '../../../host/files.ts';

export type StoreMark = 'none' | 'open' | 'closing' | 'clean';

export function markerName(file: string): string {
  return `${file}.exists`;
}

export async function readMarker(file: string): Promise<StoreMark> {
  let content: string;
  try {
    content = (await readBounded(markerName(file), 64)).toString('latin1').trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 'none';
    throw error;
  }
  // A marker that cannot be read still says that there was a store, left nobody knows how.
  return content === 'open' || content === 'clean' ? content : 'closing';
}

export async function writeMarker(file: string, mark: Exclude<StoreMark, 'none'>): Promise<void> {
  await writeFileAtomic(markerName(file), `${mark}\n`);
}
