/** A descriptor that goes along with bytes over a unix socket (SCM_RIGHTS, unix(7)): sendmsg(2) and recvmsg(2) are what Node lacks. */
import type net from 'node:net';
import koffi from 'koffi';
import { BerthError } from '../model/errors.ts';
import { checked, libc, systemError } from './libc.ts';

const MSG_CMSG_CLOEXEC = 0x40000000, MSG_DONTWAIT = 0x40, MSG_NOSIGNAL = 0x4000;
const SOL_SOCKET = 1, SCM_RIGHTS = 1;
/** struct cmsghdr: size_t length, int level, int type, then the descriptors. */
const HEADER_BYTES = 16;

koffi.struct('berth_iovec', { base: 'void *', length: 'size_t' });
koffi.struct('berth_msghdr', {
  name: 'void *', nameLength: 'unsigned int', iov: 'berth_iovec *', iovLength: 'size_t', control: 'void *', controlLength: 'size_t', flags: 'int',
});

const c = {
  sendmsg: libc('long sendmsg(int fd, const berth_msghdr *message, int flags)'),
  recvmsg: libc('long recvmsg(int fd, _Inout_ berth_msghdr *message, int flags)'),
};

/** Of a connected socket, whose bytes Node has all sent. */
export function descriptorOfSocket(socket: net.Socket): number {
  return (socket as unknown as { _handle: { fd: number } })._handle.fd;
}

/** The text is short enough to go in one piece. The receiver has a descriptor of its own then. Errors: system errors. */
export function sendDescriptor(socketFd: number, text: string, fd: number): void {
  const data = Buffer.from(text), control = Buffer.alloc(24);
  control.writeBigUInt64LE(BigInt(HEADER_BYTES + 4), 0);
  control.writeInt32LE(SOL_SOCKET, 8);
  control.writeInt32LE(SCM_RIGHTS, 12);
  control.writeInt32LE(fd, HEADER_BYTES);
  const message = { name: null, nameLength: 0, iov: [{ base: data, length: data.length }], iovLength: 1, control, controlLength: control.length, flags: 0 };
  const sent = checked('sendmsg', Number(c.sendmsg(socketFd, message, MSG_NOSIGNAL | MSG_DONTWAIT)));
  if (sent !== data.length) throw new BerthError('unavailable', 'The other side takes nothing.');
}

/** undefined: nothing there yet. The descriptor is close-on-exec. */
export function receiveDescriptor(socketFd: number): number | undefined {
  const data = Buffer.alloc(4096), control = Buffer.alloc(64);
  const message = {
    name: null, nameLength: 0, iov: [{ base: data, length: data.length }], iovLength: 1, control, controlLength: control.length, flags: 0,
  };
  const length = Number(c.recvmsg(socketFd, message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT));
  if (length < 0) {
    const error = systemError('recvmsg', koffi.errno());
    if (error.code === 'EAGAIN') return undefined;
    throw error;
  }
  if (length === 0 || message.controlLength < HEADER_BYTES + 4 || control.readInt32LE(8) !== SOL_SOCKET || control.readInt32LE(12) !== SCM_RIGHTS) {
    throw new BerthError('internal', 'The runtime sent something else than a terminal.');
  }
  return control.readInt32LE(HEADER_BYTES);
}
