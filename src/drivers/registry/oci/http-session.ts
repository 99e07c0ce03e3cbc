/**
 * The connections of one operation with one registry. Names are looked up once; what was found is checked, and only that
 * is connected. Nothing of it is shared with another operation, whose hosts were named by somebody else.
 */
import http from 'node:http';
import https from 'node:https';
import { isIP } from 'node:net';
import tls from 'node:tls';
import { BerthError } from '../../../model/errors.ts';
import { printable } from '../../../model/ids.ts';
import { cancelled } from './body.ts';
import { apiHost, hostnameOf, type HostTable } from './host-table.ts';
import { PassingFailure } from './passing-failure.ts';
import type { RegistryRules } from './rules.ts';

const MAX_SOCKETS = 8;
const IDLE_SOCKET_MS = 10_000;

export type Lookup = (hostname: string) => Promise<readonly string[]>;

export interface SessionParts {
  /** As the reference names it. */
  readonly registry: string;
  readonly hosts: HostTable;
  readonly rules: RegistryRules;
  readonly lookup: Lookup;
  readonly secureContext: (registry: string) => tls.SecureContext | undefined;
}

export interface HttpRequest {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly url: URL;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly body?: Uint8Array | AsyncIterable<Uint8Array> | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Until the head of the answer is there, when that takes its time. */
  readonly answerMs?: number | undefined;
  /** Longest time without a byte in either direction, for long bodies. */
  readonly idleMs?: number | undefined;
}

export interface HttpAnswer {
  readonly status: number;
  readonly url: URL;
  readonly body: http.IncomingMessage;
  header(name: string): string | undefined;
}

export class HttpSession implements Disposable {
  readonly #parts: SessionParts;
  readonly #plain = new http.Agent({ keepAlive: true, maxSockets: MAX_SOCKETS, timeout: IDLE_SOCKET_MS });
  readonly #secure = new https.Agent({ keepAlive: true, maxSockets: MAX_SOCKETS, timeout: IDLE_SOCKET_MS, minVersion: 'TLSv1.2' });
  readonly #addresses = new Map<string, Promise<readonly string[]>>();

  constructor(parts: SessionParts) {
    this.#parts = parts;
  }

  /** One request, one answer: no redirects, no retries. */
  async send(request: HttpRequest): Promise<HttpAnswer> {
    const { url, signal } = request;
    const { rules, hosts, registry } = this.#parts;
    if (signal?.aborted === true) throw cancelled(signal);
    if (!rules.mayAsk(url, hosts.mayPlain(url, registry))) {
      throw new BerthError('forbidden', `${printable(url.host)} was not asked over plain HTTP.`, { hint: 'An admin can allow it for that host in the registry settings.' });
    }
    const addresses = await this.#checked(url);
    return new Promise((resolve, reject) => this.#start(request, addresses, resolve, reject));
  }

  async #checked(url: URL): Promise<readonly string[]> {
    const { rules, hosts, registry, lookup } = this.#parts;
    const hostname = hostnameOf(url);
    const find = (): Promise<readonly string[]> => (isIP(hostname) === 0 ? lookup(hostname) : Promise.resolve([hostname]));
    let found = rules.pinsAddresses ? this.#addresses.get(hostname) : undefined;
    if (found === undefined) {
      found = find();
      this.#addresses.set(hostname, found);
    }
    const all = await found.catch((error: unknown) => {
      this.#addresses.delete(hostname);
      throw new BerthError('unavailable', `The name ${printable(hostname)} was not found.`, { hint: 'Check the reference and this host’s name servers.', cause: error });
    });
    const standing = hosts.standing(url, registry);
    const allowed = all.filter((address) => rules.mayConnect(address, standing));
    if (allowed.length > 0) return allowed;
    throw new BerthError('forbidden', `${printable(url.host)} is at ${all.slice(0, 3).join(', ') || 'no address'}, which nobody named.`, { hint: 'A host with a private or loopback address must stand in the reference or in the registry settings.' });
  }

