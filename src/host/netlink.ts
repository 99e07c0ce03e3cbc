/**
 * Netlink sockets: build, send, and read messages (netlink(7), RFC 3549). Every call that enters the kernel runs on a
 * thread of the pool, because the kernel may make it wait (a dying network namespace holds the routing lock for
 * many milliseconds).
 */
import koffi from 'koffi';
import { checked, closeDescriptor, libc, systemError } from './libc.ts';

export const NETLINK_ROUTE = 0;
export const NETLINK_NETFILTER = 12;

export const NLM_F_REQUEST = 1, NLM_F_ACK = 4, NLM_F_DUMP = 0x300, NLM_F_EXCL = 0x200, NLM_F_CREATE = 0x400, NLM_F_APPEND = 0x800;
const NLMSG_ERROR = 2, NLMSG_DONE = 3;
const NLM_F_MULTI = 2;
const NLM_F_DUMP_INTR = 0x10;
const NLA_F_NESTED = 0x8000;
const NLA_TYPE_MASK = 0x3fff;
const HEADER_BYTES = 16;
const AF_NETLINK = 16, SOCK_RAW = 3, SOCK_CLOEXEC = 0o2000000;
const SOL_NETLINK = 270, NETLINK_EXT_ACK = 11, NETLINK_CAP_ACK = 10, NETLINK_GET_STRICT_CHK = 12;
const SOL_SOCKET = 1, SO_RCVTIMEO = 20;
/** An answer that does not come was lost for want of memory; whoever waits must not wait for ever. */
const ANSWER_TIMEOUT_SECONDS = 10;
const RECEIVE_BYTES = 64 * 1024;
const MAX_DUMP_TRIES = 5;

const c = {
  socket: libc('int socket(int family, int type, int protocol)'),
  setsockopt: libc('int setsockopt(int fd, int level, int name, const void *value, unsigned int length)'),
  send: libc('long send(int fd, const void *data, unsigned long length, int flags)'),
  recv: libc('long recv(int fd, void *data, unsigned long length, int flags)'),
};

/** One attribute: header, payload, padding to four bytes. */
export function attribute(type: number, payload: Uint8Array): Buffer {
  const length = 4 + payload.length;
  const bytes = Buffer.alloc((length + 3) & ~3);
  bytes.writeUInt16LE(length, 0);
  bytes.writeUInt16LE(type, 2);
  bytes.set(payload, 4);
  return bytes;
}

export function nested(type: number, ...children: readonly Uint8Array[]): Buffer {
  return attribute(type | NLA_F_NESTED, Buffer.concat(children));
}

export function attributeText(type: number, text: string): Buffer {
  return attribute(type, Buffer.from(`${text}\0`, 'latin1'));
}

export function attributeU8(type: number, value: number): Buffer {
  return attribute(type, Buffer.from([value]));
}

export function attributeU32(type: number, value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return attribute(type, bytes);
}

/** Big-endian, as nfnetlink wants its numbers. */
export function attributeU32BE(type: number, value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return attribute(type, bytes);
}

/** Attributes by type; of a repeated one the last wins. A length that lies ends the walk. */
export function attributes(bytes: Buffer): Map<number, Buffer> {
  const found = new Map<number, Buffer>();
  for (let at = 0; at + 4 <= bytes.length;) {
    const length = bytes.readUInt16LE(at);
    if (length < 4 || at + length > bytes.length) break;
    found.set(bytes.readUInt16LE(at + 2) & NLA_TYPE_MASK, bytes.subarray(at + 4, at + length));
    at += (length + 3) & ~3;
  }
  return found;
}

export interface NetlinkMessage {
  readonly type: number;
  readonly flags: number;
  readonly body: Buffer;
}

export interface NetlinkAnswer {
  readonly type: number;
  readonly body: Buffer;
}

/** What the kernel said to one message of a batch: 0 or a positive errno. */
export interface NetlinkResult {
  readonly errno: number;
  readonly detail: string;
}

function encode(message: NetlinkMessage, sequence: number): Buffer {
  const bytes = Buffer.alloc((HEADER_BYTES + message.body.length + 3) & ~3);
  bytes.writeUInt32LE(HEADER_BYTES + message.body.length, 0);
  bytes.writeUInt16LE(message.type, 4);
  bytes.writeUInt16LE(message.flags, 6);
  bytes.writeUInt32LE(sequence, 8);
  bytes.set(message.body, HEADER_BYTES);
  return bytes;
}

/** The text of an extended acknowledgement (NLMSGERR_ATTR_MSG); the original message's body is capped away. */
function detailOf(body: Buffer): string {
  const text = body.length > 20 ? attributes(body.subarray(20)).get(1) : undefined;
  return text === undefined ? '' : text.toString('latin1').replace(/\0+$/, '');
}

function inPool(call: ReturnType<typeof libc>, ...args: unknown[]): Promise<number> {
  return new Promise((resolve, reject) => {
    (call as unknown as { async(...args: unknown[]): void }).async(...args, (error: unknown, result: number | bigint) => {
      if (error === null || error === undefined) resolve(Number(result));
      else reject(error instanceof Error ? error : new Error(String(error)));
    });
  });
}

