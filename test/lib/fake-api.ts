/** The HTTP edge on a real unix socket, over a control plane of fakes. Who asks is what the test says. */
import { mkdtemp, rm } from 'node:fs/promises';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import type { PeerIdentity } from '../../src/api/caller.ts';
import type { Edge } from '../../src/api/context.ts';
import { makeServer } from '../../src/api/server.ts';
import { encodeFrame, encodeJsonFrame, FRAME, frameDecoder, jsonOfFrame, type Frame, type FrameType } from '../../src/lib/frames.ts';
import { objectId } from '../../src/model/ids.ts';
import { FakeWorld, type OpenOptions } from './fake-control.ts';
import { until } from './until.ts';

export interface ApiAnswer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly text: string;
  readonly body: any; // eslint-disable-line -- tests look into answers of every shape
}

export interface ApiOptions extends OpenOptions {
  readonly edge?: Partial<Edge>;
}

export class FakeApi implements AsyncDisposable {
  readonly world: FakeWorld;
  readonly socketPath: string;
  peer: PeerIdentity | undefined = { uid: 0, gid: 0, pid: 1 };
  readonly #dir: string;
  readonly #sockets = new Set<net.Socket>();
  readonly #agent = new http.Agent({ keepAlive: true });
  #close: () => Promise<void> = async () => undefined;

  private constructor(world: FakeWorld, dir: string) {
    this.world = world;
    this.#dir = dir;
    this.socketPath = path.join(dir, 'api.sock');
  }

  static async open(options: ApiOptions = {}): Promise<FakeApi> {
    const world = await FakeWorld.open(options);
    const api = new FakeApi(world, await mkdtemp(path.join(os.tmpdir(), 'berth-api-')));
    let requests = 0;
    const app = await makeServer({
      control: world.control, log: world.services.log, identifyPeer: () => api.peer, version: '0.0.0', features: [], requestId: () => `request-${++requests}`,
      readLog: (request) => api.#readLog(request), ...options.edge,
    });
    await app.listen({ path: api.socketPath });
    api.#close = async () => {
      app.server.closeAllConnections();
      await app.close();
    };
    return api;
  }

  async *#readLog({ files, follow, ended, signal }: Parameters<Edge['readLog']>[0]): ReturnType<Edge['readLog']> {
    const [file] = await files();
    const lines = this.world.containers.logs.get(objectId(path.basename(file ?? 'aaaaaaaaaaaa'))) ?? [];
    for (let at = 0; ; at++) {
      while (at >= lines.length) {
        if (!follow || ended() || signal.aborted) return;
        await new Promise((resolve) => setImmediate(resolve));
      }
      yield { time: '2026-03-01T12:00:00.000000000Z', ...lines[at]! };
    }
  }

  request(method: string, url: string, body?: unknown, headers: http.OutgoingHttpHeaders = {}): Promise<ApiAnswer> {
    return new Promise((resolve, reject) => {
      const text = body === undefined ? undefined : typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body);
      const all = { ...(text === undefined ? {} : { 'content-type': 'application/json', ...('transfer-encoding' in headers ? {} : { 'content-length': Buffer.byteLength(text) }) }), ...headers };
      const request = http.request({ socketPath: this.socketPath, method, path: url, headers: all, agent: this.#agent }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const raw = Buffer.concat(chunks).toString();
          let parsed: unknown = raw;
          try { parsed = JSON.parse(raw); } catch { /* not every answer is JSON */ }
          resolve({ status: response.statusCode!, headers: response.headers, text: raw, body: parsed });
        });
      });
      request.on('error', reject);
      request.end(text);
    });
  }

  /** Made through the API, and waited for. */
  async create(name: string, spec: Record<string, unknown> = {}): Promise<ApiAnswer> {
    return this.request('POST', '/v1/projects/default/instances?waitMs=60000', { meta: { name }, spec: { image: 'busybox', ...spec } });
  }

  connect(): net.Socket {
    const socket = net.connect({ path: this.socketPath, allowHalfOpen: true });
    socket.on('error', () => undefined); // being thrown out is an answer too
    this.#sockets.add(socket);
    return socket;
  }

  /** Bytes as they are; resolves with all that comes back until the server closes, or says nothing more. */
  async raw(bytes: string | Buffer, { waitMs = 300 }: { readonly waitMs?: number } = {}): Promise<string> {
    const socket = this.connect();
    let text = '';
    socket.setEncoding('latin1').on('data', (chunk: string) => { text += chunk; });
    socket.setTimeout(waitMs);
    const over = new Promise<void>((resolve) => { socket.once('end', resolve).once('close', resolve).once('timeout', resolve); });
    socket.write(bytes);
    await over;
    socket.destroy();
    return text;
  }

  stream(url: string, headers: Record<string, string> = {}): Promise<StreamClient> {
    const socket = this.connect();
    const lines = Object.entries({ Host: 'localhost', Connection: 'Upgrade', Upgrade: 'berth-stream/1', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`).join('');
    socket.write(`GET ${url} HTTP/1.1\r\n${lines}\r\n`);
    return StreamClient.over(socket);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#agent.destroy();
    await this.#close();
    await this.world[Symbol.asyncDispose]();
    await rm(this.#dir, { recursive: true, force: true });
  }
}

/** The client's side of a connection that left HTTP. */
export class StreamClient {
  readonly socket: net.Socket;
  /** Head of the answer, up to the empty line. */
  readonly head: string;
  readonly frames: Frame[] = [];
  ended = false;
  readonly #decoder = frameDecoder();

  private constructor(socket: net.Socket, head: string, rest: Buffer) {
    this.socket = socket;
    this.head = head;
    const take = (chunk: Buffer): void => { for (const frame of this.#decoder.push(chunk)) this.frames.push({ type: frame.type, payload: frame.payload.slice() }); };
    if (this.status === 101) {
      take(rest);
      socket.on('data', take);
    }
    socket.once('end', () => { this.ended = true; }).once('close', () => { this.ended = true; });
  }

  static over(socket: net.Socket): Promise<StreamClient> {
    return new Promise((resolve, reject) => {
      let got = Buffer.alloc(0);
      const look = (chunk: Buffer): void => {
        got = Buffer.concat([got, chunk]);
        const end = got.indexOf('\r\n\r\n');
        if (end < 0) return;
        socket.off('data', look);
        resolve(new StreamClient(socket, got.subarray(0, end).toString('latin1'), got.subarray(end + 4)));
      };
      socket.on('data', look);
      socket.once('close', () => reject(new Error(`closed before an answer: ${got.toString('latin1')}`)));
    });
  }

  get status(): number {
    return Number(this.head.split(' ')[1]);
  }

  json(type: FrameType, value: unknown): void {
    this.socket.write(encodeJsonFrame(type, value));
  }

  send(type: FrameType, payload?: Uint8Array): boolean {
    return this.socket.write(encodeFrame(type, payload));
  }

  text(type: FrameType = FRAME.stdout): string {
    return Buffer.concat(this.frames.filter((frame) => frame.type === type).map((frame) => frame.payload)).toString();
  }

  frame(type: FrameType): Promise<any> { // eslint-disable-line -- tests look into frames of every shape
    return until(() => {
      const found = this.frames.find((frame) => frame.type === type);
      return found === undefined ? undefined : (jsonOfFrame(found) as object);
    }, { intervalMs: 5, what: `a frame of type ${type}; there are ${this.frames.map((frame) => frame.type).join(' ')}` });
  }

  async end(): Promise<void> {
    await until(() => this.ended, { intervalMs: 5, what: 'the end of the connection' });
  }
}
