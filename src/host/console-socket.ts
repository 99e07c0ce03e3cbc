/**
 * The master side of a terminal that a runtime makes inside a container: it comes as a descriptor over a unix socket
 * (OCI's --console-socket). ioctl(2) is what Node lacks.
 */
import fs from 'node:fs';
import net from 'node:net';
import koffi from 'koffi';
import { BerthError } from '../model/errors.ts';
import { descriptorOfSocket, receiveDescriptor } from './descriptor-message.ts';
import { closeDescriptor, libc, systemError } from './libc.ts';

const TIOCSWINSZ = 0x5414;

const c = {
  ioctl: libc('int ioctl(int fd, unsigned long request, const void *argument)'),
};

export interface ConsoleSocket extends Disposable {
  readonly path: string;
  /** Descriptor of the master, close-on-exec; the caller's to close. Rejects when the socket is disposed of before it came. */
  readonly master: Promise<number>;
}

/** Listens at `path` (in a directory of mode 0700), takes one connection and one descriptor. */
export async function openConsoleSocket(path: string): Promise<ConsoleSocket> {
  const arrived = Promise.withResolvers<number>();
  arrived.promise.catch(() => undefined);
  let wanted = true;
  const server = net.createServer({ pauseOnConnect: true }, (connection) => {
    server.close();
    connection.on('error', () => undefined);
    void receive(connection, () => wanted).then((fd) => {
      if (wanted) arrived.resolve(fd);
      else closeDescriptor(fd);
    }, arrived.reject).finally(() => { connection.destroy(); });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
  return {
    path, master: arrived.promise,
    [Symbol.dispose]() {
      wanted = false;
      server.close();
      fs.rmSync(path, { force: true });
      arrived.reject(new BerthError('unavailable', 'No terminal came from the runtime.'));
    },
  };
}

/** Between two looks at whether the message is there: the first ones quick, as it usually is. */
const QUICK_LOOKS = 20, QUICK_MS = 1, SLOW_MS = 10;

/** The runtime connects first and sends when it has made the terminal. Reading it must not take the bytes without the descriptor. */
async function receive(connection: net.Socket, wanted: () => boolean): Promise<number> {
  const socketFd = descriptorOfSocket(connection);
  for (let look = 0; wanted(); look++) {
    const fd = receiveDescriptor(socketFd);
    if (fd !== undefined) return fd;
    await new Promise((resolve) => setTimeout(resolve, look < QUICK_LOOKS ? QUICK_MS : SLOW_MS));
  }
  throw new BerthError('unavailable', 'The runtime connected and sent no terminal.');
}

export function setTerminalSize(masterFd: number, size: { readonly rows: number; readonly columns: number }): void {
  const winsize = Buffer.alloc(8);
  winsize.writeUInt16LE(Math.min(65_535, Math.max(1, Math.trunc(size.rows))), 0);
  winsize.writeUInt16LE(Math.min(65_535, Math.max(1, Math.trunc(size.columns))), 2);
  if ((c.ioctl(masterFd, TIOCSWINSZ, winsize) as number) < 0) throw systemError('ioctl', koffi.errno(), 'TIOCSWINSZ');
}

