/**
 * The root of a daemon: where its state lies, and its tag, from which every name on the host derives. Several roots live
 * side by side; two daemons on one root do not: the second is refused.
 */
import fs from 'node:fs/promises';
import { randomInt } from 'node:crypto';
import path from 'node:path';
import { crc32 } from 'node:zlib';
import { BerthError } from '../model/errors.ts';
import { readBounded, writeFileAtomic } from './files.ts';
import { libc, systemError } from './libc.ts';
import koffi from 'koffi';

const flock = libc('int flock(int fd, int operation)');
const LOCK_EX = 2, LOCK_NB = 4;
const TAG = /^[a-z][0-9a-z]{5}$/;
const LETTERS = 'abcdefghijklmnopqrstuvwxyz0123456789';

export interface RootDirectory extends AsyncDisposable {
  readonly rootDir: string;
  readonly runDir: string;
  /** 6 characters [0-9a-z], the first a letter; made at the first start and kept. */
  readonly tag: string;
}

export async function openRootDirectory(rootDir: string, runDir: string): Promise<RootDirectory> {
  for (const dir of [rootDir, runDir]) {
    if (!path.isAbsolute(dir) || path.normalize(dir) !== dir) throw new BerthError('invalid', `${dir} must be an absolute path without '..'.`);
  }
  await fs.mkdir(rootDir, { recursive: true, mode: 0o711 });
  await fs.mkdir(runDir, { recursive: true, mode: 0o711 });
  await fs.mkdir(path.join(rootDir, 'state'), { recursive: true, mode: 0o700 });
  const lock = await fs.open(path.join(rootDir, 'state', 'lock'), 'a', 0o600);
  if (flock(lock.fd, LOCK_EX | LOCK_NB) !== 0) {
    const error = systemError('flock', koffi.errno(), rootDir);
    await lock.close();
    throw new BerthError('busy', `Another daemon uses ${rootDir}.`, { hint: 'Stop it first (berth down), or give this one a --root of its own.', cause: error });
  }
  const tag = await readOrMakeTag(path.join(rootDir, 'state', 'tag'));
  return { rootDir, runDir, tag, [Symbol.asyncDispose]: () => lock.close() };
}

async function readOrMakeTag(file: string): Promise<string> {
  const found = await readBounded(file, 64).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (found !== undefined) {
    const [tag = '', check = ''] = found.toString('latin1').split('\n');
    // A flipped bit makes another tag of it: a root of that name would leave everything that runs to nobody.
    if (!TAG.test(tag) || (check !== '' && check !== checkOf(tag))) throw new BerthError('unavailable', `${file} is damaged: names on the host derive from it.`, { hint: 'Restore its first line, six characters: they stand in the names of its bridges (`ip link`), after `b`, and of its control groups.' });
    return tag;
  }
  const tag = Array.from({ length: 6 }, (_, index) => LETTERS[randomInt(index === 0 ? 26 : 36)]!).join('');
  await writeFileAtomic(file, `${tag}\n${checkOf(tag)}\n`);
  return tag;
}

function checkOf(tag: string): string {
  return crc32(tag).toString(16).padStart(8, '0');
}
