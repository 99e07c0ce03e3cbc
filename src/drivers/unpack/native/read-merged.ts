/**
 * One small file, or the names in a directory, as the merged root shows them, without mounting: a walk over directory descriptors, component by
 * component. The uppermost tree may be a live instance's, whose tenant changes it meanwhile, so nothing is opened by a
 * path of more than one component, no link is followed by the kernel, and what is opened is looked at again.
 */
import fs from 'node:fs/promises';
import { constants } from 'node:fs';
import { extendedAttribute } from '../../../host/libc.ts';
import { BerthError } from '../../../model/errors.ts';

const O_PATH = 0o10000000;
const MAX_LINKS = 40;
const MAX_COMPONENTS = 256;
const CHUNK_BYTES = 16 * 1024;

/** The directories of all layers that make up one merged directory, uppermost first. */
type Merged = readonly fs.FileHandle[];

export function readMerged(layers: readonly string[], path: string, maxBytes: number): Promise<Uint8Array | undefined> {
  return withFound(layers, path, async (found, keep) => ('file' in found ? await readWhole(found.file, maxBytes, keep) : undefined));
}

/** Names in a directory. `exhausted` when all layers together have more than `maxNames`. */
export function listMerged(layers: readonly string[], path: string, maxNames: number): Promise<readonly string[] | undefined> {
  return withFound(layers, path, async (found) => ('directory' in found ? await namesIn(found.directory, maxNames) : undefined));
}

type Keep = (handle: fs.FileHandle) => fs.FileHandle;

async function withFound<T>(layers: readonly string[], path: string, use: (found: Found, keep: Keep) => Promise<T | undefined>): Promise<T | undefined> {
  const opened: fs.FileHandle[] = [];
  const keep = (handle: fs.FileHandle): fs.FileHandle => {
    opened.push(handle);
    return handle;
  };
  try {
    const root: Merged = await Promise.all(layers.toReversed().map(async (dir) => keep(await fs.open(dir, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW))));
    const found = await walk(root, path, keep);
    return found === undefined ? undefined : await use(found, keep);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ELOOP' || code === 'ENXIO' || code === 'ENAMETOOLONG') return undefined;
    throw error;
  } finally {
    await Promise.all(opened.map((handle) => handle.close()));
  }
}

async function walk(root: Merged, path: string, keep: Keep): Promise<Exclude<Found, { readonly link: string }> | undefined> {
  const stack: Merged[] = [root];
  const todo = path.split('/').reverse();
  let links = 0;
  for (let steps = 0; todo.length > 0; steps++) {
    if (steps > MAX_COMPONENTS) return undefined;
    const name = todo.pop()!;
    if (name === '' || name === '.') continue;
    if (name === '..') {
      if (stack.length > 1) stack.pop();
      continue;
    }
    const found = await lookUp(stack.at(-1)!, name, keep);
    if (found === undefined) return undefined;
    if ('directory' in found) stack.push(found.directory);
    else if ('link' in found) {
      if (++links > MAX_LINKS) return undefined;
      if (found.link.startsWith('/')) stack.length = 1;
      todo.push(...found.link.split('/').reverse());
    } else return todo.some((rest) => rest !== '' && rest !== '.') ? undefined : found;
  }
  return { directory: stack.at(-1)! };
}

async function namesIn(merged: Merged, maxNames: number): Promise<readonly string[]> {
  const seen = new Map<string, boolean>();
  for (const level of merged) {
    const dir = await fs.opendir(`/proc/self/fd/${level.fd}`);
    for await (const entry of dir) {
      // What lies above decides: a whiteout (and any device) hides what is below.
      if (!seen.has(entry.name)) seen.set(entry.name, !entry.isCharacterDevice());
      if (seen.size > maxNames) throw new BerthError('exhausted', `A directory of the image has more than ${maxNames} entries.`);
    }
  }
  return [...seen].filter(([, shown]) => shown).map(([name]) => name);
}

type Found = { readonly directory: Merged } | { readonly link: string } | { readonly file: fs.FileHandle };

/** What overlay shows for the name: the uppermost entry, and for a directory all those below it up to an opaque one. */
async function lookUp(above: Merged, name: string, keep: Keep): Promise<Found | undefined> {
  const merged: fs.FileHandle[] = [];
  for (const parent of above) {
    const entry = await fs.open(`/proc/self/fd/${parent.fd}/${name}`, O_PATH | constants.O_NOFOLLOW).then(keep, (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw error;
    });
    if (entry === undefined) continue;
    const stat = await entry.stat();
    if (!stat.isDirectory()) {
      // Under an upper directory of the same name nothing else is seen; a whiteout (and any device) ends the search.
      if (merged.length > 0) break;
      if (stat.isSymbolicLink()) return { link: await readLink(parent, name) };
      return stat.isFile() ? { file: entry } : undefined;
    }
    const directory = keep(await fs.open(`/proc/self/fd/${entry.fd}`, constants.O_RDONLY | constants.O_DIRECTORY));
    merged.push(directory);
    if (extendedAttribute(directory.fd, 'user.overlay.opaque')?.toString('latin1') === 'y') break;
  }
  return merged.length === 0 ? undefined : { directory: merged };
}

async function readLink(parent: fs.FileHandle, name: string): Promise<string> {
  return fs.readlink(`/proc/self/fd/${parent.fd}/${name}`);
}

async function readWhole(entry: fs.FileHandle, maxBytes: number, keep: Keep): Promise<Uint8Array | undefined> {
  // The descriptor is pinned to a regular file already: opening it again by its number cannot reach anything else.
  const file = keep(await fs.open(`/proc/self/fd/${entry.fd}`, constants.O_RDONLY));
  const chunks: Uint8Array[] = [];
  for (let length = 0; ; ) {
    const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
    const { bytesRead } = await file.read(chunk, 0, chunk.length, null);
    if (bytesRead === 0) return Buffer.concat(chunks);
    chunks.push(chunk.subarray(0, bytesRead));
    if ((length += bytesRead) > maxBytes) return undefined;
  }
}
