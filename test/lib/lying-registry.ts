/**
 * A registry on loopback that keeps what it is given as files, answers honestly, and lies where a test tells it to. It
 * remembers every request and every connection.
 */
import http, { type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { digestOf, type BuiltImage } from './image-builder.ts';

export interface Ask {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** How often this method and path were asked before. */
  readonly before: number;
}

/** True when it answered. */
export type Lie = (ask: Ask, response: ServerResponse) => boolean;

export interface LyingRegistry extends AsyncDisposable {
  /** HOST:PORT */
  readonly host: string;
  readonly port: number;
  readonly asked: readonly Ask[];
  /** TCP connections so far. */
  connections(): number;
  readonly blobs: Map<string, Uint8Array>;
  /** By digest and by tag. */
  readonly manifests: Map<string, { readonly bytes: Uint8Array; readonly mediaType: string }>;
  lie: Lie | undefined;
  /** Its manifest under `tag`; the digest. */
  add(image: BuiltImage, tag?: string): string;
  addManifest(value: unknown, mediaType: string, tag?: string): { readonly mediaType: string; readonly digest: string; readonly size: number };
}

export interface LyingRegistryOptions {
  readonly address?: string;
  readonly port?: number;
  readonly tls?: { readonly cert: string; readonly key: string };
}

export async function startLyingRegistry({ address = '127.0.0.1', port = 0, tls }: LyingRegistryOptions = {}): Promise<LyingRegistry> {
  const asked: Ask[] = [];
  let connections = 0;
  const blobs = new Map<string, Uint8Array>();
  const manifests = new Map<string, { readonly bytes: Uint8Array; readonly mediaType: string }>();
  const answer = (request: http.IncomingMessage, response: ServerResponse): void => {
    request.resume();
    response.on('error', () => undefined);
    const path = request.url!;
    const method = request.method!;
    const ask: Ask = { method, path, headers: request.headers, before: asked.filter((one) => one.method === method && one.path === path).length };
    asked.push(ask);
    if (registry.lie?.(ask, response) === true) return;
    const [, kind, name] = /\/(manifests|blobs)\/([^/?]+)$/.exec(path) ?? [];
    const manifest = kind === 'manifests' ? manifests.get(name!) : undefined;
    if (manifest !== undefined) send(response, ask, manifest.bytes, manifest.mediaType);
    else if (kind === 'blobs' && blobs.has(name!)) send(response, ask, blobs.get(name!)!, 'application/octet-stream');
    else response.writeHead(path === '/v2/' ? 200 : 404, { 'content-type': 'application/json' }).end('{"errors":[{"code":"UNKNOWN","message":"nothing here"}]}');
  };
  const server = tls === undefined ? http.createServer(answer) : https.createServer(tls, answer);
  server.on('connection', () => { connections++; });
  server.on('clientError', (_error, socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, address, resolve));
  const own = (server.address() as AddressInfo).port;
  const registry: LyingRegistry = {
    host: `${address}:${own}`, port: own, asked, blobs, manifests, lie: undefined,
    connections: () => connections,
    add(image, tag) {
      for (const [path, bytes] of image.files) if (path.startsWith('blobs/sha256/')) blobs.set(`sha256:${path.slice('blobs/sha256/'.length)}`, bytes);
      const bytes = blobs.get(image.manifestDigest)!;
      const { mediaType = 'application/vnd.oci.image.manifest.v1+json' } = readJson(bytes);
      for (const name of [image.manifestDigest, ...(tag === undefined ? [] : [tag])]) manifests.set(name, { bytes, mediaType });
      return image.manifestDigest;
    },
    addManifest(value, mediaType, tag) {
      const bytes = typeof value === 'string' ? Buffer.from(value) : Buffer.from(JSON.stringify(value));
      for (const name of [digestOf(bytes), ...(tag === undefined ? [] : [tag])]) manifests.set(name, { bytes, mediaType });
      return { mediaType, digest: digestOf(bytes), size: bytes.length };
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return registry;
}

function readJson(bytes: Uint8Array): { mediaType?: string } {
  try {
    return JSON.parse(Buffer.from(bytes).toString()) as { mediaType?: string };
  } catch {
    return {};
  }
}

/** Where the answer begins: honest registries know ranges. */
export function rangeStart(ask: Ask): number {
  return Number(/^bytes=(\d+)-$/.exec(ask.headers.range ?? '')?.[1] ?? 0);
}

export function send(response: ServerResponse, ask: Ask, bytes: Uint8Array, contentType: string): void {
  const start = rangeStart(ask);
  const rest = bytes.subarray(start);
  response.writeHead(start === 0 ? 200 : 206, {
    'content-type': contentType, 'content-length': rest.length, ...(start === 0 ? {} : { 'content-range': `bytes ${start}-${bytes.length - 1}/${bytes.length}` }),
  });
  response.end(ask.method === 'HEAD' ? undefined : rest);
}

/** Each connection is cut after so many bytes. */
export function cutEvery(registry: LyingRegistry, bytes: number): Lie {
  return (ask, response) => {
    const blob = registry.blobs.get(ask.path.split('/').at(-1)!);
    if (!ask.path.includes('/blobs/') || blob === undefined) return false;
    const start = rangeStart(ask);
    if (blob.length - start <= bytes) return false;
    response.writeHead(start === 0 ? 200 : 206, { 'content-length': blob.length - start, ...(start === 0 ? {} : { 'content-range': `bytes ${start}-${blob.length - 1}/${blob.length}` }) });
    response.write(blob.subarray(start, start + bytes), () => response.destroy());
    return true;
  };
}

/** One byte at a time. */
export function drip(registry: LyingRegistry, intervalMs: number): Lie {
  return (ask, response) => {
    const blob = registry.blobs.get(ask.path.split('/').at(-1)!);
    if (!ask.path.includes('/blobs/') || blob === undefined) return false;
    let at = rangeStart(ask);
    response.writeHead(at === 0 ? 200 : 206, { ...(at === 0 ? {} : { 'content-range': `bytes ${at}-${blob.length - 1}/${blob.length}` }) });
    const timer = setInterval(() => {
      if (at < blob.length) response.write(blob.subarray(at, ++at));
      else response.end();
    }, intervalMs);
    response.once('close', () => clearInterval(timer));
    return true;
  };
}

/** Other bytes of the same length. */
export function corrupt(bytes: Uint8Array): Uint8Array {
  const other = Buffer.from(bytes);
  const at = Math.floor(other.length / 2);
  other[at] = other[at]! ^ 1;
  return other;
}
