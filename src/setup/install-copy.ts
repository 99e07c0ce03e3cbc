/**
 * The root-owned copy that the installed daemon and command run from: /opt/berth/VERSION-HASH, complete or absent, with
 * the link `current` to the one in use. A checkout may lie anywhere and belong to anybody; what runs as root may not.
 */
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { BerthError } from '../model/errors.ts';
import { COMMAND_LINK, INSTALL_ROOT } from './home.ts';

/** Of the checkout, besides the libraries. Missing ones are left out. */
const COPIED = ['berth', 'LICENSE', 'package.json', 'package-lock.json', 'src', 'dist/cli', 'dist/daemon', '.build/native', 'examples', 'packaging'];
/** Written last: its presence tells the launcher that nothing needs to be checked. */
const MARKER = '.installed';

export interface InstallPlace {
  readonly installRoot: string;
  readonly commandLink: string;
}

export const INSTALL_PLACE: InstallPlace = { installRoot: INSTALL_ROOT, commandLink: COMMAND_LINK };

export interface InstalledCopy {
  readonly dir: string;
  /** false: it was there already. */
  readonly made: boolean;
}

/** Idempotent; an interrupted one leaves a `.partial-` directory, which the next one removes. */
export async function installCopy(home: string, { installRoot }: InstallPlace): Promise<InstalledCopy> {
  if (fs.existsSync(path.join(home, MARKER))) return { dir: fs.realpathSync(home), made: false };
  await fs.promises.mkdir(installRoot, { recursive: true, mode: 0o755 });
  await removePartial(installRoot);
  const name = `${versionOf(home)}-${await contentHash(home)}`;
  const dir = path.join(installRoot, name);
  if (fs.existsSync(path.join(dir, MARKER))) return { dir, made: false };
  const partial = path.join(installRoot, `.partial-${name}`);
  await fs.promises.mkdir(partial, { mode: 0o755 });
  for (const entry of [...COPIED, ...libraries(home)]) {
    const source = path.join(home, entry);
    if (fs.existsSync(source)) await copyTree(source, path.join(partial, entry));
  }
  await fs.promises.writeFile(path.join(partial, MARKER), `${JSON.stringify({ version: versionOf(home), name })}\n`);
  await fs.promises.rm(dir, { recursive: true, force: true });
  await fs.promises.rename(partial, dir);
  return { dir, made: true };
}

/** Makes the copy the one that `berth` and the unit start. */
export async function useCopy(dir: string, { installRoot, commandLink }: InstallPlace): Promise<void> {
  const launcher = path.join(installRoot, 'current', 'berth');
  const there = fs.lstatSync(commandLink, { throwIfNoEntry: false });
  if (there !== undefined && !(there.isSymbolicLink() && fs.readlinkSync(commandLink) === launcher)) {
    throw new BerthError('alreadyExists', `${commandLink} is there already and not ours.`, { hint: 'Move it away, then run the same command again.' });
  }
  await replaceLink(path.join(installRoot, 'current'), path.basename(dir));
  if (there === undefined) {
    await fs.promises.mkdir(path.dirname(commandLink), { recursive: true });
    await replaceLink(commandLink, launcher);
  }
}

/** Copies that nothing starts any more. Programs that run from one keep their open files. */
export async function removeOtherCopies(dir: string, { installRoot }: InstallPlace): Promise<void> {
  for (const name of await fs.promises.readdir(installRoot)) {
    const other = path.join(installRoot, name);
    if (other !== dir && fs.existsSync(path.join(other, MARKER)) && name !== 'current') await fs.promises.rm(other, { recursive: true, force: true });
  }
}

/** All copies, the link to them and the command; what is not ours stays. */
export async function removeInstallation({ installRoot, commandLink }: InstallPlace): Promise<void> {
  const there = fs.lstatSync(commandLink, { throwIfNoEntry: false });
  if (there?.isSymbolicLink() === true && fs.readlinkSync(commandLink).startsWith(`${installRoot}/`)) await fs.promises.unlink(commandLink);
  await fs.promises.rm(installRoot, { recursive: true, force: true });
}

function versionOf(home: string): string {
  const { version } = JSON.parse(fs.readFileSync(path.join(home, 'package.json'), 'utf8')) as { version: string };
  if (!/^[\w.+-]+$/.test(version)) throw new BerthError('invalid', 'package.json has no usable version.');
  return version;
}

/** The packages that run, not those that test: the lock file knows. Those of other platforms are not there. */
export function libraries(home: string): readonly string[] {
  const { packages } = JSON.parse(fs.readFileSync(path.join(home, 'package-lock.json'), 'utf8')) as { packages: Record<string, { dev?: boolean; devOptional?: boolean }> };
  const names = Object.entries(packages).filter(([name, entry]) => name !== '' && entry.dev !== true && entry.devOptional !== true).map(([name]) => name);
  // A library's own libraries lie inside it and come along with it.
  return names.filter((name) => !names.some((outer) => name.startsWith(`${outer}/`)));
}

async function contentHash(home: string): Promise<string> {
  const hash = createHash('sha256');
  for (const entry of COPIED) for (const file of filesBelow(path.join(home, entry))) {
    if (file.endsWith('.test.ts') || file.endsWith('inputs.json') || file.endsWith('inputs.sh')) continue;
    hash.update(`${path.relative(path.join(home, entry), file)}\0`);
    hash.update(await fs.promises.readFile(file));
  }
  return hash.digest('hex').slice(0, 8);
}

function filesBelow(start: string): readonly string[] {
  const stat = fs.statSync(start, { throwIfNoEntry: false });
  if (stat === undefined) return [];
  if (stat.isFile()) return [start];
  return fs.readdirSync(start, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1)).flatMap((entry) => filesBelow(path.join(start, entry.name)));
}

/** Regular files and directories only, owned by whoever runs this (root), writable by nobody else. */
async function copyTree(source: string, target: string): Promise<void> {
  const stat = await fs.promises.stat(source);
  if (stat.isDirectory()) {
    await fs.promises.mkdir(target, { recursive: true, mode: 0o755 });
    for (const name of await fs.promises.readdir(source)) {
      if (!name.endsWith('.test.ts')) await copyTree(path.join(source, name), path.join(target, name));
    }
  } else if (stat.isFile()) {
    await fs.promises.mkdir(path.dirname(target), { recursive: true, mode: 0o755 });
    await fs.promises.copyFile(source, target, fs.constants.COPYFILE_FICLONE | fs.constants.COPYFILE_EXCL);
    await fs.promises.chmod(target, (stat.mode & 0o111) === 0 ? 0o644 : 0o755);
  }
}

async function removePartial(installRoot: string): Promise<void> {
  for (const name of await fs.promises.readdir(installRoot)) {
    if (name.startsWith('.partial-') || name.startsWith('.link-')) await fs.promises.rm(path.join(installRoot, name), { recursive: true, force: true });
  }
}

async function replaceLink(link: string, target: string): Promise<void> {
  const temporary = path.join(path.dirname(link), `.link-${process.pid}-${path.basename(link)}`);
  await fs.promises.rm(temporary, { force: true });
  await fs.promises.symlink(target, temporary);
  await fs.promises.rename(temporary, link);
}
