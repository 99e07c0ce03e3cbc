/** The random name of a root directory, from which everything is named that it has on the host. Kept in the root itself. */
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { BerthError } from '../model/errors.ts';
import { writeFileAtomic } from './files.ts';

const FILE = 'tag';
const TAG = /^[0-9a-z]{6}$/;
const LETTERS = '0123456789abcdefghijklmnopqrstuvwxyz';

/** undefined: no daemon ever started here. @throws `invalid` when the file holds something else: guessing would orphan what runs. */
export function readRootTag(root: string): string | undefined {
  let text: string;
  try {
    text = fs.readFileSync(path.join(root, FILE), 'utf8').trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  if (!TAG.test(text)) throw new BerthError('invalid', `${path.join(root, FILE)} does not hold a root's tag (six characters of 0-9 and a-z).`, { hint: 'It is in the name of every interface and table of this root: `ip link`, `nft list tables`. Write it back.' });
  return text;
}

/** Reads it, or makes it durably before anything is named after it. `root` exists. */
export async function ensureRootTag(root: string): Promise<string> {
  const there = readRootTag(root);
  if (there !== undefined) return there;
  const tag = [...randomBytes(6)].map((byte) => LETTERS[byte % LETTERS.length]!).join('');
  await writeFileAtomic(path.join(root, FILE), `${tag}\n`, 0o644);
  return tag;
}
