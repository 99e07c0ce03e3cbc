/** A stand-in for the daemon that speaks its wire format on a unix socket: what a test does not script is a 404. */
import { mkdtemp, rm } from 'node:fs/promises';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import type { Duplex } from 'node:stream';
import { encodeFrame, encodeJsonFrame, FRAME, frameDecoder, jsonOfFrame, type Frame, type FrameType } from '../../src/lib/frames.ts';

export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Buffer;
}

/** Answers a value as JSON, or writes to the response itself and answers undefined. */
export type Answer = (request: SeenRequest, response: http.ServerResponse) => unknown;

/** The other end of a stream; `request` was its first frame. */
export interface Talk {
  readonly request: unknown;
  send(type: FrameType, payload: Uint8Array | string | object): Promise<void>;
  frames(): AsyncGenerator<Frame>;
  end(): void;
  destroy(): void;
}

export class WireServer implements AsyncDisposable {
  readonly #server = http.createServer();
  readonly #sockets = new Set<Duplex>();
  readonly directory: string;
  readonly requests: SeenRequest[] = [];
  /** By `METHOD /path`. */
  readonly routes = new Map<string, Answer>();
  /** By path. */
  readonly streams = new Map<string, (talk: Talk) => Promise<void>>();

  private constructor(directory: string) {
    this.directory = directory;
  }

  static async start(): Promise<WireServer> {
    const server = new WireServer(await mkdtemp(path.join(os.tmpdir(), 'berth-wire-')));
    server.#server.on('request', (request, response) => void server.#answer(request, response));
    server.#server.on('upgrade', (request, socket, head) => void server.#talk(request, socket, head));
    server.#server.on('connection', (socket) => {
      server.#sockets.add(socket);
      socket.on('error', () => undefined).on('close', () => server.#sockets.delete(socket));
    });
    await new Promise<void>((resolve) => { server.#server.listen(server.socketPath, resolve); });
    return server;
  }

  get socketPath(): string {
    return path.join(this.directory, 's');
  }

  get host(): string {
    return `unix:${this.socketPath}`;
  }

  async #answer(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://localhost');
    const parts: Buffer[] = [];
    try {
      for await (const part of request) parts.push(part as Buffer);
    } catch {
      // Who asked went away within the body: there is nobody to answer.
      return;
    }
    const seen = { method: request.method ?? '', path: url.pathname, query: url.searchParams, headers: request.headers, body: Buffer.concat(parts) };
    this.requests.push(seen);
    const route = this.routes.get(`${seen.method} ${seen.path}`);
    if (route === undefined) return void problem(response, { status: 404, code: 'notFound', detail: `There is no ${seen.method} ${seen.path}.` });
    const value = await route(seen, response);
    if (value !== undefined) response.setHeader('content-type', 'application/json').end(JSON.stringify(value));
  }

  async #talk(request: http.IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const stream = this.streams.get(request.url ?? '');
    if (stream === undefined || request.headers.upgrade !== 'berth-stream/1') return void socket.end('HTTP/1.1 404 Not Found\r\nContent-Type: application/problem+json\r\nContent-Length: 42\r\n\r\n{"code":"notFound","detail":"No stream."  }');
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: berth-stream/1\r\n\r\n');
    const closed = new Promise<void>((resolve) => { socket.once('close', resolve); });
    const frames = framesOf(socket, head);
    const first = await frames.next();
    if (first.done === true || first.value.type !== FRAME.request) return void socket.destroy();
    await stream({
      request: jsonOfFrame(first.value),
      frames: () => frames,
      async send(type, payload) {
        const frame = payload instanceof Uint8Array ? encodeFrame(type, payload) : typeof payload === 'string' ? encodeFrame(type, Buffer.from(payload)) : encodeJsonFrame(type, payload);
        if (!socket.destroyed && !socket.write(frame)) await Promise.race([new Promise<void>((resolve) => { socket.once('drain', resolve); }), closed]);
      },
      end: () => { socket.end(); },
      destroy: () => { socket.destroy(); },
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => { this.#server.close(resolve); });
    await rm(this.directory, { recursive: true, force: true });
  }
}

async function* framesOf(socket: Duplex, head: Buffer): AsyncGenerator<Frame> {
  const decoder = frameDecoder();
  yield* decoder.push(head);
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) yield* decoder.push(chunk as Buffer);
}

export function problem(response: http.ServerResponse, value: { readonly status: number } & Readonly<Record<string, unknown>>): void {
  response.writeHead(value.status, { 'content-type': 'application/problem+json' }).end(JSON.stringify(value));
}
