/** etcd's v3 API over its JSON gateway (https://etcd.io/docs/v3.4/dev-guide/api_grpc_gateway/): bytes in base64, int64 as text. */
import http from 'node:http';
import https from 'node:https';
import { BerthError } from '../../../model/errors.ts';

export interface EtcdTls {
  readonly ca: string | Buffer;
  readonly cert?: string | Buffer | undefined;
  readonly key?: string | Buffer | undefined;
}

export interface EtcdEndpoints {
  /** `https://HOST:PORT`, or `http://` for loopback. Tried in turn. */
  readonly endpoints: readonly string[];
  readonly tls?: EtcdTls | undefined;
  readonly timeoutMs?: number | undefined;
}

export interface Gateway extends Disposable {
  /** Answers one JSON object. Throws EtcdError for what etcd refuses, BerthError when nobody answers. */
  call(path: string, body: object, options: { readonly repeatable: boolean }): Promise<Record<string, unknown>>;
  /** Answers a stream of JSON objects, read no faster than they are taken. */
  stream(path: string, body: object, signal: AbortSignal): AsyncIterable<Record<string, unknown>>;
}

/** What etcd itself refused; `grpcCode` as in google.golang.org/grpc/codes. */
export class EtcdError extends Error {
  readonly grpcCode: number;
  constructor(grpcCode: number, message: string) {
    super(message);
    this.name = 'EtcdError';
    this.grpcCode = grpcCode;
  }
}

const DEFAULT_TIMEOUT_MS = 10_000;
const MAX_ANSWER_BYTES = 256 * 1024 * 1024;
const KEEP_ALIVE_MS = 15_000;
/** Errors of a request that cannot have reached etcd. */
const NOT_SENT = new Set(['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOTFOUND', 'EAI_AGAIN']);

export function etcdGateway({ endpoints, tls, timeoutMs = DEFAULT_TIMEOUT_MS }: EtcdEndpoints): Gateway {
  if (endpoints.length === 0) throw new BerthError('invalid', 'etcd needs at least one endpoint.');
  const bases = endpoints.map((endpoint) => new URL(endpoint));
  const secure = { ...(tls === undefined ? {} : { ca: tls.ca, cert: tls.cert, key: tls.key }), minVersion: 'TLSv1.2' as const };
  const agents = { 'http:': new http.Agent({ keepAlive: true, maxSockets: 64 }), 'https:': new https.Agent({ keepAlive: true, maxSockets: 64, ...secure }) };
  let preferred = 0;

  /** The response of the first endpoint that answers. */
  async function send(path: string, body: object, signal: AbortSignal | undefined, repeatable: boolean): Promise<http.IncomingMessage> {
    const payload = Buffer.from(JSON.stringify(body));
    let last: unknown;
    for (let tries = 0; tries < bases.length; tries++) {
      const index = (preferred + tries) % bases.length;
      try {
        const response = await request(bases[index]!, path, payload, signal);
        preferred = index;
        return response;
      } catch (error) {
        last = error;
        if (signal?.aborted === true) break;
        if (!repeatable && !NOT_SENT.has((error as NodeJS.ErrnoException).code ?? '')) throw unanswered(error, false);
      }
    }
    throw unanswered(last, repeatable);
  }

  function request(base: URL, path: string, payload: Buffer, signal: AbortSignal | undefined): Promise<http.IncomingMessage> {
    return new Promise((resolve, reject) => {
      const door = base.protocol === 'https:' ? https : http;
      const outgoing = door.request(new URL(path, base), {
        method: 'POST',
        agent: base.protocol === 'https:' ? agents['https:'] : agents['http:'],
        headers: { 'content-type': 'application/json', 'content-length': payload.length },
        ...(signal === undefined ? { timeout: timeoutMs } : { signal }),
      }, resolve);
      outgoing.on('socket', (socket) => socket.setKeepAlive(true, KEEP_ALIVE_MS));
      outgoing.on('timeout', () => outgoing.destroy(Object.assign(new Error(`no answer within ${timeoutMs} ms`), { code: 'ETIMEDOUT' })));
      outgoing.on('error', reject);
      outgoing.end(payload);
    });
  }

  return {
    async call(path, body, { repeatable }) {
      const response = await send(path, body, undefined, repeatable);
      let answer: Record<string, unknown>;
      try {
        answer = JSON.parse(Buffer.concat(await collect(response)).toString('utf8')) as Record<string, unknown>;
      } catch (error) {
        throw unanswered(error, repeatable);
      }
      if (response.statusCode === 200) return answer;
      throw refusal(answer);
    },
    async *stream(path, body, signal) {
      const response = await send(path, body, signal, true);
      try {
        for await (const line of lines(response)) {
          const message = JSON.parse(line) as Record<string, unknown>;
          if (message['error'] !== undefined) throw refusal(message);
          yield message['result'] as Record<string, unknown>;
        }
      } finally {
        response.destroy();
      }
    },
    [Symbol.dispose]() {
      agents['http:'].destroy();
      agents['https:'].destroy();
    },
  };
}

function refusal(answer: Record<string, unknown>): EtcdError {
  const error = (typeof answer['error'] === 'object' && answer['error'] !== null ? answer['error'] : answer) as Record<string, unknown>;
  const code = error['code'] ?? error['grpc_code'];
  return new EtcdError(typeof code === 'number' ? code : 2, String(error['message'] ?? error['error'] ?? 'no reason given'));
}

function unanswered(cause: unknown, harmless: boolean): BerthError {
  if (cause instanceof BerthError) return cause;
  const late = (cause as NodeJS.ErrnoException).code === 'ETIMEDOUT';
  return new BerthError(late ? 'timeout' : 'unavailable', `etcd does not answer: ${(cause as Error).message}${harmless ? '' : '; nobody knows whether the transaction was made'}.`, {
    hint: 'Check that the etcd cluster has a majority and that this host reaches it.',
    details: { reason: 'etcd', ...(harmless ? {} : { outcome: 'unknown' }) },
    cause,
  });
}

async function collect(response: http.IncomingMessage): Promise<Buffer[]> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_ANSWER_BYTES) throw new BerthError('exhausted', `etcd answered more than ${MAX_ANSWER_BYTES} bytes.`, { hint: 'Ask for less at once.' });
    chunks.push(chunk);
  }
  return chunks;
}

async function* lines(response: http.IncomingMessage): AsyncGenerator<string, void, undefined> {
  let parts: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    let rest = chunk;
    for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
      parts.push(rest.subarray(0, end));
      const line = Buffer.concat(parts).toString('utf8');
      parts = [];
      bytes = 0;
      rest = rest.subarray(end + 1);
      if (line !== '') yield line;
    }
    bytes += rest.length;
    if (bytes > MAX_ANSWER_BYTES) throw new BerthError('exhausted', `etcd sent a message of more than ${MAX_ANSWER_BYTES} bytes.`);
    if (rest.length > 0) parts.push(rest);
  }
}
