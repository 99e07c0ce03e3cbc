/**
 * The one door between the client and the runtime's sockets. Two implementations stand behind it, because Bun's own
 * sockets start 10 ms faster there than node:net, and Node has no others.
 */
import { connectWithBun } from './bun-connection.ts';
import type { Endpoint } from './endpoint.ts';
import { connectWithNode } from './node-connection.ts';

/** A byte stream, pulled by its reader: what nobody reads stays in the kernel and holds back the sender. */
export interface Connection {
  /** Resolves when the kernel took the bytes. Calls are carried out in their order. */
  write(bytes: Uint8Array): Promise<void>;
  /** The next bytes; undefined at the end of the stream. One call at a time. */
  read(): Promise<Uint8Array | undefined>;
  /** No more writes; the other direction stays open. */
  end(): void;
  close(): void;
}

export type Connect = (endpoint: Endpoint) => Promise<Connection>;

/** @throws BerthError `unavailable` or `forbidden` with what to do about it. */
export const connect: Connect = (endpoint) => ((globalThis as { Bun?: unknown }).Bun === undefined ? connectWithNode(endpoint) : connectWithBun(endpoint));
