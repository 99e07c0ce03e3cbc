/** The files of an estate as the command line names them: files, directories (their files, not those below), or - for standard input. */
import { BerthError } from '../model/errors.ts';
import { printable } from '../model/ids.ts';
import type { Context } from './command.ts';
import { readTextFile } from './input-file.ts';

export interface EstateText {
  readonly name: string;
  readonly text: string;
}

const MAX_FILES = 1000;

export interface ReadEstate {
  readonly files: readonly EstateText[];
  /** Files that are no text, or too large: the others are answered. */
  readonly unread: readonly { readonly file: string; readonly message: string }[];
}

/** @throws BerthError `invalid` for a file that is not there: a word that was mistyped. */
export async function readEstateFiles(context: Pick<Context, 'stdio'>, words: readonly string[]): Promise<ReadEstate> {
  const names: string[] = [];
  for (const word of words) names.push(...(await filesOf(word)));
  if (names.length > MAX_FILES) throw new BerthError('invalid', `These are ${names.length} files; at most ${MAX_FILES} are read at once.`);
  const files: EstateText[] = [];
  const unread: { file: string; message: string }[] = [];
  for (const name of names) {
    try {
      files.push({ name, text: await readTextFile(name, context.stdio) });
    } catch (error) {
      // What is wrong with the content is known; what is wrong with the file itself has a cause.
      if (!(error instanceof BerthError) || error.cause !== undefined) throw error;
      unread.push({ file: name, message: `${error.message}${/\.xlsx?$/i.test(name) ? ' Export it as CSV.' : ''}` });
    }
  }
  return { files, unread };
}

async function filesOf(word: string): Promise<readonly string[]> {
  if (word === '-') return [word];
  const fs = await import('node:fs');
  const entries = await fs.promises.readdir(word, { withFileTypes: true }).catch((error: { code?: string }) => (error.code === 'ENOTDIR' || error.code === 'ENOENT' ? undefined : Promise.reject(error as Error)));
  if (entries === undefined) return [word];
  const inside = entries.filter((one) => one.isFile() && !one.name.startsWith('.') && !/^README(\.\w+)?$/i.test(one.name)).map((one) => `${word.replace(/\/$/, '')}/${one.name}`).toSorted();
  if (inside.length === 0) throw new BerthError('invalid', `There is no file in '${printable(word)}'.`);
  return inside;
}

export async function isThere(path: string): Promise<boolean> {
  if (path === '-') return true;
  const fs = await import('node:fs');
  return fs.promises.stat(path).then(() => true, () => false);
}

/** YAML or JSON of one document. @throws BerthError `invalid` with the place. */
export async function readDocument(context: Pick<Context, 'stdio'>, path: string): Promise<unknown> {
  const { parseDocument } = await import('yaml');
  const document = parseDocument(await readTextFile(path, context.stdio), { uniqueKeys: true, strict: true });
  const [problem] = document.errors;
  if (problem !== undefined) throw new BerthError('invalid', `'${printable(path)}' is no YAML or JSON: ${problem.message.split('\n')[0]!.replace(/:$/, '')}.`);
  return document.toJS({ maxAliasCount: 100 }) as unknown;
}
