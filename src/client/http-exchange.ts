/**
 * HTTP/1.1 (RFC 9112) as far as the daemon speaks it: one request on a connection, an answer with a length, in chunks,
 * until the end, or a change of protocol. By hand because loading an HTTP library takes longer than the whole exchange.
 */
import { BerthError } from '../model/errors.ts';
import { ByteReader, joined } from './byte-reader.ts';
import type { Connection } from './connection.ts';
import { connectionLost } from './unreachable.ts';

export interface HttpRequest {
  readonly method: string;
  /** Path and query, encoded. */
  readonly target: string;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Bytes of known length, or a stream that is sent in chunks. */
  readonly body?: Uint8Array | AsyncIterable<Uint8Array> | undefined;
}

export interface HttpResponse {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  /** The next bytes of the body; undefined at its end. */
  read(): Promise<Uint8Array | undefined>;
  /** After a 101: what comes after the head, read like a body that lasts until the connection's end. */
  readonly connection: Connection;
}

const MAX_HEAD_BYTES = 32 * 1024;
const MAX_LINE_BYTES = 1024;
const encoder = new TextEncoder();
const HEAD_END = encoder.encode('\r\n\r\n');
const LINE_END = encoder.encode('\r\n');

/** @throws what the stream of the body throws: the server would wait for the rest of it for ever. */
export async function exchange(connection: Connection, request: HttpRequest): Promise<HttpResponse> {
  const source = Promise.withResolvers<never>();
  source.promise.catch(() => undefined);
  const body = request.body === undefined || request.body instanceof Uint8Array ? request.body : watched(request.body, source.reject);
  return Promise.race([answerOf(connection, { ...request, body }), source.promise]);
}

async function* watched(body: AsyncIterable<Uint8Array>, broken: (error: unknown) => void): AsyncGenerator<Uint8Array> {
  try {
    yield* body;
  } catch (error) {
    broken(error);
    throw error;
  }
}

async function answerOf(connection: Connection, request: HttpRequest): Promise<HttpResponse> {
  const sent = sendRequest(connection, request);
  // A server may answer before it took the whole body, and then close: its answer says more than the broken pipe.
  sent.catch(() => undefined);
  const reader = new ByteReader(() => connection.read());
  let head = await readHead(reader, sent);
  while (head.status === 100) head = await readHead(reader, sent);
  return { ...head, read: bodyReader(reader, head, request.method), connection };
}

async function sendRequest(connection: Connection, { method, target, headers = {}, body }: HttpRequest): Promise<void> {
  let head = `${method} ${target} HTTP/1.1\r\nHost: localhost\r\n`;
  for (const [name, value] of Object.entries(headers)) {
    if (/[\r\n\0]/.test(name + value)) throw new BerthError('invalid', `The value of ${name} may not hold line breaks.`);
    head += `${name}: ${value}\r\n`;
  }
  if (body === undefined) {
    await connection.write(encoder.encode(`${head}${method === 'GET' ? '' : 'Content-Length: 0\r\n'}\r\n`));
  } else if (body instanceof Uint8Array) {
    const start = encoder.encode(`${head}Content-Length: ${body.length}\r\n\r\n`);
    await connection.write(joined([start, body], start.length + body.length));
  } else {
    await connection.write(encoder.encode(`${head}Transfer-Encoding: chunked\r\n\r\n`));
    for await (const chunk of body) {
      if (chunk.length === 0) continue;
      const start = encoder.encode(`${chunk.length.toString(16)}\r\n`);
      await connection.write(joined([start, chunk, encoder.encode('\r\n')], start.length + chunk.length + 2));
    }
    await connection.write(encoder.encode('0\r\n\r\n'));
  }
}

type Head = Pick<HttpResponse, 'status' | 'headers'>;

async function readHead(reader: ByteReader, sent: Promise<void>): Promise<Head> {
  const text = await reader.until(HEAD_END, MAX_HEAD_BYTES).catch(async (error: unknown) => {
    if (error instanceof RangeError) throw noHttp();
    await sent;
    throw error;
  });
  if (text === undefined) {
    await sent;
    throw connectionLost();
  }
  const [first = '', ...lines] = text.split('\r\n');
  const status = /^HTTP\/1\.[01] (\d{3})(?: |$)/.exec(first)?.[1];
  if (status === undefined) throw noHttp();
  const headers = new Map<string, string>();
  for (const line of lines) {
    const colon = line.indexOf(':');
    if (colon <= 0) throw noHttp();
    headers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
  }
  return { status: Number(status), headers };
}

async function line(reader: ByteReader): Promise<string | undefined> {
  try {
    return await reader.until(LINE_END, MAX_LINE_BYTES);
  } catch (error) {
    throw error instanceof RangeError ? noHttp() : error;
  }
}

function bodyReader(reader: ByteReader, { status, headers }: Head, method: string): () => Promise<Uint8Array | undefined> {
  if (status === 101) return () => reader.some();
  if (status === 204 || status === 304 || method === 'HEAD') return async () => undefined;
  if (/\bchunked\b/i.test(headers.get('transfer-encoding') ?? '')) return chunkedReader(reader);
  const length = headers.get('content-length');
  if (length === undefined) return () => reader.some();
  if (!/^\d{1,15}$/.test(length)) throw noHttp();
  let left = Number(length);
  return async () => {
    if (left === 0) return undefined;
    const chunk = await reader.some(left);
    if (chunk === undefined) throw connectionLost();
    left -= chunk.length;
    return chunk;
  };
}

function chunkedReader(reader: ByteReader): () => Promise<Uint8Array | undefined> {
  let left = 0;
  let ended = false;
  return async () => {
    if (ended) return undefined;
    if (left === 0) {
      const size = /^([0-9a-fA-F]{1,12})(?:;|$)/.exec((await line(reader)) ?? '')?.[1];
      if (size === undefined) throw connectionLost();
      left = Number.parseInt(size, 16);
      if (left === 0) {
        for (let trailer = await line(reader); trailer !== '' && trailer !== undefined;) trailer = await line(reader);
        ended = true;
        return undefined;
      }
    }
    const chunk = await reader.some(left);
    if (chunk === undefined) throw connectionLost();
    left -= chunk.length;
    if (left === 0) await line(reader);
    return chunk;
  };
}

function noHttp(): BerthError {
  return new BerthError('unavailable', 'What answers at the socket does not speak HTTP as the daemon does.', { hint: 'Does --host or BERTH_HOST name the socket of a Berth daemon?' });
}
