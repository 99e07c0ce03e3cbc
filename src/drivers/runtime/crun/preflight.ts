/**
 * What is looked at before a root file system is handed to crun: older versions follow links of the image at /dev,
 * /dev/console, /dev/null, /proc and /sys and write, chown or mount on the host (CVE-2026-47766, -88264, -88265,
 * CVE-2019-19921). Each layer and the upper is judged by itself, so that no way of stacking them passes what one of them
 * is refused for. Nothing is ever followed: paths are walked by their components.
 */
import fs from 'node:fs';
import path from 'node:path';
import { BerthError } from '../../../model/errors.ts';
import { printable } from '../../../model/ids.ts';

type Kind = 'directory' | 'file' | 'null' | 'console' | 'ptmx';

/** What may be at each path, besides nothing and a whiteout. Parents stand before children. */
const EXPECTED: readonly (readonly [string, readonly Kind[]])[] = [
  ['dev', ['directory']], ['proc', ['directory']], ['sys', ['directory']], ['etc', ['directory']],
  // Empty files are what other engines leave behind when they mounted their own over it.
  ['dev/console', ['console', 'file']], ['dev/null', ['null']],
  ['dev/pts', ['directory']], ['dev/ptmx', ['ptmx', 'file']], ['dev/shm', ['directory']], ['dev/mqueue', ['directory']],
  ['etc/passwd', ['file']], ['etc/group', ['file']],
];

const DEVICES: Readonly<Record<'null' | 'console' | 'ptmx', readonly [number, number]>> = { null: [1, 3], console: [5, 1], ptmx: [5, 2] };

/** Layers never change: what was found good once stays so. Bounded by forgetting all. */
const MAX_REMEMBERED = 4096;

export class RootPreflight {
  readonly #good = new Set<string>();

  /** Throws `invalid` with the path and what is there. `layers` are immutable directories, `upper` is not. */
  check(layers: readonly string[], upper: string | undefined): void {
    for (const layer of layers) {
      if (this.#good.has(layer)) continue;
      checkTree(layer, 'the image');
      if (this.#good.size >= MAX_REMEMBERED) this.#good.clear();
      this.#good.add(layer);
    }
    if (upper !== undefined) checkTree(upper, 'what the instance wrote');
  }
}

function checkTree(root: string, whose: string): void {
  const refuse = (relative: string, why: string): never => {
    throw new BerthError('invalid', `/${relative} in the root file system (${whose}) ${why}.`, {
      hint: 'Berth makes /dev, /proc and /sys itself; the image must have plain directories there, or nothing.', details: { path: `/${relative}` },
    });
  };
  const top = look(root);
  if (top?.isDirectory() !== true) refuse('', 'is not a directory');
  for (const [relative, kinds] of EXPECTED) {
    // A parent that is not a directory was refused just before, or is a whiteout: there is nothing below.
    const stat = look(path.join(root, relative));
    if (stat === undefined || isWhiteout(stat)) continue;
    if (stat.isSymbolicLink()) {
      const target = fs.readlinkSync(path.join(root, relative));
      // Debian's own; resolved inside the fresh /dev, if anywhere.
      if (relative === 'dev/ptmx' && (target === 'pts/ptmx' || target === '/dev/pts/ptmx')) continue;
      refuse(relative, `is a symbolic link (to ${printable(target)})`);
    }
    if (!kinds.some((kind) => isKind(stat, kind))) refuse(relative, `is not ${kinds.map((kind) => KIND_NAMES[kind]).join(' or ')}`);
  }
}

function look(file: string): fs.Stats | undefined {
  try {
    return fs.lstatSync(file);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}

const KIND_NAMES: Readonly<Record<Kind, string>> = {
  directory: 'a directory', file: 'a regular file', null: 'the null device', console: 'the console device', ptmx: 'the terminal multiplexer',
};

function isKind(stat: fs.Stats, kind: Kind): boolean {
  if (kind === 'directory') return stat.isDirectory();
  if (kind === 'file') return stat.isFile();
  const [major, minor] = DEVICES[kind];
  return stat.isCharacterDevice() && stat.rdev === major * 256 + minor;
}

function isWhiteout(stat: fs.Stats): boolean {
  return stat.isCharacterDevice() && stat.rdev === 0;
}
