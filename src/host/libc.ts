/**
 * System calls that Node does not offer, straight from libc. Only this room may load koffi. Errors look like Node's:
 * `code` is the errno name, `syscall` the call. Descriptors returned here are close-on-exec.
 */
import koffi from 'koffi';
import fs from 'node:fs';
import os from 'node:os';

const lib = koffi.load('libc.so.6');

/** Of numbers with two names the first: EAGAIN, not EWOULDBLOCK, and ENOTSUP, not EOPNOTSUPP, as Node's own errors say. */
const nameOfErrno = new Map<number, string>(Object.entries(os.constants.errno).toReversed().map(([name, value]) => [value, name]));

export interface SystemError extends Error {
  code: string;
  errno: number;
  syscall: string;
}

export function systemError(syscall: string, errno: number, detail = ''): SystemError {
  const code = nameOfErrno.get(errno) ?? `E${errno}`;
  const error = new Error(`${syscall}: ${code}${detail === '' ? '' : ` (${detail})`}`) as SystemError;
  error.code = code;
  error.errno = errno;
  error.syscall = syscall;
  return error;
}

/** Throws when a call answered −1, else returns its answer. Must run right after the call: errno is the thread's. */
export function checked(syscall: string, result: number, detail = ''): number {
  if (result < 0) throw systemError(syscall, koffi.errno(), detail);
  return result;
}

/** Declares a libc function; `proto` is C. */
export function libc(proto: string): ReturnType<typeof lib.func> {
  return lib.func(proto);
}

const c = {
  mount: lib.func('int mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data)'),
  umount2: lib.func('int umount2(const char *target, int flags)'),
  unshare: lib.func('int unshare(int flags)'),
  setns: lib.func('int setns(int fd, int type)'),
  prctl: lib.func('int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)'),
  setfsuid: lib.func('int setfsuid(unsigned int uid)'),
  setfsgid: lib.func('int setfsgid(unsigned int gid)'),
  open: lib.func('int open(const char *path, int flags, int mode)'),
  close: lib.func('int close(int fd)'),
  fgetxattr: lib.func('long fgetxattr(int fd, const char *name, _Out_ uint8_t *value, size_t size)'),
  memfd_create: lib.func('int memfd_create(const char *name, unsigned int flags)'),
  syscall5: lib.func('long syscall(long number, long a, const char *b, long c, void *d, long e)'),
  syscall6: lib.func('long syscall(long number, long a, const char *b, long c, const char *d, long e)'),
  syscallN: lib.func('long syscall(long number, long a, long b, long c, long d)'),
};

export const CLONE_NEWNS = 0x00020000;
export const CLONE_NEWNET = 0x40000000;
export const CLONE_NEWUSER = 0x10000000;
export const CLONE_FS = 0x00000200;
export const MS_RDONLY = 1, MS_NOSUID = 2, MS_NODEV = 4, MS_NOEXEC = 8, MS_REMOUNT = 32, MS_BIND = 4096, MS_REC = 16384, MS_PRIVATE = 1 << 18, MS_SLAVE = 1 << 19;
export const MNT_DETACH = 2;
const O_CLOEXEC = 0o2000000;
const AT_EMPTY_PATH = 0x1000;
const OPEN_TREE_CLONE = 1, OPEN_TREE_CLOEXEC = O_CLOEXEC;
const MOUNT_ATTR_IDMAP = 0x00100000n;
const MOVE_MOUNT_F_EMPTY_PATH = 4;
const SYS = { open_tree: 428, move_mount: 429, pidfd_open: 434, mount_setattr: 442, pidfd_send_signal: 424 } as const;
const PR_SET_SECUREBITS = 28;
const SECBIT_NO_SETUID_FIXUP = 4;

export function mount(source: string, target: string, type: string | null, flags: number, data: string | null = null): void {
  checked('mount', c.mount(source, target, type, flags, data), target);
}

export function unmount(target: string, flags = 0): void {
  checked('umount2', c.umount2(target, flags), target);
}

export function unshare(flags: number): void {
  checked('unshare', c.unshare(flags));
}

export function setns(fd: number, type: number): void {
  checked('setns', c.setns(fd, type));
}

export function openDescriptor(path: string, flags: number): number {
  return checked('open', c.open(path, flags | O_CLOEXEC, 0), path);
}

export function closeDescriptor(fd: number): void {
  checked('close', c.close(fd));
}

/** An extended attribute of at most 255 bytes; undefined when there is none. fgetxattr(2). */
export function extendedAttribute(fd: number, name: string): Buffer | undefined {
  const value = Buffer.alloc(255);
  const length = Number(c.fgetxattr(fd, name, value, value.length));
  if (length >= 0) return value.subarray(0, length);
  const error = systemError('fgetxattr', koffi.errno(), name);
  if (error.code === 'ENODATA' || error.code === 'ENOTSUP') return undefined;
  throw error;
}

/** A descriptor of a file in memory that holds `data`, read from its start. memfd_create(2) with MFD_CLOEXEC. */
export function anonymousFile(data: string | Uint8Array): number {
  const fd = checked('memfd_create', c.memfd_create('input', 1));
  const bytes = typeof data === 'string' ? Buffer.from(data, 'utf8') : data;
  for (let offset = 0; offset < bytes.length; ) offset += fs.writeSync(fd, bytes, offset, bytes.length - offset, offset);
  return fd;
}

/** A detached copy of the mount at `path`, shown through the user namespace's id map. open_tree(2), mount_setattr(2). */
export function idmappedClone(path: string, userNamespaceFd: number): number {
  const fd = clonedMount(path);
  const attributes = Buffer.alloc(32);
  attributes.writeBigUInt64LE(MOUNT_ATTR_IDMAP, 0);
  attributes.writeBigUInt64LE(BigInt(userNamespaceFd), 24);
  const result = Number(c.syscall5(SYS.mount_setattr, fd, '', AT_EMPTY_PATH, attributes, 32));
  if (result < 0) {
    const error = systemError('mount_setattr', koffi.errno(), path);
    closeDescriptor(fd);
    throw error;
  }
  return fd;
}

/** A detached copy of the mount at `path`, without those below it. open_tree(2). */
export function clonedMount(path: string): number {
  return checked('open_tree', Number(c.syscall5(SYS.open_tree, -100, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC, null, 0)), path);
}

/** Attaches a detached mount at `target` and closes its descriptor. move_mount(2). */
export function attachMount(fd: number, target: string): void {
  const result = Number(c.syscall6(SYS.move_mount, fd, '', -100, target, MOVE_MOUNT_F_EMPTY_PATH));
  const error = result < 0 ? systemError('move_mount', koffi.errno(), target) : undefined;
  closeDescriptor(fd);
  if (error !== undefined) throw error;
}

/** Runs `work` with this thread's file system ids set, capabilities kept: how overlay's mounter gets mapped ids. */
export function withFileSystemIds<T>(uid: number, gid: number, work: () => T): T {
  checked('prctl', c.prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0));
  c.setfsgid(gid);
  c.setfsuid(uid);
  try {
    return work();
  } finally {
    c.setfsuid(0);
    c.setfsgid(0);
    checked('prctl', c.prctl(PR_SET_SECUREBITS, 0, 0, 0, 0));
  }
}

export function openPidDescriptor(pid: number): number {
  return checked('pidfd_open', Number(c.syscallN(SYS.pidfd_open, pid, 0, 0, 0)));
}

export function signalByDescriptor(pidFd: number, signal: number): void {
  checked('pidfd_send_signal', Number(c.syscallN(SYS.pidfd_send_signal, pidFd, signal, 0, 0)));
}
