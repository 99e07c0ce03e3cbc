/** Says for one operation with one registry what stands in `Authorization`: nothing, Basic, or a token of its token server. */
import * as z from 'zod';
import { JsonError, parseJsonStrict } from '../../../lib/json-strict.ts';
import { BerthError } from '../../../model/errors.ts';
import { printable } from '../../../model/ids.ts';
import type { RegistryCredentials } from '../driver.ts';
import { discard, whole } from './body.ts';
import { parseChallenge, type Challenge } from './challenge.ts';
import { asBase64 } from './header-text.ts';
import type { HttpAnswer, HttpRequest } from './http-session.ts';
import type { RegistryRules } from './rules.ts';

const CLIENT_ID = 'berth';
/** The distribution specification's default, and how long before its end a token is not used any more. */
const TOKEN_SECONDS = 60;
const EARLY_MS = 10_000;

const tokenAnswer = z.object({
  token: z.string().max(256 * 1024).optional(),
  access_token: z.string().max(256 * 1024).optional(),
  refresh_token: z.string().max(256 * 1024).optional(),
  expires_in: z.number().min(0).max(10 ** 9).optional(),
});

export interface AuthorizerParts {
  /** For people. */
  readonly registry: string;
  readonly origin: URL;
  readonly realms: readonly string[];
  readonly credentials: RegistryCredentials | undefined;
  readonly rules: RegistryRules;
  /** With redirects and retries, without authorization. */
  readonly send: (request: HttpRequest) => Promise<HttpAnswer>;
}

interface Token {
  readonly header: string;
  /** Monotonic. */
  readonly untilMs: number;
}

export class Authorizer {
  readonly #parts: AuthorizerParts;
  #challenge: Challenge | undefined;
  readonly #tokens = new Map<string, Promise<Token>>();
  /** What the token server gave beside the last token. */
  refreshToken: string | undefined;

  constructor(parts: AuthorizerParts) {
    this.#parts = parts;
  }

  /** As far as the registry has said what it wants. */
  async header(scope: string, signal: AbortSignal | undefined): Promise<string | undefined> {
    const { credentials } = this.#parts;
    if (credentials?.registryToken !== undefined) return `Bearer ${credentials.registryToken}`;
    if (this.#challenge === undefined) return undefined;
    if (this.#challenge.kind === 'basic') return this.#basic();
    for (;;) {
      const pending = this.#tokens.get(scope);
      const known = await pending?.catch(() => undefined);
      if (known !== undefined && performance.now() < known.untilMs) return known.header;
      if (this.#tokens.get(scope) !== pending) continue; // somebody else asks already
      const fresh = this.#fetch(this.#challenge, scope, signal);
      this.#tokens.set(scope, fresh);
      return (await fresh).header;
    }
  }

  /** A registry said 401 to a request with that header, or none. Is there something that it was not shown yet? */
  learns(answer: HttpAnswer, scope: string, shown: string | undefined): boolean {
    const challenge = parseChallenge(answer.header('www-authenticate'));
    if (challenge === undefined || this.#parts.credentials?.registryToken !== undefined) return false;
    const isKnown = JSON.stringify(challenge) === JSON.stringify(this.#challenge);
    this.#challenge = challenge;
    if (challenge.kind === 'basic') return this.#basic() !== undefined && this.#basic() !== shown;
    // A token that was taken back, or one for another challenge.
    if (shown !== undefined || !isKnown) this.#tokens.delete(scope);
    return true;
  }

  #basic(): string | undefined {
    const { username, password } = this.#parts.credentials ?? {};
    return username === undefined || password === undefined ? undefined : `Basic ${asBase64(`${username}:${password}`)}`;
  }

  async #fetch({ realm, service }: Extract<Challenge, { kind: 'bearer' }>, scope: string, signal: AbortSignal | undefined): Promise<Token> {
    const { registry, origin, realms, credentials, rules, send } = this.#parts;
    const url = realmUrl(realm, registry);
    const basic = this.#basic();
    const identityToken = credentials?.identityToken;
    if ((basic !== undefined || identityToken !== undefined) && !rules.trustsRealm(origin, url, realms)) {
      throw new BerthError('forbidden', `${registry} wants its password to be shown to ${printable(url.host)}, which is on another domain.`, { hint: `If that is right, an admin names it under "realms" of ${registry} in the registry settings.` });
    }
    const answer = identityToken === undefined
      ? await send({ method: 'GET', url: withQuery(url, [['service', service] as const, ...scope.split(' ').map((one) => ['scope', one] as const), ...(basic === undefined ? [] : [['client_id', CLIENT_ID], ['offline_token', 'true']] as const)]), headers: basic === undefined ? {} : { authorization: basic }, signal })
      : await send({
          method: 'POST', url, signal, headers: { 'content-type': 'application/x-www-form-urlencoded' },
          body: Buffer.from(new URLSearchParams({ grant_type: 'refresh_token', refresh_token: identityToken, client_id: CLIENT_ID, scope, ...(service === undefined ? {} : { service }) }).toString()),
        });
    if (answer.status !== 200) {
      discard(answer.body);
      throw refusedLogin(registry, answer.status, basic !== undefined || identityToken !== undefined, `token server ${printable(url.host)}`);
    }
    const parsed = tokenAnswer.safeParse(parseToken(await whole(answer.body, rules.maxTokenBytes, 'a token', rules.pace, signal), rules.maxTokenBytes, registry));
    const token = parsed.success ? (parsed.data.token ?? parsed.data.access_token) : undefined;
    if (token === undefined || !/^[\x21-\x7e]+$/.test(token)) throw new BerthError('invalid', `The token server of ${registry} sent no token.`);
    this.refreshToken = parsed.data!.refresh_token ?? this.refreshToken;
    return { header: `Bearer ${token}`, untilMs: performance.now() + (parsed.data!.expires_in ?? TOKEN_SECONDS) * 1000 - EARLY_MS };
  }
}

function realmUrl(realm: string, registry: string): URL {
  const url = URL.canParse(realm) ? new URL(realm) : undefined;
  if (url === undefined) throw new BerthError('invalid', `${registry} names a token server that is no URL.`);
  return url;
}

function withQuery(url: URL, parameters: readonly (readonly [string, string | undefined])[]): URL {
  const asked = new URL(url);
  for (const [name, value] of parameters) if (value !== undefined && value !== '') asked.searchParams.append(name, value);
  return asked;
}

function parseToken(bytes: Uint8Array, maxBytes: number, registry: string): unknown {
  try {
    return parseJsonStrict(bytes, { maxBytes });
  } catch (error) {
    if (error instanceof JsonError) throw new BerthError('invalid', `The token server of ${registry} sent no JSON.`, { cause: error });
    throw error;
  }
}

/** 401 and 403 of a registry or of its token server. */
export function refusedLogin(registry: string, status: number, hadCredentials: boolean, who: string): BerthError {
  if (status === 403) return new BerthError('forbidden', `${registry} does not allow it: the ${who} said 403.`, { hint: hadCredentials ? 'The login is right, its rights are not enough.' : `Log in: berth login ${registry}` });
  if (status !== 401 && status !== 400) return new BerthError('unavailable', `The ${who} of ${registry} said ${status}.`);
  return hadCredentials
    ? new BerthError('unauthenticated', `${registry} does not take this login.`, { hint: `Log in again: berth login ${registry}` })
    : new BerthError('unauthenticated', `${registry} wants a login, or has no such repository for everybody.`, { hint: `Check the name, or log in: berth login ${registry}` });
}
