/**
 * A conversation with a monitored process over conmon's attach socket (SOCK_SEQPACKET): one packet is one read of
 * conmon's; its first byte says which stream. Bytes to the process are sent as they are, at most 16 KiB a packet.
 */
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import koffi from 'koffi';
import { pullQueue, type PullQueue } from '../lib/pull-queue.ts';
import { BerthError } from '../model/errors.ts';
import { closeDescriptor, libc, openDescriptor, systemError } from './libc.ts';

const AF_UNIX = 1, SOCK_SEQPACKET = 5, SOCK_CLOEXEC = 0o2000000, SHUT_RD = 0, MSG_DONTWAIT = 0x40;
const O_PATH = 0o10000000;
const F_DUPFD_CLOEXEC = 1030;
/** conmon reads 32 KiB at once and cuts what is longer. */
const PACKET_BYTES = 16 * 1024;
const READ_BYTES = 64 * 1024;
/** Bytes held for a reader that does not come: beyond, the socket is not read and conmon, then the writer, waits. */
const HELD_BYTES = 256 * 1024;

const c = {
  socket: libc('int socket(int domain, int type, int protocol)'),
  connect: libc('int connect(int fd, const void *address, unsigned int length)'),
  recv: libc('long recv(int fd, _Out_ void *buffer, unsigned long length, int flags)'),
  shutdown: libc('int shutdown(int fd, int how)'),
  fcntl: libc('int fcntl(int fd, int command, int argument)'),
};

export interface AttachedChunk {
  readonly stream: 'stdout' | 'stderr';
  readonly data: Buffer;
}

export interface Attachment {
  write(data: Uint8Array): Promise<void>;
  endInput(): Promise<void>;
  /** One reader. Ends when the monitor is gone or the attachment is closed. */
  readonly output: AsyncIterable<AttachedChunk>;
  close(): void;
}

/**
 * Inputs that were let go without an end of file, by directory. conmon closes the process's standard input when a client
 * hangs up; a connection whose output side is shut is kept instead, so that the next client finds the input open.
 */
const parked = new Map<string, number>();

/** Closes a parked input. To be called when the unit is removed. */
export function dropParkedInput(dir: string): void {
  const fd = parked.get(dir);
  if (fd === undefined) return;
  parked.delete(dir);
  closeDescriptor(fd);
}

/** Errors: `wrongState` when no monitor listens. `keepInput`: a close without endInput leaves the input open. */
export function attachMonitored(dir: string, { keepInput }: { readonly keepInput: boolean }): Attachment {
  const fd = connectPacketSocket(path.join(dir, 'attach'));
  const spare = c.fcntl(fd, F_DUPFD_CLOEXEC, 3) as number;
  const attachment = new PacketAttachment(fd, spare, () => {
    if (!keepInput) return false;
    dropParkedInput(dir);
    parked.set(dir, spare);
    return true;
  });
  return attachment;
}

function connectPacketSocket(file: string): number {
  const fd = c.socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0) as number;
  if (fd < 0) throw systemError('socket', koffi.errno());
  let dirFd = -1;
  try {
    let name = file;
    if (Buffer.byteLength(file) > 107) { // sun_path; unix(7)
      dirFd = openDescriptor(path.dirname(file), O_PATH | fs.constants.O_DIRECTORY);
      name = `/proc/self/fd/${dirFd}/${path.basename(file)}`;
    }
    const address = Buffer.alloc(110);
    address.writeUInt16LE(AF_UNIX, 0);
    address.write(name, 2);
    if ((c.connect(fd, address, 2 + Buffer.byteLength(name) + 1) as number) < 0) throw systemError('connect', koffi.errno(), file);
    return fd;
  } catch (cause) {
    closeDescriptor(fd);
    throw new BerthError('wrongState', 'Nothing runs that could be attached to.', { cause });
  } finally {
    if (dirFd >= 0) closeDescriptor(dirFd);
  }
}

/** A stream over a descriptor of a kind that net.Socket refuses (SEQPACKET, the master of a terminal): the handle below it does not. */
export function socketOf(fd: number, onRead: (length: number, buffer: Uint8Array) => boolean): net.Socket {
  const binding = (process as unknown as { binding(name: string): { Pipe: new (type: number) => { open(fd: number): void } } }).binding('pipe_wrap');
  const handle = new binding.Pipe(0);
  handle.open(fd);
  return new net.Socket({
    handle, allowHalfOpen: true, readable: true, writable: true,
    onread: { buffer: Buffer.alloc(READ_BYTES), callback: onRead },
  } as unknown as net.SocketConstructorOpts);
}

class PacketAttachment implements Attachment {
  readonly #socket: net.Socket;
  readonly #spare: number;
  readonly #park: () => boolean;
  readonly #held: PullQueue<AttachedChunk>;
  #ended = false;
  #inputEnded = false;
  #closed = false;

  constructor(fd: number, spare: number, park: () => boolean) {
    this.#spare = spare;
    this.#park = park;
    this.#held = pullQueue(HELD_BYTES, () => { this.#socket.resume(); }, () => { this.close(); });
    this.#socket = socketOf(fd, (length, buffer) => this.#take(buffer.subarray(0, length)));
    this.#socket.on('error', () => { this.#drain(); });
    this.#socket.on('end', () => { this.#finish(); });
    this.#socket.on('close', () => { this.#finish(); });
    this.#socket.resume();
  }

  get output(): AsyncIterable<AttachedChunk> {
    return this.#held;
  }

  async write(data: Uint8Array): Promise<void> {
    for (let at = 0; at < data.length; at += PACKET_BYTES) {
      const packet = data.subarray(at, at + PACKET_BYTES);
      await new Promise<void>((resolve, reject) => {
        const refuse = (cause?: unknown): void => { reject(new BerthError('wrongState', 'The process does not take input any more.', { cause })); };
        if (this.#inputEnded || this.#ended || this.#closed) refuse();
        // One packet at a time: queued writes would be merged into one that conmon cuts.
        else this.#socket.write(packet, (error) => { if (error) refuse(error); else resolve(); });
      });
    }
  }

  endInput(): Promise<void> {
    if (this.#inputEnded || this.#ended || this.#closed) return Promise.resolve();
    this.#inputEnded = true;
    return new Promise((resolve) => {
      this.#socket.end(() => { resolve(); });
      this.#socket.once('close', () => { resolve(); });
    });
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    const kept = !this.#ended && !this.#inputEnded && this.#park();
    if (kept) c.shutdown(this.#spare, SHUT_RD);
    else closeDescriptor(this.#spare);
    this.#socket.destroy();
    this.#held.drop();
  }

  #take(packet: Uint8Array): boolean {
    return packet.length < 2 || this.#held.push({ stream: packet[0] === 3 ? 'stderr' : 'stdout', data: Buffer.from(packet.subarray(1)) }, packet.length);
  }

  /** A monitor that ends with input unread resets the connection; what it had written before is still to be read. */
  #drain(): void {
    if (!this.#closed && !this.#ended) {
      const buffer = Buffer.alloc(READ_BYTES);
      for (;;) {
        const length = Number(c.recv(this.#spare, buffer, buffer.length, MSG_DONTWAIT));
        if (length > 0) this.#take(buffer.subarray(0, length));
        else if (length === 0 || koffi.errno() !== 104 /* ECONNRESET is told once */) break;
      }
    }
    this.#finish();
  }

  #finish(): void {
    this.#ended = true;
    this.#held.end();
  }
}
