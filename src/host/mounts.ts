/**
 * Mount namespaces around a synchronous piece of work: what is mounted in there (and what is forked in there) is never
 * seen by the host, and dies with the last process inside. The daemon itself stays in the host's namespace.
 */
import fs from 'node:fs';
import path from 'node:path';
import koffi from 'koffi';
import { BerthError } from '../model/errors.ts';
import {
  attachMount, CLONE_FS, CLONE_NEWNS, closeDescriptor, idmappedClone, MNT_DETACH, mount, MS_BIND, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY, MS_REC,
  libc, MS_REMOUNT, MS_SLAVE, openDescriptor, setns, systemError, unmount, unshare, withFileSystemIds,
} from './libc.ts';

const mknod = libc('int mknod(const char *path, unsigned int mode, unsigned long device)');
/** Major 1, minor 3. */
const NULL_DEVICE = 0x103;

let home: number | undefined;

/**
 * Descriptor of the namespace to come back to. setns(2) to a mount namespace wants fs attributes of the thread's own, each
 * time: threads that were started since the last one (of libuv's pool, of koffi) share them.
 */
function homeNamespace(): number {
  unshare(CLONE_FS);
  return (home ??= openDescriptor('/proc/thread-self/ns/mnt', fs.constants.O_RDONLY));
}

function comeBack(saved: number): void {
  try {
    setns(saved, CLONE_NEWNS);
  } catch (error) {
    // Going on in the wrong namespace would write to the wrong files: nothing is worth that.
    process.stderr.write(`cannot return to the host's mount namespace: ${String(error)}\n`);
    process.abort();
  }
}

/**
 * Runs `work` in a new mount namespace into which mounts of the host still come (slave), but from which none goes out.
 * Synchronous: whatever yields to the event loop would let other code run in there. A child forked in `work` stays there.
 */
export function inNewMountNamespace<T>(work: () => T): T {
  const saved = homeNamespace();
  unshare(CLONE_NEWNS);
  try {
    mount('none', '/', null, MS_REC | MS_SLAVE);
    return refusePromise(work());
  } finally {
    comeBack(saved);
  }
}

/** Runs `work` in the mount namespace of a process. Errors: ESRCH, ENOENT when the process is gone. */
export function inMountNamespaceOf<T>(pid: number, work: () => T): T {
  const saved = homeNamespace();
  const target = openDescriptor(`/proc/${pid}/ns/mnt`, fs.constants.O_RDONLY);
  try {
    setns(target, CLONE_NEWNS);
    try {
      return refusePromise(work());
    } finally {
      comeBack(saved);
    }
  } finally {
    closeDescriptor(target);
  }
}

function refusePromise<T>(value: T): T {
  if (value instanceof Promise) throw new TypeError('work in another mount namespace must be synchronous');
  return value;
}

/** Makes one file read-only where it lies: bound over itself. For inside a namespace of one's own. */
export function bindReadOnlyInPlace(file: string): void {
  mount(file, file, null, MS_BIND);
  mount('none', file, null, MS_BIND | MS_REMOUNT | MS_RDONLY);
}

/** Takes a mount away from view, if it is one. */
export function hideMount(target: string): void {
  try {
    unmount(target, MNT_DETACH);
  } catch (error) {
    if (!['EINVAL', 'ENOENT'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
}

/** An empty tmpfs, gone with the namespace. Mode 0711: the unit's own ids pass through, and list nothing. */
export function mountScratch(target: string, sizeBytes: number): void {
  mount('tmpfs', target, 'tmpfs', MS_NOSUID, `size=${sizeBytes},mode=0711`);
}

/** Control groups v2 once more, at `target` (made here): for hosts whose own mount of it must be hidden. */
export function mountUnified(target: string): void {
  fs.mkdirSync(target, { mode: 0o700 });
  mount('cgroup2', target, 'cgroup2', MS_NOSUID | MS_NODEV | MS_NOEXEC);
}

/** A null device that is nobody else's: what is done to its owner or mode does not reach the host's. */
export function makeNullDevice(file: string): void {
  if ((mknod(file, fs.constants.S_IFCHR | 0o666, NULL_DEVICE) as number) < 0) throw systemError('mknod', koffi.errno(), file);
}

/** Shows `source` at `target` (made here) with its ids shifted as the user namespace maps them. */
export function mountIdmapped(source: string, target: string, userNamespaceFd: number): void {
  fs.mkdirSync(target, { mode: 0o755 });
  let tree: number;
  try {
    tree = idmappedClone(source, userNamespaceFd);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') throw new BerthError('notFound', `${JSON.stringify(source)} is not there on this host.`, { hint: 'A directory of the host that is to be shown must be made before; a named volume is made by itself.', cause: error });
    if (code !== 'EINVAL') throw error;
    throw new BerthError('unsupported', `The file system of ${source} cannot show its files under other ids (idmapped mounts).`, {
      hint: 'Put the root directory on ext4, xfs or btrfs.', cause: error,
    });
  }
  attachMount(tree, target);
}

export interface OverlayPlan {
  /** Where the root appears; made here. */
  readonly target: string;
  /** Lowest first, as mounted (shifted). */
  readonly lower: readonly string[];
  /** Directory that holds `up` and `work`, as mounted (shifted). */
  readonly upper: string;
  /** Host ids that are 0 inside: the overlay writes as its mounter. */
  readonly uid: number;
  readonly gid: number;
  /** No fsync: for what is thrown away. A second mount after a crash is refused by the kernel. */
  readonly volatile: boolean;
}

/** The kernel takes one page of options. */
const MAX_OPTIONS_BYTES = 4095;

/**
 * The overlay of a unit. `userxattr` keeps whiteouts and opaque marks in the user.* namespace and turns redirect_dir and
 * metacopy off; with index and xino off an upper means the same under any kernel that mounts it. No device works on it.
 */
export function mountOverlay(plan: OverlayPlan): void {
  const quoted = (file: string): string => file.replace(/[\\:,]/g, (sign) => `\\${sign}`);
  const options = [
    `lowerdir=${[...plan.lower].reverse().map(quoted).join(':')}`,
    `upperdir=${quoted(path.join(plan.upper, 'up'))}`, `workdir=${quoted(path.join(plan.upper, 'work'))}`,
    'userxattr', 'index=off', 'xino=off', ...(plan.volatile ? ['volatile'] : []),
  ].join(',');
  if (Buffer.byteLength(options) > MAX_OPTIONS_BYTES) {
    throw new BerthError('unsupported', `An image of ${plan.lower.length} layers has too many for one mount.`, { hint: 'Squash the image’s layers.' });
  }
  fs.mkdirSync(plan.target, { mode: 0o755 });
  withFileSystemIds(plan.uid, plan.gid, () => { mount('overlay', plan.target, 'overlay', MS_NODEV, options); });
}
