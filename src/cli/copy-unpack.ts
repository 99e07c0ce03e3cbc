/**
 * Writes an archive that an instance made to this machine. It is hostile: nothing of it lands outside of the place that
 * the user named, no link is followed, no device is made, no set-user-id bit is set, and it has bounds.
 */
import fs from 'node:fs';
import { readTar, TarError, type TarReadEntry } from '../lib/tar-reader.ts';
import { formatBytes } from '../lib/bytes.ts';
import { BerthError } from '../model/errors.ts';
import { printable } from '../model/ids.ts';
import { COPY_GUARDS, HeldDirectory, type CopyGuards } from './held-directory.ts';

export interface UnpackOptions {
  /** What the archive's root must be called; `.`: its entries have no common root. */
  readonly root: string;
  /** Where it goes, as the user wrote it. */
  readonly destination: string;
  /** Owners of the archive, for who may give files away. */
  readonly owners: boolean;
  readonly maxBytes: number;
  readonly warn: (sentence: string) => Promise<void>;
  readonly guards?: CopyGuards | undefined;
}

const MAX_ENTRIES = 1_000_000, MAX_DEPTH = 300;
const { O_CREAT, O_EXCL, O_WRONLY, O_RDONLY, O_DIRECTORY } = fs.constants;

interface Place {
  readonly base: HeldDirectory;
  /** Names below `base` that stand for the archive's root. */
  readonly prefix: readonly string[];
}

/** Errors: `invalid` for what is refused, `exhausted` beyond the bounds, `unavailable` when it ends too early. */
export async function unpackCopy(archive: AsyncIterable<Uint8Array>, options: UnpackOptions): Promise<void> {
  let writer: CopyWriter | undefined;
  try {
    for await (const entry of readTar(archive, { maxEntries: MAX_ENTRIES, whole: true })) {
      writer ??= new CopyWriter(choosePlace(options, entry), options);
      await writer.take(entry);
    }
    if (writer === undefined) throw new BerthError('unavailable', 'The instance sent an empty archive.');
    writer.finish();
  } catch (error) {
    throw error instanceof TarError ? new BerthError('invalid', `The instance sent no good archive: ${error.message}`, { cause: error }) : error;
  } finally {
    writer?.[Symbol.dispose]();
  }
}

/** The rules of `docker cp` for a place on this machine. */
function choosePlace({ root, destination, guards = COPY_GUARDS }: UnpackOptions, first: TarReadEntry): Place {
  const there = fs.statSync(destination, { throwIfNoEntry: false });
  const saysDirectory = /(^|\/)\.?$/.test(destination);
  if (there?.isDirectory() === true) return { base: HeldDirectory.open(destination, guards), prefix: root === '.' ? [] : [root] };
  if (there !== undefined && (first.type === 'directory' || saysDirectory)) throw new BerthError('invalid', `'${printable(destination)}' is not a directory.`);
  if (there === undefined && saysDirectory && first.type !== 'directory') throw new BerthError('notFound', `There is no directory '${printable(destination)}'.`, { hint: 'Make it, or leave the slash away for a file of that name.' });
  const file = there === undefined ? destination.replace(/\/+\.?$/, '') : fs.realpathSync(destination);
  const cut = file.lastIndexOf('/');
  const parent = cut < 0 ? '.' : cut === 0 ? '/' : file.slice(0, cut);
  if (fs.statSync(parent, { throwIfNoEntry: false })?.isDirectory() !== true) throw new BerthError('notFound', `There is no directory '${printable(parent)}'.`);
  return { base: HeldDirectory.open(parent, guards), prefix: [file.slice(cut + 1)] };
}

class CopyWriter implements Disposable {
  readonly #place: Place;
  readonly #options: UnpackOptions;
  readonly #guards: CopyGuards;
  /** The way to the last directory, from below `base` on. */
  readonly #way: { readonly name: string; readonly directory: HeldDirectory }[] = [];
  readonly #made = new Set<string>();
  /** Modes and times that directories get when all is in them. */
  readonly #later: { readonly words: readonly string[]; readonly entry: TarReadEntry }[] = [];
  #bytes = 0;

  constructor(place: Place, options: UnpackOptions) {
    this.#place = place;
    this.#options = options;
    this.#guards = options.guards ?? COPY_GUARDS;
  }

