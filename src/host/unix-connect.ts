/** Connects to a unix socket whose path may be longer than an address holds (107 bytes; unix(7)). */
import { constants } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { closeDescriptor, openDescriptor } from './libc.ts';

const MAX_ADDRESS_BYTES = 107;
const O_PATH = 0o10000000;

export function connectUnix(file: string): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const dirFd = Buffer.byteLength(file) > MAX_ADDRESS_BYTES ? openDescriptor(path.dirname(file), O_PATH | constants.O_DIRECTORY) : -1;
    const socket = net.connect({ path: dirFd < 0 ? file : `/proc/self/fd/${dirFd}/${path.basename(file)}` });
    const settle = (): void => {
      if (dirFd >= 0) closeDescriptor(dirFd);
    };
    socket.once('connect', () => {
      settle();
      socket.removeListener('error', reject);
      resolve(socket);
    });
    socket.once('error', (error) => {
      settle();
      reject(error);
    });
  });
}