  #start(request: HttpRequest, addresses: readonly string[], resolve: (answer: HttpAnswer) => void, reject: (error: unknown) => void): void {
    const { method, url, headers = {}, body, signal } = request;
    const { rules, registry, secureContext, lookup } = this.#parts;
    const isSecure = url.protocol === 'https:';
    const hostname = hostnameOf(url);
    const context = isSecure ? secureContext(url.host === apiHost(registry) ? registry : url.host) : undefined;
    const outgoing = (isSecure ? https : http).request({
      method, host: hostname, port: url.port === '' ? undefined : Number(url.port), path: `${url.pathname}${url.search}`,
      agent: isSecure ? this.#secure : this.#plain,
      headers: { 'user-agent': 'berth', 'accept-encoding': 'identity', host: url.host, ...headers },
      // Only what was checked; a session without pinning looks again, which is what the rule is against.
      lookup: (_name, options, done) => {
        void (rules.pinsAddresses || isIP(hostname) !== 0 ? Promise.resolve(addresses) : lookup(hostname)).then((list) => {
          const entries = list.map((address) => ({ address, family: isIP(address) }));
          if (options.all === true) (done as unknown as (error: null, all: typeof entries) => void)(null, entries);
          else done(null, entries[0]!.address, entries[0]!.family);
        }, (error: NodeJS.ErrnoException) => done(error, '', 4));
      },
      ...(isSecure ? { ...(isIP(hostname) === 0 ? { servername: hostname } : {}), ...(context === undefined ? {} : { secureContext: context }) } : {}),
    });
    let answered = false;
    const timer = setTimeout(() => outgoing.destroy(new PassingFailure(new BerthError('timeout', `${printable(url.host)} did not answer in time.`), { slow: true })), request.answerMs ?? rules.answerMs);
    const stop = (): void => void outgoing.destroy(cancelled(signal));
    signal?.addEventListener('abort', stop, { once: true });
    const settled = (): void => clearTimeout(timer);
    if (request.idleMs !== undefined) outgoing.setTimeout(request.idleMs, () => outgoing.destroy(new PassingFailure(new BerthError('timeout', `${printable(url.host)} takes nothing any more.`), { slow: true })));
    outgoing.on('response', (incoming) => {
      answered = true;
      settled();
      // Who answers before he heard everything does not want the rest.
      if (!outgoing.writableEnded) incoming.once('end', () => outgoing.destroy());
      // The body is still to be read: a signal must end it, too.
      incoming.once('close', () => signal?.removeEventListener('abort', stop));
      resolve({
        status: incoming.statusCode ?? 0, url, body: incoming,
        header: (name) => {
          const value = incoming.headers[name];
          return Array.isArray(value) ? value.join(', ') : value;
        },
      });
    });
    outgoing.on('error', (error) => {
      settled();
      if (answered) return;
      signal?.removeEventListener('abort', stop);
      reject(signal?.aborted === true ? cancelled(signal) : translate(error, url));
    });
    void feed(outgoing, body);
  }

  [Symbol.dispose](): void {
    this.#plain.destroy();
    this.#secure.destroy();
  }
}

async function feed(outgoing: http.ClientRequest, body: HttpRequest['body']): Promise<void> {
  try {
    if (body === undefined || body instanceof Uint8Array) {
      outgoing.end(body);
      return;
    }
    for await (const chunk of body) {
      if (outgoing.destroyed || outgoing.writableFinished) return;
      if (!outgoing.write(chunk)) await new Promise<void>((resolve) => {
        const go = (): void => {
          for (const event of ['drain', 'close', 'error'] as const) outgoing.off(event, go);
          resolve();
        };
        for (const event of ['drain', 'close', 'error'] as const) outgoing.on(event, go);
      });
    }
    outgoing.end();
  } catch (error) {
    outgoing.destroy(error as Error);
  }
}

const PASSING = new Set(['ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'EAI_AGAIN', 'ECONNABORTED', 'HPE_INVALID_EOF_STATE']);

function translate(error: Error, url: URL): Error {
  if (error instanceof BerthError || error instanceof PassingFailure) return error;
  const code = (error as NodeJS.ErrnoException).code ?? '';
  const host = printable(url.host);
  if (PASSING.has(code)) return new PassingFailure(new BerthError('unavailable', `The connection to ${host} was cut.`, { cause: error }));
  if (code === 'HPE_HEADER_OVERFLOW') return new BerthError('invalid', `${host} sent a head that is too large.`, { cause: error });
  if (code.startsWith('HPE_')) return new BerthError('invalid', `${host} does not speak HTTP.`, { cause: error });
  if (isCertificateProblem(code)) {
    return new BerthError('forbidden', `The certificate of ${host} is not trusted: ${printable(error.message)}.`, { hint: 'An admin can name the certificate authority of that host in the registry settings.', cause: error });
  }
  return new BerthError('unavailable', `${host} does not answer: ${printable(error.message)}.`, { cause: error, details: { reason: code } });
}

function isCertificateProblem(code: string): boolean {
  return /CERT|SELF_SIGNED|UNABLE_TO|ALTNAME/.test(code);
}
