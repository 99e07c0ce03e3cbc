/** SO_PEERCRED of a unix socket: who is at the other end, as the kernel saw it connect (unix(7)). */
import type { Socket } from 'node:net';
import { libc } from './libc.ts';

const getsockopt = libc('int getsockopt(int fd, int level, int name, void *value, void *length)');
const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
const NOBODY_AT_ALL = 0xffff_ffff;

export interface PeerCredentials {
  /** 0 when it is in a process namespace that this one does not see. */
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/** undefined for a socket that is no unix socket or is closed. */
export function peerCredentials(socket: Socket): PeerCredentials | undefined {
  const fd = (socket as unknown as { _handle?: { fd?: number } })._handle?.fd;
  if (fd === undefined || fd < 0) return undefined;
  const value = Buffer.alloc(12);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(value.length);
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, value, length) !== 0) return undefined;
  const credentials = { pid: value.readInt32LE(0), uid: value.readUInt32LE(4), gid: value.readUInt32LE(8) };
  // What is no unix socket answers uid −1. A pid of 0 is somebody in another process namespace.
  return credentials.uid === NOBODY_AT_ALL ? undefined : credentials;
}
