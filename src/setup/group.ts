/** The group whose members may use the socket. One that was there before Berth is not ours to remove. */
import fs from 'node:fs';
import path from 'node:path';
import { run } from '../host/run.ts';
import { GROUP, INSTALL_ROOT } from './home.ts';

const MARKER = 'group-made';

export interface GroupPlace {
  readonly groupFile: string;
  /** Remembers that the group is ours. */
  readonly markerDir: string;
  add(name: string): Promise<void>;
  remove(name: string): Promise<void>;
}

export const GROUP_PLACE: GroupPlace = {
  groupFile: '/etc/group',
  markerDir: INSTALL_ROOT,
  async add(name) {
    await run('groupadd', ['--system', '--', name]);
  },
  async remove(name) {
    await run('groupdel', ['--', name], { allowFailure: true });
  },
};

function isThere(place: GroupPlace): boolean {
  return fs.readFileSync(place.groupFile, 'utf8').split('\n').some((line) => line.startsWith(`${GROUP}:`));
}

/** @returns true when it was made now. The marker comes first: a crash in between leaves a note, never a forgotten group. */
export async function ensureGroup(place: GroupPlace = GROUP_PLACE): Promise<boolean> {
  if (isThere(place)) return false;
  await fs.promises.mkdir(place.markerDir, { recursive: true });
  await fs.promises.writeFile(path.join(place.markerDir, MARKER), '');
  await place.add(GROUP);
  return true;
}

/** Only when ensureGroup made it, and only while the marker is there: before the installation goes. */
export async function removeGroup(place: GroupPlace = GROUP_PLACE): Promise<boolean> {
  if (!fs.existsSync(path.join(place.markerDir, MARKER)) || !isThere(place)) return false;
  await place.remove(GROUP);
  await fs.promises.rm(path.join(place.markerDir, MARKER), { force: true });
  return true;
}
