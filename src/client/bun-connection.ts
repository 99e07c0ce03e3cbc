/** Connections by Bun's own sockets. Only what is used of them is declared here: Bun's types would shadow Node's. */
import { ChunkQueue } from './chunk-queue.ts';
import type { Connection } from './connection.ts';
import type { Endpoint } from './endpoint.ts';
import { connectionLost, unreachable } from './unreachable.ts';

interface BunSocket {
  /** How many bytes the kernel took; negative when the socket is closed. */
  write(bytes: Uint8Array): number;
  shutdown(halfClose?: boolean): void;
  terminate(): void;
  pause(): void;
  resume(): void;
}
interface BunSocketHandlers {
  data(socket: BunSocket, chunk: Uint8Array): void;
  drain(socket: BunSocket): void;
  end(socket: BunSocket): void;
  close(socket: BunSocket): void;
  error(socket: BunSocket, error: Error): void;
}
declare const Bun: { connect(options: { unix: string; allowHalfOpen: boolean; socket: BunSocketHandlers }): Promise<BunSocket> };

export async function connectWithBun(endpoint: Endpoint): Promise<Connection> {
  let drained: (() => void) | undefined;
  let closed = false;
  const flow = { pause: () => socket.pause(), resume: () => socket.resume() };
  const queue = new ChunkQueue(flow);
  const socket = await Bun.connect({
    unix: endpoint.socketPath,
    allowHalfOpen: true,
    socket: {
      // Bun uses the chunk's memory again for the next one.
      data: (_, chunk) => queue.push(chunk.slice()),
      drain: () => drained?.(),
      end: () => queue.finish(),
      close() {
        closed = true;
        queue.finish();
        drained?.();
      },
      error(_, error) {
        closed = true;
        queue.finish(connectionLost(error));
        drained?.();
      },
    },
  }).catch((error: unknown) => { throw unreachable(endpoint, error); });

  async function send(bytes: Uint8Array): Promise<void> {
    let rest = bytes;
    while (!closed) {
      const taken = socket.write(rest);
      if (taken < 0) break;
      rest = rest.subarray(taken);
      if (rest.length === 0) return;
      await new Promise<void>((resolve) => { drained = resolve; });
      drained = undefined;
    }
    throw connectionLost();
  }

  let last: Promise<unknown> = Promise.resolve();
  let waiting = 0;
  return {
    write(bytes) {
      if (bytes.length === 0) return Promise.resolve();
      waiting++;
      const sent = waiting === 1 ? send(bytes) : last.then(() => send(bytes));
      last = sent.catch(() => undefined).finally(() => { waiting--; });
      return sent;
    },
    read: () => queue.read(),
    end: () => void last.then(() => { if (!closed) socket.shutdown(true); }),
    close() {
      closed = true;
      socket.terminate();
      queue.finish();
    },
  };
}
