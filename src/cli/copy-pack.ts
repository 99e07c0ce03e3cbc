/**
 * A file or a tree of this machine as a tar archive. Below what the user named no link is followed: whoever can write
 * there (an instance in its volume) does not choose what is read.
 */
import fs from 'node:fs';
import { paxEntry, tarEnd, tarHeader, tarPadding, type TarHeader } from '../lib/tar-header.ts';
import { BerthError } from '../model/errors.ts';
import { printable } from '../model/ids.ts';
import { COPY_GUARDS, HeldDirectory, type CopyGuards } from './held-directory.ts';
import { fileError } from './input-file.ts';

export interface PackOptions {
  /** As the user wrote it; a slash or `/.` at its end as in `docker cp`. */
  readonly source: string;
  readonly followLink: boolean;
  readonly warn: (sentence: string) => Promise<void>;
  readonly guards?: CopyGuards | undefined;
}

const CHUNK_BYTES = 256 * 1024;
const { O_NONBLOCK, O_RDONLY } = fs.constants;

export async function* packCopy({ source, followLink, warn, guards = COPY_GUARDS }: PackOptions): AsyncGenerator<Uint8Array> {
  const { parent, name, called } = located(source, followLink);
  using above = HeldDirectory.open(parent, guards);
  yield* packEntry(above, name, called, warn);
  yield tarEnd();
}

/** The directory that holds it, its name there, and the name of the archive's root. */
function located(source: string, followLink: boolean): { readonly parent: string; readonly name: string; readonly called: string } {
  const whole = /(^|\/)\.$/.test(source);
  try {
    const written = source.replace(/(?!^)\/+$/, '');
    const follows = followLink || whole || written !== source || /(^|\/)\.\.$/.test(source);
    const file = follows ? fs.realpathSync(source) : written;
    if ((whole || written !== source) && !fs.statSync(file).isDirectory()) throw new BerthError('invalid', `'${printable(source)}' is not a directory.`);
    if (!follows) fs.lstatSync(file);
    const baseOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1);
    const name = baseOf(file);
    // The root of the machine is nobody's entry.
    if (name === '') throw new BerthError('invalid', 'The whole of this machine is not copied.', { hint: 'Name a directory.' });
    const cut = file.lastIndexOf('/');
    return { parent: cut < 0 ? '.' : cut === 0 ? '/' : file.slice(0, cut), name, called: whole ? '.' : /^\.{0,2}$/.test(baseOf(written)) ? name : baseOf(written) };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw new BerthError('notFound', `There is no '${printable(source)}' on this machine.`, { cause: error });
    throw fileError(error, source, 'read');
  }
}

async function* packEntry(above: HeldDirectory, name: string, path: string, warn: PackOptions['warn']): AsyncGenerator<Uint8Array> {
  const seen = above.look(name);
  if (seen === undefined) return;
  if (seen.isSymbolicLink()) yield header({ path, type: 'symlink', link: fs.readlinkSync(above.at(name)) }, seen);
  else if (seen.isDirectory()) {
    using directory = above.child(name);
    yield header({ path: `${path}/`, type: 'directory' }, fs.fstatSync(directory.fd));
    for (const one of directory.names()) yield* packEntry(directory, one, `${path}/${one}`, warn);
  } else if (seen.isFile()) yield* packFile(above, name, path);
  else await warn(`'${printable(path)}' is a device, a pipe or a socket and was left out.`);
}

async function* packFile(above: HeldDirectory, name: string, path: string): AsyncGenerator<Uint8Array> {
  const fd = above.open(name, O_RDONLY | O_NONBLOCK);
  try {
    const stat = fs.fstatSync(fd);
    if (!stat.isFile()) throw new BerthError('unavailable', `'${printable(path)}' changes while it is read.`);
    yield header({ path, sizeBytes: stat.size }, stat);
    for (let left = stat.size; left > 0;) {
      const chunk = Buffer.alloc(Math.min(CHUNK_BYTES, left));
      const length = fs.readSync(fd, chunk);
      // It became shorter, and the header has gone out.
      yield length === 0 ? chunk : chunk.subarray(0, length);
      left -= length === 0 ? chunk.length : length;
    }
    yield tarPadding(stat.size);
  } finally {
    fs.closeSync(fd);
  }
}

function header(entry: TarHeader, stat: fs.Stats): Uint8Array {
  const records: [string, string][] = [['mtime', (stat.mtimeMs / 1000).toFixed(3)]];
  if (Buffer.byteLength(entry.path as string) > 100) records.push(['path', entry.path as string]);
  if (Buffer.byteLength((entry.link ?? '') as string) > 100) records.push(['linkpath', entry.link as string]);
  return Buffer.concat([paxEntry(records), tarHeader({ ...entry, mode: stat.mode & 0o7777, uid: stat.uid, gid: stat.gid, mtimeSeconds: Math.max(0, Math.floor(stat.mtimeMs / 1000)) })]);
}
