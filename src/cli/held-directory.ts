/**
 * A directory of this machine, held open while its entries are read or made. What is done in it is done by one name at a
 * time from the descriptor, so that nobody who moves directories or puts links in their place leads us elsewhere: Node
 * has no openat(2), and /proc/self/fd/N/NAME is the same to the kernel.
 */
import fs from 'node:fs';
import { BerthError } from '../model/errors.ts';
import { printable } from '../model/ids.ts';

/** Tests take one away to see their case go red; nothing else may. */
export interface CopyGuards {
  /** Added to every open below the directory that the user named. */
  readonly noFollow: number;
  /** One name of one directory. */
  readonly assertName: (name: string) => void;
  /** May a hard link lead to this path? */
  readonly isOwn: (path: string, made: ReadonlySet<string>) => boolean;
  /** What of an entry's mode is taken over. */
  readonly modeOf: (mode: number) => number;
}

export const COPY_GUARDS: CopyGuards = {
  noFollow: fs.constants.O_NOFOLLOW,
  assertName(name) {
    if (name === '' || name === '.' || name === '..' || name.includes('/') || name.includes('\0')) throw new BerthError('invalid', `'${printable(name)}' is not the name of a file.`);
  },
  isOwn: (path, made) => made.has(path),
  // A set-user-id program of the instance would be one of this machine, for everybody on it.
  modeOf: (mode) => mode & 0o777,
};

const { O_DIRECTORY, O_RDONLY } = fs.constants;

export class HeldDirectory implements Disposable {
  readonly fd: number;
  readonly #guards: CopyGuards;

  private constructor(fd: number, guards: CopyGuards) {
    this.fd = fd;
    this.#guards = guards;
  }

  /** As the user wrote it, links and all. */
  static open(path: string, guards: CopyGuards = COPY_GUARDS): HeldDirectory {
    return new HeldDirectory(fs.openSync(path, O_RDONLY | O_DIRECTORY), guards);
  }

  /** What the system calls by this name; a link at its end is the caller's to refuse. */
  at(name: string): string {
    this.#guards.assertName(name);
    return `/proc/self/fd/${this.fd}/${name}`;
  }

  child(name: string): HeldDirectory {
    return new HeldDirectory(this.open(name, O_RDONLY | O_DIRECTORY), this.#guards);
  }

  open(name: string, flags: number, mode?: number): number {
    return fs.openSync(this.at(name), flags | this.#guards.noFollow, mode);
  }

  /** Of the entry itself; undefined where there is none. */
  look(name: string): fs.Stats | undefined {
    return fs.lstatSync(this.at(name), { throwIfNoEntry: false });
  }

  names(): string[] {
    return fs.readdirSync(`/proc/self/fd/${this.fd}`);
  }

  [Symbol.dispose](): void {
    fs.closeSync(this.fd);
  }
}
