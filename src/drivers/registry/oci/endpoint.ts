/** One registry or mirror for one operation: requests with authorization, redirects and patience. */
import { BerthError } from '../../../model/errors.ts';
import { printable } from '../../../model/ids.ts';
import { JsonError, parseJsonStrict } from '../../../lib/json-strict.ts';
import type { RegistryCredentials } from '../driver.ts';
import { Authorizer, refusedLogin } from './authorizer.ts';
import { discard, whole } from './body.ts';
import { apiHost, type HostTable } from './host-table.ts';
import { HttpSession, type HttpAnswer, type HttpRequest, type SessionParts } from './http-session.ts';
import { PassingFailure, Patience, retryAfterMs, type RetryParts } from './passing-failure.ts';

const MAX_ERROR_BYTES = 64 * 1024;
/** A registry may be started again with TLS. */
const SCHEME_MS = 60_000;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);
const PASSING = new Set([408, 429, 500, 502, 503, 504]);

export interface EndpointParts extends Omit<SessionParts, 'registry'> {
  readonly hosts: HostTable;
  readonly credentials: RegistryCredentials | undefined;
  readonly wait: RetryParts['wait'];
  readonly random: () => number;
  /** What loopback registries were found to speak, a short while ago; kept by the driver. */
  readonly schemes: Map<string, { readonly scheme: 'http' | 'https'; readonly atMs: number }>;
}

export interface EndpointRequest extends Omit<HttpRequest, 'url'> {
  /** Below the registry's address, or an absolute one that the registry gave. */
  readonly path: string | URL;
  readonly scope: string;
  /** Statuses that are no errors. */
  readonly expect: readonly number[];
  /** A body can be sent only once: whoever sends one repeats it himself. */
  readonly once?: boolean | undefined;
}

export class Endpoint implements Disposable {
  readonly registry: string;
  readonly #parts: EndpointParts;
  readonly #session: HttpSession;
  #origin: Promise<URL> | undefined;
  #authorizer: Authorizer | undefined;

  constructor(registry: string, parts: EndpointParts) {
    this.registry = registry;
    this.#parts = parts;
    this.#session = new HttpSession({ ...parts, registry });
  }

  get rules(): SessionParts['rules'] {
    return this.#parts.rules;
  }

