/** copy-out and copy-in as native/os-copy-*.c do them, over files in memory. Directories are what paths have in common. */
import { readTar } from '../../../lib/tar-reader.ts';
import { tarEnd, tarEntry } from '../../../lib/tar-header.ts';
import type { FakeProcess } from './fake-process.ts';

export async function copyFiles(process: FakeProcess, words: readonly string[]): Promise<void> {
  const [verb] = words, path = words.at(-1)!.replace(/(?!^)\/\.?$/, '');
  const { files } = process.place;
  const fails = async (code: string, sentence: string): Promise<void> => {
    await process.write('stderr', `${code} ${sentence}\n`);
    process.exit(2);
  };
  const below = (dir: string): string[] => [...files.keys()].filter((one) => one.startsWith(dir === '/' ? '/' : `${dir}/`));
  const name = words.at(-1)!.endsWith('/.') ? '.' : /[^/]*$/.exec(path)![0] || '.';
  if (verb === 'copy-out') {
    const found = files.get(path);
    if (found === undefined && below(path).length === 0) return fails('notFound', `There is no ${path} inside.`);
    if (found !== undefined) await process.write('stdout', tarEntry({ path: name }, Buffer.from(found)));
    else await process.write('stdout', tarEntry({ path: `${name}/`, type: 'directory' }));
    if (found === undefined) for (const one of below(path)) await process.write('stdout', tarEntry({ path: `${name}${one.slice(path === '/' ? 0 : path.length)}` }, Buffer.from(files.get(one)!)));
    await process.write('stdout', tarEnd());
    return process.exit(0);
  }
  const isDirectory = path === '/' || path === '/tmp' || below(path).length > 0;
  if (words.includes('--extract') && !isDirectory) return fails('notFound', `There is no ${path} inside.`);
  let root: string | undefined;
  try {
    for await (const entry of readTar(process.input)) {
      const words_ = entry.path.split('/').filter((word) => word !== '' && word !== '.');
      if (words_.includes('..')) return await fails('invalid', 'The archive has a path with ..: nothing of that kind is taken in.');
      root ??= words_[0];
      if (entry.type !== 'file') continue;
      const parts: Uint8Array[] = [];
      for await (const part of entry.content) parts.push(part);
      files.set(isDirectory ? `${path === '/' ? '' : path}/${words_.join('/')}` : [path, ...words_.slice(1)].join('/'), Buffer.concat(parts).toString('utf8'));
    }
  } catch (error) {
    return fails('invalid', (error as Error).message);
  }
  process.exit(0);
}
