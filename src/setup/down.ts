/** `berth down` stops the daemon and leaves instances; `down --all` removes everything that belongs to a root. */
import fs from 'node:fs';
import path from 'node:path';
import { BerthError } from '../model/errors.ts';
import { DEFAULT_PLACE, type Place } from './daemon-process.ts';
import { removeGroup } from './group.ts';
import { INSTALL_PLACE, removeInstallation } from './install-copy.ts';
import type { Progress } from './progress.ts';
import { askYes } from './question.ts';
import { isDefault, removeService, stopDaemons } from './service.ts';
import { LEASE_DIR, removeFromHost } from './teardown.ts';
import { USAGE } from './usage.ts';

export interface DownOptions {
  readonly all: boolean;
  readonly yes: boolean;
  readonly place: Place;
  /** Where the roots of this machine agree (`berth daemon --leases`). */
  readonly leaseDir: string;
}

export function parseDownArguments(words: readonly string[]): DownOptions {
  const options = { all: false, yes: false, root: DEFAULT_PLACE.root, run: DEFAULT_PLACE.run, leases: LEASE_DIR };
  for (let index = 0; index < words.length; index++) {
    const [word, inline] = words[index]!.split(/=(.*)/s) as [string, string | undefined];
    if (word === '--all') options.all = true;
    else if (word === '--yes' || word === '-y') options.yes = true;
    else if (word === '--root' || word === '--run' || word === '--leases') {
      const value = inline ?? words[++index];
      if (value === undefined || !path.isAbsolute(value)) throw new BerthError('invalid', `${word} takes an absolute path.`, { hint: USAGE.down });
      options[word.slice(2) as 'root' | 'run' | 'leases'] = path.resolve(value);
    } else throw new BerthError('invalid', `down does not know ${JSON.stringify(words[index])}.`, { hint: USAGE.down });
  }
  if ((options.root === DEFAULT_PLACE.root) !== (options.run === DEFAULT_PLACE.run)) throw new BerthError('invalid', '--root and --run belong together: give both or neither.', { hint: USAGE.down });
  return { all: options.all, yes: options.yes, place: { root: options.root, run: options.run }, leaseDir: options.leases };
}

export async function down({ all, yes, place, leaseDir }: DownOptions, progress: Progress): Promise<void> {
  if (process.getuid?.() !== 0) throw new BerthError('forbidden', 'down ends processes of root: it needs root.', { hint: 'sudo berth down' });
  if (all) refuseForeignDirectory(place);
  if (all && !yes && !(await askYes(`This removes every instance, volume, image and network of ${place.root}. Go on?`))) throw new BerthError('invalid', 'Nothing was removed.');
  const ended = await progress.step('Stopping the daemon', () => stopDaemons(place));
  if (ended === 0) progress.note('none was running');
  if (!all) {
    progress.note('instances go on; `berth up` starts a daemon that takes them over');
    return;
  }
  await progress.step(`Removing what belongs to ${place.root}`, () => removeFromHost(place, leaseDir));
  if (isDefault(place)) {
    await progress.step('Removing the installation', async () => {
      await removeService();
      await removeGroup();
      await removeInstallation(INSTALL_PLACE);
    });
  }
}

/** A slip of the hand must not remove somebody's home: only a directory that a daemon made its root, or none at all. */
export function refuseForeignDirectory({ root, run }: Place): void {
  if (path.dirname(root) === root || path.dirname(run) === run) throw new BerthError('invalid', 'The root of the file system is no root of Berth.');
  const isRoot = !fs.existsSync(root) || fs.existsSync(path.join(root, 'state')) || fs.readdirSync(root).every((name) => name.startsWith('daemon.log'));
  if (!isRoot) throw new BerthError('invalid', `${root} is not the root directory of a daemon: it has no state directory.`, { hint: 'Nothing was removed.' });
  const isRun = !fs.existsSync(run) || fs.existsSync(path.join(run, 'berth.sock')) || fs.existsSync(path.join(run, 'i')) || fs.readdirSync(run).length === 0;
  if (!isRun) throw new BerthError('invalid', `${run} is not the runtime directory of a daemon.`, { hint: 'Nothing was removed.' });
}
