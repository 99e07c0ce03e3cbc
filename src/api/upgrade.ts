/** Connections that leave HTTP for frames: run, exec and attach. The same checks as for every other route come first. */
import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Socket } from 'node:net';
import { BerthError } from '../model/errors.ts';
import { ROUTES, type Route } from '../model/routes.ts';
import { VERBS } from '../model/verbs.ts';
import { describe } from '../control/journal.ts';
import type { Edge } from './context.ts';
import { FrameSocket } from './frame-socket.ts';
import { EDGE_GUARDS } from './guards.ts';
import { problemOf } from './problem.ts';
import { attachStream, execStream, runStream, type StreamCall } from './conversation.ts';

export const STREAM_PROTOCOL = 'berth-stream/1';
const REQUEST_DEADLINE_MS = 10_000;

const streams: Readonly<Record<string, (call: StreamCall) => Promise<void>>> = {
  'instance.run': runStream, 'instance.exec': execStream, 'instance.attach': attachStream,
};

const upgradeRoutes = ROUTES.filter((route) => route.stream === 'upgrade').map((route) => ({
  route, pattern: new RegExp(`^${route.path.replaceAll(/\{(\w+)\}/g, '(?<$1>[^/?]{1,128})')}$`),
}));

/** Returns the way to cut every conversation: the server no longer counts them among its connections. */
export function acceptUpgrades(server: Server, edge: Edge): () => void {
  const open = new Set<Duplex>();
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    open.add(socket);
    socket.on('error', () => socket.destroy()).once('close', () => open.delete(socket));
    void serve(edge, request, socket as Socket, head);
  });
  return () => { for (const socket of open) socket.destroy(); };
}

function routeOf(url: string): { readonly route: Route; readonly project: string; readonly name: string } | undefined {
  for (const { route, pattern } of upgradeRoutes) {
    const match = pattern.exec(url);
    if (match !== null) return { route, project: decoded(match.groups?.['project']), name: decoded(match.groups?.['name']) };
  }
  return undefined;
}

function decoded(text = ''): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new BerthError('invalid', 'The address is not well-formed.');
  }
}

async function serve(edge: Edge, request: IncomingMessage, socket: Socket, head: Buffer): Promise<void> {
  const requestId = edge.requestId();
  const guards = edge.guards ?? EDGE_GUARDS;
  try {
    guards.notCrossSite(request.headers);
    const found = request.method === 'GET' ? routeOf(request.url ?? '') : undefined;
    if (found === undefined) throw new BerthError('notFound', 'There is no stream here.');
    if (request.headers.upgrade !== STREAM_PROTOCOL) throw new BerthError('invalid', `The Upgrade header must be ${STREAM_PROTOCOL}.`);
    const caller = guards.caller(edge.identifyPeer(socket), requestId);
    guards.permission(caller, VERBS[found.route.verb].permission);
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${STREAM_PROTOCOL}\r\nX-Request-Id: ${requestId}\r\n\r\n`);
    const frames = new FrameSocket(socket, head, edge.control.services.clock);
    try {
      const body = await frames.request(REQUEST_DEADLINE_MS);
      await streams[found.route.verb]!({ edge, caller, project: found.project, name: found.name, body, frames });
      frames.end();
    } catch (error) {
      if (!(error instanceof BerthError)) edge.log.error({ requestId, url: request.url, error: describe(error) }, 'a stream met a bug');
      frames.fail(problemOf(error, requestId));
    }
  } catch (error) {
    const problem = problemOf(error, requestId);
    const text = JSON.stringify(problem);
    socket.end(`HTTP/1.1 ${problem.status} ${problem.title}\r\nContent-Type: application/problem+json\r\nContent-Length: ${Buffer.byteLength(text)}\r\nConnection: close\r\nX-Request-Id: ${requestId}\r\n\r\n${text}`);
  }
}