  patience(): Patience {
    return new Patience({ ...this.#parts.rules, wait: this.#parts.wait, random: this.#parts.random });
  }

  /** The answer has one of the statuses that were expected; its body is the caller's to read or discard. */
  async request(request: EndpointRequest): Promise<HttpAnswer> {
    const patience = this.patience();
    for (;;) {
      try {
        return await this.#attempt(request);
      } catch (error) {
        if (request.once === true) throw error;
        await patience.failed(error, request.signal);
      }
    }
  }

  /** A refresh token, when the token server gave one. */
  get identityToken(): string | undefined {
    return this.#authorizer?.refreshToken;
  }

  async #attempt({ path, scope, expect, once: _once, ...request }: EndpointRequest): Promise<HttpAnswer> {
    const origin = await this.origin(request.signal);
    const authorizer = this.#authorizer ??= new Authorizer({
      registry: this.registry, origin, realms: this.#parts.hosts.of(this.registry).realms ?? [], credentials: this.#parts.credentials, rules: this.rules,
      send: (asked) => this.#followed(asked, asked.url),
    });
    for (let attempt = 0; ; attempt++) {
      const authorization = await authorizer.header(scope, request.signal);
      const answer = await this.#followed({ ...request, url: new URL(path, origin), headers: { ...request.headers, ...(authorization === undefined ? {} : { authorization }) } }, origin);
      if (expect.includes(answer.status)) return answer;
      if (answer.status === 401 && attempt === 0 && request.body === undefined && authorizer.learns(answer, scope, authorization)) {
        discard(answer.body);
        continue;
      }
      throw await this.#failure(answer, request.signal);
    }
  }

  /** Follows what may be followed. `authorization` stays with `origin`. */
  async #followed(request: HttpRequest, origin: URL): Promise<HttpAnswer> {
    const { rules } = this;
    const { authorization, ...others } = request.headers ?? {};
    let url = request.url;
    for (let hops = 0; ; hops++) {
      const headers = authorization !== undefined && rules.keepsCredentials(origin, url) ? { ...others, authorization } : others;
      const answer = await this.#session.send({ ...request, url, headers });
      if (!REDIRECTS.has(answer.status) || (request.method !== 'GET' && request.method !== 'HEAD')) {
        if (!PASSING.has(answer.status)) return answer;
        const afterMs = retryAfterMs(answer.header('retry-after'), Date.now());
        discard(answer.body);
        throw new PassingFailure(answer.status === 429
          ? new BerthError('exhausted', `${this.registry} says that it was asked too often${afterMs === undefined ? '' : `, and wants ${Math.ceil(afterMs / 1000)} s of rest`}.`, { hint: 'Log in for a higher limit, or try again later.', details: afterMs === undefined ? {} : { retryAfterMs: afterMs } })
          : new BerthError('unavailable', `${printable(url.host)} said ${answer.status}, again and again.`), { afterMs });
      }
      discard(answer.body);
      if (hops >= rules.maxRedirects) throw new BerthError('invalid', `${this.registry} leads from place to place, more than ${rules.maxRedirects} times.`);
      const location = answer.header('location');
      if (location === undefined || !URL.canParse(location, url)) throw new BerthError('invalid', `${this.registry} leads on to no place.`);
      url = new URL(location, url);
    }
  }

  async #failure(answer: HttpAnswer, signal: AbortSignal | undefined): Promise<BerthError> {
    const { status } = answer;
    const said = await saying(answer, this.rules.pace, signal);
    if (status === 401 || (status === 403 && said === '')) return refusedLogin(this.registry, status, this.#parts.credentials !== undefined, 'registry');
    const detail = said === '' ? '' : ` It said: ${said}.`;
    if (status === 403) return new BerthError('forbidden', `${this.registry} does not allow it.${detail}`);
    if (status === 404) return new BerthError('notFound', `${this.registry} has it not.${detail}`, { details: { said } });
    if (status === 413) return new BerthError('exhausted', `${this.registry} takes nothing as large.${detail}`);
    return new BerthError(status >= 500 ? 'unavailable' : 'invalid', `${this.registry} answered ${status}.${detail}`, { details: { status } });
  }

  /** Loopback registries are asked which of HTTPS and HTTP they speak. */
  origin(signal: AbortSignal | undefined): Promise<URL> {
    this.#origin ??= this.#find(signal).catch((error: unknown) => {
      this.#origin = undefined;
      throw error;
    });
    return this.#origin;
  }

  async #find(signal: AbortSignal | undefined): Promise<URL> {
    const at = (scheme: 'http' | 'https'): URL => new URL(`${scheme}://${apiHost(this.registry)}/`);
    const known = this.#parts.schemes.get(this.registry);
    const scheme = known !== undefined && performance.now() - known.atMs < SCHEME_MS ? known.scheme : this.#parts.hosts.scheme(this.registry);
    if (scheme !== 'either') return at(scheme);
    let found: 'http' | 'https' = 'https';
    try {
      discard((await this.#session.send({ method: 'GET', url: new URL('/v2/', at('https')), signal })).body);
    } catch (error) {
      if (!isNoTls(error)) throw error;
      found = 'http';
    }
    this.#parts.schemes.set(this.registry, { scheme: found, atMs: performance.now() });
    return at(found);
  }

  [Symbol.dispose](): void {
    this.#session[Symbol.dispose]();
  }
}

function isNoTls(error: unknown): boolean {
  if (error instanceof PassingFailure) return (error.final.cause as NodeJS.ErrnoException | undefined)?.code === 'ECONNRESET';
  return error instanceof BerthError && /^(EPROTO|ERR_SSL_)/.test(String(error.details?.['reason']));
}

/** The first sentence of the registry's own error (distribution specification, Errors), as data. */
async function saying(answer: HttpAnswer, pace: Endpoint['rules']['pace'], signal: AbortSignal | undefined): Promise<string> {
  if (!(answer.header('content-type') ?? '').includes('json')) {
    discard(answer.body);
    return '';
  }
  try {
    const { errors } = parseJsonStrict(await whole(answer.body, MAX_ERROR_BYTES, 'an error', pace, signal)) as { errors?: readonly { code?: unknown; message?: unknown }[] };
    const [first] = Array.isArray(errors) ? errors : [];
    const words = [first?.code, first?.message].filter((word) => typeof word === 'string' && word !== '');
    return printable(words.join(': ')).slice(0, 300).replace(/\.$/, '');
  } catch (error) {
    if (error instanceof BerthError || error instanceof JsonError || error instanceof TypeError || error instanceof PassingFailure) return '';
    throw error;
  }
}