  async take(entry: TarReadEntry): Promise<void> {
    const words = this.#words(entry.path);
    const name = words.at(-1);
    if (name === undefined) {
      if (entry.type !== 'directory') throw refused(entry.path, 'has no name');
      return;
    }
    if (entry.type === 'other') return this.#options.warn(`'${printable(entry.path)}' is a device or a pipe and was left out.`);
    const directory = this.#directory(words.slice(0, -1));
    if (entry.type === 'directory') return this.#makeDirectory(directory, name, words, entry);
    const there = directory.look(name);
    if (there?.isDirectory() === true) throw refused(entry.path, 'would take the place of a directory');
    if (entry.type === 'hardlink') return this.#link(directory, name, words, entry);
    if (there !== undefined) fs.unlinkSync(directory.at(name));
    if (entry.type === 'symlink') {
      fs.symlinkSync(entry.link, directory.at(name));
      fs.lutimesSync(directory.at(name), entry.mtimeSeconds, entry.mtimeSeconds);
      if (this.#options.owners) fs.lchownSync(directory.at(name), entry.uid, entry.gid);
    } else await this.#write(directory, name, entry);
    this.#made.add(words.join('/'));
  }

  finish(): void {
    for (const { words, entry } of this.#later.toReversed()) {
      const directory = this.#directory(words);
      this.#attributes(directory.fd, entry);
    }
  }

  [Symbol.dispose](): void {
    for (const { directory } of this.#way.splice(0)) directory[Symbol.dispose]();
    this.#place.base[Symbol.dispose]();
  }

  /** Names below `base`. */
  #words(path: string): readonly string[] {
    const { root } = this.#options;
    if (path.startsWith('/')) throw refused(path, 'is absolute');
    const words = path.split('/').filter((word) => word !== '' && word !== '.');
    if (words.includes('..')) throw refused(path, 'has ..');
    if (words.length > MAX_DEPTH) throw refused(path, `is nested more than ${MAX_DEPTH} deep`);
    if (root === '.') return [...this.#place.prefix, ...words];
    if (words[0] !== root) throw refused(path, `is not in '${root}', which was asked for`);
    return [...this.#place.prefix, ...words.slice(1)];
  }

  /** Held until the next one; made where it is missing. */
  #directory(words: readonly string[]): HeldDirectory {
    let same = 0;
    while (same < words.length && this.#way[same]?.name === words[same]) same++;
    for (const { directory } of this.#way.splice(same)) directory[Symbol.dispose]();
    for (const name of words.slice(same)) {
      const above = this.#way.at(-1)?.directory ?? this.#place.base;
      try {
        if (above.look(name) === undefined) fs.mkdirSync(above.at(name), 0o755);
        this.#way.push({ name, directory: above.child(name) });
      } catch (error) {
        throw throughLink(error, words);
      }
    }
    return this.#way.at(-1)?.directory ?? this.#place.base;
  }

  #makeDirectory(above: HeldDirectory, name: string, words: readonly string[], entry: TarReadEntry): void {
    if (above.look(name) !== undefined) {
      this.#directory(words);
      return;
    }
    fs.mkdirSync(above.at(name), 0o700);
    this.#later.push({ words, entry });
  }

  async #write(directory: HeldDirectory, name: string, entry: TarReadEntry): Promise<void> {
    this.#bytes += entry.sizeBytes;
    if (this.#bytes > this.#options.maxBytes) throw new BerthError('exhausted', `The instance sends more than ${formatBytes(this.#options.maxBytes)}.`, { hint: '--max-size takes more.' });
    const fd = directory.open(name, O_WRONLY | O_CREAT | O_EXCL, 0o600);
    try {
      for await (const chunk of entry.content) for (let at = 0; at < chunk.length;) at += fs.writeSync(fd, chunk, at);
      this.#attributes(fd, entry);
    } finally {
      fs.closeSync(fd);
    }
  }

  #link(directory: HeldDirectory, name: string, words: readonly string[], entry: TarReadEntry): void {
    const to = this.#words(entry.link);
    const last = to.at(-1);
    if (last === undefined || !this.#guards.isOwn(to.join('/'), this.#made)) throw refused(entry.path, 'is a hard link to what the archive did not bring');
    const held = fs.openSync(`/proc/self/fd/${directory.fd}`, O_RDONLY | O_DIRECTORY);
    try {
      const from = this.#directory(to.slice(0, -1));
      if (fs.lstatSync(`/proc/self/fd/${held}/${name}`, { throwIfNoEntry: false }) !== undefined) fs.unlinkSync(`/proc/self/fd/${held}/${name}`);
      fs.linkSync(from.at(last), `/proc/self/fd/${held}/${name}`);
    } finally {
      fs.closeSync(held);
    }
    this.#made.add(words.join('/'));
  }

  #attributes(fd: number, entry: TarReadEntry): void {
    if (this.#options.owners) fs.fchownSync(fd, entry.uid, entry.gid);
    fs.fchmodSync(fd, this.#guards.modeOf(entry.mode));
    fs.futimesSync(fd, entry.mtimeSeconds, entry.mtimeSeconds);
  }
}

function refused(path: string, why: string): BerthError {
  return new BerthError('invalid', `The instance sent '${printable(path.slice(0, 300))}', which ${why}: nothing more was taken.`);
}

function throughLink(error: unknown, words: readonly string[]): unknown {
  const { code } = error as NodeJS.ErrnoException;
  if (code !== 'ELOOP' && code !== 'ENOTDIR') return error;
  return new BerthError('invalid', `'${printable(words.join('/').slice(0, 300))}' goes through a link or a file: nothing is written through it.`, { cause: error });
}
