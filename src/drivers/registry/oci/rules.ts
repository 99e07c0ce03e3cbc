/**
 * What a registry may make this host do. Each rule is a collaborator of its own, so that a test can take one away and see
 * its case go wrong; a daemon always has them all.
 */
import { isIP } from 'node:net';
import { addressClass } from '../../../lib/address-class.ts';
import { INDEX_TYPES, MANIFEST_TYPES } from '../../../model/image-manifest.ts';
import { DIGEST_PATTERN } from '../../../model/reference.ts';

/** How well somebody who may decide knows a host. */
export interface HostStanding {
  readonly hostname: string;
  /** In the reference, or in the settings. */
  readonly named: boolean;
  /** In the settings: then by an admin of the daemon. */
  readonly listed: boolean;
}

export interface Pace {
  /** Longest wait for the next byte. */
  readonly idleMs: number;
  /** Over this much waiting, at least so many bytes a second. */
  readonly windowMs: number;
  readonly minBytesPerSecond: number;
}

export interface RegistryRules {
  /** May this address be connected for that host? */
  mayConnect(address: string, host: HostStanding): boolean;
  /** May this URL be asked at all? `mayPlain`: HTTP without TLS is allowed there. */
  mayAsk(url: URL, mayPlain: boolean): boolean;
  /** Do the credentials of `origin` go with a request to `url`? */
  keepsCredentials(origin: URL, url: URL): boolean;
  /** May a password for `registry` be shown to its token server? */
  trustsRealm(registry: URL, realm: URL, realms: readonly string[]): boolean;
  /** Is a name looked up once in a session, so that what was checked is what is connected? */
  readonly pinsAddresses: boolean;
  /** The media type when it is one that is read. */
  manifestType(contentType: string): string | undefined;
  /** May it stand in an address, and be what bytes are compared with? */
  isDigest(text: string): boolean;
  /** Is the body what it says, and not something to be opened first? */
  isPlain(contentEncoding: string | undefined): boolean;
  /** Is a blob of `size` bytes over, or wrongly announced, when this many are to come, or came? */
  isBeyond(bytes: number, size: number): boolean;
  readonly maxRedirects: number;
  readonly maxManifestBytes: number;
  readonly maxTokenBytes: number;
  /** Until the head of an answer is there. */
  readonly answerMs: number;
  readonly pace: Pace;
  /** Of one request; the longest that one `Retry-After` and all of them together may ask for. */
  readonly retries: number;
  readonly maxRetryAfterMs: number;
  readonly maxWaitMs: number;
}

export const REGISTRY_RULES: RegistryRules = {
  mayConnect(address, { hostname, named, listed }) {
    const kind = addressClass(address);
    if (kind === 'public') return true;
    if (!named || kind === 'reserved') return false;
    if (listed) return true;
    if (kind === 'private') return true;
    // A name that somebody else controls may lead to loopback; who writes the address or localhost means it.
    return kind === 'loopback' && isLoopbackName(hostname);
  },
  mayAsk: (url, mayPlain) => url.username === '' && url.password === '' && (url.protocol === 'https:' || (url.protocol === 'http:' && mayPlain)),
  keepsCredentials: (origin, url) => origin.origin === url.origin,
  trustsRealm: (registry, realm, realms) => realm.host === registry.host || realms.includes(realm.host) || sameSite(registry.hostname, realm.hostname),
  pinsAddresses: true,
  manifestType: (contentType) => [...MANIFEST_TYPES, ...INDEX_TYPES].find((type) => type === contentType.split(';')[0]!.trim().toLowerCase()),
  isDigest: (text) => DIGEST_PATTERN.test(text),
  isPlain: (contentEncoding) => contentEncoding === undefined || contentEncoding === 'identity',
  isBeyond: (bytes, size) => bytes > size,
  maxRedirects: 3,
  maxManifestBytes: 4 * 1024 * 1024,
  maxTokenBytes: 1024 * 1024,
  answerMs: 30_000,
  pace: { idleMs: 30_000, windowMs: 20_000, minBytesPerSecond: 1024 },
  retries: 4,
  maxRetryAfterMs: 60_000,
  maxWaitMs: 180_000,
};

export function isLoopbackName(hostname: string): boolean {
  if (isIP(hostname) !== 0) return addressClass(hostname) === 'loopback';
  return hostname === 'localhost' || hostname.endsWith('.localhost');
}

/** Both below the same domain that somebody registered: the last two labels, or three where the second is a short one as in co.uk. */
function sameSite(a: string, b: string): boolean {
  const site = (hostname: string): string | undefined => {
    const labels = hostname.split('.');
    if (isIP(hostname) !== 0 || hostname.startsWith('[') || labels.length < 2) return undefined;
    return labels.slice(labels.at(-2)!.length <= 3 ? -3 : -2).join('.');
  };
  const own = site(a);
  return own !== undefined && own.includes('.') && own === site(b);
}
