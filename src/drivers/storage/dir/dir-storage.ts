/** Pool `dir`: plain files and directories on any file system. Snapshots are copies; no size limits without quotas. */
import fs from 'node:fs/promises';
import path from 'node:path';
import { exists, writeFileAtomic } from '../../../host/files.ts';
import { run } from '../../../host/run.ts';
import { BerthError } from '../../../model/errors.ts';
import { isVmForm, type Form } from '../../../model/forms.ts';
import { isObjectId, type ObjectId } from '../../../model/ids.ts';
import type { RootKind, RootOptions, RootPaths, RootRequest, StorageDriver, VolumeRequest } from '../driver.ts';
import { setDiskSize } from './disk-size.ts';
import { growRawDisk, makeRawDisk } from './raw-disk.ts';

const GIB = 1024 ** 3;
const UPPER_DISK_BYTES = 10 * GIB;

/** `rootDir` is the pool's own directory. Below it: roots/ID (up, work | upper.img | root.img | disk.raw, spec.json), volumes/ID (data, spec.json). */
export function dirStorage({ rootDir }: { readonly rootDir: string }): StorageDriver {
  const rootOf = (id: ObjectId) => path.join(rootDir, 'roots', id);
  const volumeOf = (id: ObjectId) => path.join(rootDir, 'volumes', id);

  function rootPaths(id: ObjectId, form: Form, kind: RootKind = 'layers'): RootPaths {
    if (kind === 'flat') return { upperDisk: path.join(rootOf(id), 'root.img') };
    if (kind === 'disk') return { rootDisk: path.join(rootOf(id), 'disk.raw') };
    return isVmForm(form) ? { upperDisk: path.join(rootOf(id), 'upper.img') } : { upperDir: rootOf(id) };
  }

  return {
    kind: 'dir',
    async facts() {
      await fs.mkdir(rootDir, { recursive: true, mode: 0o711 });
      const stat = await fs.statfs(rootDir);
      return { quota: false, reflink: false, totalBytes: stat.blocks * stat.bsize, freeBytes: stat.bavail * stat.bsize };
    },
    async createRoot(request: RootRequest, options?: RootOptions) {
      const dir = rootOf(request.id);
      const paths = rootPaths(request.id, request.form, request.disk !== undefined ? 'disk' : request.flat !== undefined ? 'flat' : 'layers');
      if (paths.upperDir !== undefined && request.sizeBytes !== undefined) {
        throw new BerthError('unsupported', 'This pool has no quotas: the size of a container’s root cannot be limited.', { hint: 'Leave --disk out, or use a pool on a file system with quotas.', fields: [{ path: 'spec.rootDiskBytes', message: 'this pool cannot enforce it' }] });
      }
      await fs.mkdir(dir, { recursive: true, mode: 0o711 });
      if (paths.upperDir !== undefined) {
        await fs.mkdir(path.join(dir, 'up'), { recursive: true, mode: 0o755 });
        await fs.mkdir(path.join(dir, 'work'), { recursive: true, mode: 0o755 });
      }
      if (paths.upperDisk !== undefined && request.flat !== undefined) await makeWhole(paths.upperDisk, (file) => request.flat!(file, request.sizeBytes ?? UPPER_DISK_BYTES));
      else if (paths.upperDisk !== undefined) await makeDisk(paths.upperDisk, request.sizeBytes ?? UPPER_DISK_BYTES);
      if (paths.rootDisk !== undefined && request.disk !== undefined) await makeRawDisk(paths.rootDisk, request.disk, options);
      await fs.writeFile(path.join(dir, 'spec.json'), request.specCopy, { mode: 0o600 });
      return paths;
    },
    rootPaths,
    removeRoot: (id) => removeTree(rootOf(id)),
    rootUsage: (id) => usage(rootOf(id)),
    async createVolume(request: VolumeRequest) {
      const dir = volumeOf(request.id);
      if (request.type === 'filesystem' && request.sizeBytes !== undefined) throw noQuota();
      await fs.mkdir(dir, { recursive: true, mode: 0o711 });
      if (request.type === 'block') await makeDisk(path.join(dir, 'disk.img'), request.sizeBytes ?? GIB, { empty: true });
      else await fs.mkdir(path.join(dir, 'data'), { recursive: true, mode: 0o755 });
      await writeFileAtomic(path.join(dir, 'spec.json'), request.specCopy);
    },
    async growVolume(request) {
      if (request.type === 'filesystem') throw noQuota();
      await growRawDisk(path.join(volumeOf(request.id), 'disk.img'), request.sizeBytes);
      await writeFileAtomic(path.join(volumeOf(request.id), 'spec.json'), request.specCopy);
    },
    volumePath: (id, type) => path.join(volumeOf(id), type === 'block' ? 'disk.img' : 'data'),
    removeVolume: (id) => removeTree(volumeOf(id)),
    volumeUsage: (id) => usage(volumeOf(id)),
    async leftovers(known) {
      const found: string[] = [];
      for (const kind of ['roots', 'volumes']) {
        const names = await fs.readdir(path.join(rootDir, kind)).catch(() => [] as string[]);
        for (const name of names) if (!isObjectId(name) || !known.has(name)) found.push(path.join(rootDir, kind, name));
      }
      return found;
    },
  };
}

function noQuota(): BerthError {
  return new BerthError('unsupported', 'This pool has no quotas: the size of a directory cannot be limited.', { hint: 'Leave --size out, or make a block volume.', fields: [{ path: 'spec.sizeBytes', message: 'this pool cannot enforce it' }] });
}

/** A sparse file with ext4, made once: a half-made one has another name. Inode tables are filled in lazily by the guest. */
async function makeDisk(file: string, bytes: number, { empty = false }: { readonly empty?: boolean } = {}): Promise<void> {
  if (await exists(file)) return;
  const temporary = `${file}.making`;
  await fs.rm(temporary, { force: true });
  {
    await using handle = await fs.open(temporary, 'wx', 0o600);
    await setDiskSize(handle, bytes);
  }
  await run('mkfs.ext4', ['-q', '-F', '-m', '0', '-E', 'lazy_itable_init=1,lazy_journal_init=1,root_owner=0:0', temporary]);
  // Programs that want an empty directory (initdb) take this one for somebody's data; e2fsck makes it again when it needs it.
  if (empty) await run('debugfs', ['-w', '-R', 'rmdir lost+found', temporary]);
  await fs.rename(temporary, file);
}

/** Made once: a half-made one has another name. */
async function makeWhole(file: string, make: (file: string) => Promise<void>): Promise<void> {
  if (await exists(file)) return;
  const dir = path.dirname(file), making = `${path.basename(file)}.making`;
  // What was being made when somebody died, and what its maker laid beside it.
  for (const name of await fs.readdir(dir)) if (name.startsWith(making)) await fs.rm(path.join(dir, name), { recursive: true });
  await make(path.join(dir, making));
  await fs.rename(path.join(dir, making), file);
}

/** Its writer is dead by now, and no link is followed. Paths deeper than PATH_MAX are left to `rm`, which walks by descriptors. */
async function removeTree(dir: string): Promise<void> {
  try {
    await fs.rm(dir, { recursive: true, force: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENAMETOOLONG') throw error;
    await run('rm', ['-rf', '--one-file-system', '--', dir], { timeoutMs: 600_000 });
  }
}

async function usage(dir: string): Promise<number> {
  if (!(await exists(dir))) return 0;
  const { stdout } = await run('du', ['-s', '-B1', '--one-file-system', '--', dir], { timeoutMs: 600_000 });
  return Number(stdout.split('\t')[0]);
}