/** One netlink socket of the network namespace in which it was made. Requests run one after the other. */
export class NetlinkSocket implements Disposable {
  readonly #fd: number;
  #sequence = 1;
  #last: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(protocol: number) {
    this.#fd = checked('socket', c.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol));
    const on = Buffer.from([1, 0, 0, 0]);
    for (const option of [NETLINK_EXT_ACK, NETLINK_CAP_ACK]) checked('setsockopt', c.setsockopt(this.#fd, SOL_NETLINK, option, on, 4));
    const timeout = Buffer.alloc(16);
    timeout.writeBigInt64LE(BigInt(ANSWER_TIMEOUT_SECONDS));
    checked('setsockopt', c.setsockopt(this.#fd, SOL_SOCKET, SO_RCVTIMEO, timeout, 16));
    if (protocol === NETLINK_ROUTE) c.setsockopt(this.#fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, on, 4);
  }

  /** Sends all messages in one call and answers each one's result, in order. Messages without NLM_F_ACK count as done. */
  batch(messages: readonly NetlinkMessage[]): Promise<readonly NetlinkResult[]> {
    return this.#next(async () => {
      const first = this.#sequence;
      this.#sequence += messages.length;
      await this.#send(Buffer.concat(messages.map((message, i) => encode(message, first + i))));
      const results: NetlinkResult[] = messages.map(() => ({ errno: 0, detail: '' }));
      const waiting = new Set(messages.flatMap((message, i) => ((message.flags & NLM_F_ACK) === 0 ? [] : [first + i])));
      while (waiting.size > 0) {
        for (const { type, sequence, body } of await this.#receive()) {
          if (type !== NLMSG_ERROR || sequence < first) continue;
          const errno = -body.readInt32LE(0);
          if (errno !== 0) results[sequence - first] = { errno, detail: detailOf(body) };
          waiting.delete(sequence);
          // A batch of nfnetlink fails as a whole: the first reason is enough, late words are skipped by their number.
          if (errno !== 0 && messages.some((other) => other.type >>> 8 !== 0)) waiting.clear();
        }
      }
      return results;
    });
  }

  /** Sends one message and throws what the kernel holds against it. */
  async request(what: string, message: NetlinkMessage): Promise<void> {
    const [result] = await this.batch([{ ...message, flags: message.flags | NLM_F_REQUEST | NLM_F_ACK }]);
    if (result!.errno !== 0) throw systemError(what, result!.errno, result!.detail);
  }

  /** One question with one answer. */
  async get(what: string, message: NetlinkMessage): Promise<NetlinkAnswer> {
    return this.#next(async () => {
      const sequence = this.#sequence++;
      await this.#send(encode({ ...message, flags: message.flags | NLM_F_REQUEST }, sequence));
      for (;;) {
        for (const part of await this.#receive()) {
          if (part.sequence !== sequence) continue;
          if (part.type === NLMSG_ERROR) throw systemError(what, -part.body.readInt32LE(0), detailOf(part.body));
          return { type: part.type, body: part.body };
        }
      }
    });
  }

  /** All objects of a kind. Asked again when the kernel says that the list changed while it was read. */
  async dump(what: string, message: NetlinkMessage): Promise<readonly NetlinkAnswer[]> {
    for (let tries = 1; ; tries++) {
      const { answers, interrupted } = await this.#next(() => this.#dumpOnce(what, message));
      if (!interrupted || tries === MAX_DUMP_TRIES) return answers;
    }
  }

  async #dumpOnce(what: string, message: NetlinkMessage): Promise<{ answers: NetlinkAnswer[]; interrupted: boolean }> {
    const sequence = this.#sequence++;
    await this.#send(encode({ ...message, flags: NLM_F_REQUEST | NLM_F_DUMP }, sequence));
    const answers: NetlinkAnswer[] = [];
    let interrupted = false;
    for (;;) {
      for (const part of await this.#receive()) {
        if (part.sequence !== sequence) continue;
        if ((part.flags & NLM_F_DUMP_INTR) !== 0) interrupted = true;
        if (part.type === NLMSG_ERROR) throw systemError(what, -part.body.readInt32LE(0), detailOf(part.body));
        if (part.type === NLMSG_DONE) return { answers, interrupted };
        answers.push({ type: part.type, body: part.body });
        if ((part.flags & NLM_F_MULTI) === 0) return { answers, interrupted };
      }
    }
  }

  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    closeDescriptor(this.#fd);
  }

  #next<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work);
    this.#last = result.catch(() => undefined);
    return result;
  }

  async #send(bytes: Buffer): Promise<void> {
    if (this.#closed) throw new Error('the netlink socket is closed');
    const sent = await inPool(c.send, this.#fd, bytes, bytes.length, 0);
    if (sent !== bytes.length) throw systemError('send', koffi.errno(), 'netlink');
  }

  async #receive(): Promise<{ type: number; flags: number; sequence: number; body: Buffer }[]> {
    const buffer = Buffer.alloc(RECEIVE_BYTES);
    const length = await inPool(c.recv, this.#fd, buffer, RECEIVE_BYTES, 0);
    if (length < 0) throw systemError('recv', koffi.errno(), 'netlink');
    const parts = [];
    for (let at = 0; at + HEADER_BYTES <= length;) {
      const size = buffer.readUInt32LE(at);
      if (size < HEADER_BYTES || at + size > length) break;
      parts.push({ type: buffer.readUInt16LE(at + 4), flags: buffer.readUInt16LE(at + 6), sequence: buffer.readUInt32LE(at + 8), body: buffer.subarray(at + HEADER_BYTES, at + size) });
      at += (size + 3) & ~3;
    }
    return parts;
  }
}
