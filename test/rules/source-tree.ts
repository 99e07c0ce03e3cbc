/** The repository as text: what a commit of the working tree would hold, and what each file imports. */
import fs from 'node:fs';
import path from 'node:path';
import { run } from '../../src/host/run.ts';

export const HOME = path.resolve(import.meta.dirname, '../..');

export interface SourceFile {
  /** Relative to the repository, with forward slashes. */
  readonly path: string;
  readonly text: string;
}

/** A sentence a person can act on, beginning with the file's path. */
export type Violation = string;

const MAX_TEXT_BYTES = 4 * 1024 * 1024;

/** Tracked files and new ones that are not ignored. */
export async function repositoryFiles(): Promise<readonly SourceFile[]> {
  const listed = await run('git', ['-c', 'safe.directory=*', 'ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: HOME, maxOutputBytes: MAX_TEXT_BYTES });
  const paths = [...new Set(listed.stdout.split('\0'))].filter((file) => file !== '').sort();
  return paths.flatMap((file) => {
    const stat = fs.lstatSync(path.join(HOME, file), { throwIfNoEntry: false });
    if (stat === undefined || !stat.isFile() || stat.size > MAX_TEXT_BYTES) return [];
    const text = fs.readFileSync(path.join(HOME, file), 'utf8');
    // A picture: its bytes spell words by chance.
    return text.includes('\0') && file.endsWith('.png') ? [] : [{ path: file, text }];
  });
}

export function isTypeScript(file: SourceFile): boolean {
  return file.path.endsWith('.ts') || file.path.endsWith('.tsx');
}

export function isTest(file: SourceFile): boolean {
  return file.path.endsWith('.test.ts') || file.path.startsWith('test/');
}

export interface Import {
  /** As written: './x.ts', 'node:fs', 'zod'. */
  readonly specifier: string;
  readonly dynamic: boolean;
  /** Relative to the repository, for files of ours. */
  readonly target: string | undefined;
}

const STATIC = /(?:^|[;\n}])\s*(?:import|export)\s+(?:type\s+)?(?:[\w$*\s{},]+?\s+from\s*)?['"]([^'"\n]+)['"]/g;
const DYNAMIC = /\b(?:import|require)\s*\(\s*(?:['"]([^'"\n]+)['"])?/g;
const URLS = /new URL\(\s*['"](\.[^'"\n]+\.ts)['"]/g;

/** Static, type-only and dynamic imports, and files named for a worker. A computed dynamic import has the specifier '(computed)'. */
export function importsOf(file: SourceFile): readonly Import[] {
  const text = withoutComments(file.text);
  const found: Import[] = [];
  const add = (specifier: string, dynamic: boolean): void => {
    const target = specifier.startsWith('.') ? path.posix.normalize(path.posix.join(path.posix.dirname(file.path), specifier)) : undefined;
    found.push({ specifier, dynamic, target });
  };
  for (const match of text.matchAll(STATIC)) add(match[1]!, false);
  for (const match of text.matchAll(DYNAMIC)) add(match[1] ?? '(computed)', true);
  for (const match of text.matchAll(URLS)) add(match[1]!, true);
  return found;
}

/** Comments become spaces, line by line; good enough for code that the type checker has read already. */
export function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, ' ')).replace(/(^|[\s;{}(),])\/\/[^\n]*/g, '$1');
}
