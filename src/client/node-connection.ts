/** Connections by node:net. */
import { ChunkQueue } from './chunk-queue.ts';
import type { Connection } from './connection.ts';
import type { Endpoint } from './endpoint.ts';
import { connectionLost, unreachable } from './unreachable.ts';

export async function connectWithNode(endpoint: Endpoint): Promise<Connection> {
  // Loaded here: Bun, which bundles this file too, would load it at every start.
  const net = await import('node:net');
  const socket = net.createConnection({ path: endpoint.socketPath, allowHalfOpen: true });
  const queue = new ChunkQueue(socket);
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', (error) => reject(unreachable(endpoint, error)));
  });
  socket.on('data', (chunk: Uint8Array) => queue.push(chunk));
  socket.on('end', () => queue.finish());
  socket.on('error', (error) => queue.finish(connectionLost(error)));
  socket.on('close', () => queue.finish());
  return {
    write: (bytes) => new Promise((resolve, reject) => {
      socket.write(bytes, (error) => (error == null ? resolve() : reject(connectionLost(error))));
    }),
    read: () => queue.read(),
    end: () => { socket.end(); },
    close: () => { socket.destroy(); },
  };
}
