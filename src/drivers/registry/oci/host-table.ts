/** Which hosts were named and by whom, and where the API of a registry is. */
import { BerthError } from '../../../model/errors.ts';
import { printable } from '../../../model/ids.ts';
import { DEFAULT_REGISTRY, isRegistryName } from '../../../model/reference.ts';
import type { RegistryHostSettings, RegistrySettings } from '../driver.ts';
import { isLoopbackName, type HostStanding } from './rules.ts';

/** The API of docker.io answers under another name; every tool knows it. */
const DEFAULT_REGISTRY_API = 'registry-1.docker.io';

/** HOST[:PORT] as URLs have it for `scheme`, lower case, with the port. */
function authority(host: string, scheme: 'http' | 'https'): string {
  const url = new URL(`${scheme}://${host}`);
  return `${hostnameOf(url)}:${portOf(url)}`;
}

export function hostnameOf(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '');
}

function portOf(url: URL): string {
  return url.port === '' ? (url.protocol === 'http:' ? '80' : '443') : url.port;
}

export class HostTable {
  readonly #settings: RegistrySettings;
  readonly #listed = new Set<string>();
  readonly #plain = new Set<string>();

  /** `invalid` for settings that cannot be meant. */
  constructor(settings: RegistrySettings) {
    this.#settings = settings;
    for (const [host, { plainHttp = false, mirrors = [], realms = [] }] of Object.entries(settings.hosts)) {
      for (const name of [host, ...mirrors, ...realms]) this.#list(name);
      if (plainHttp) this.#plain.add(authority(host, 'http'));
    }
    for (const name of settings.search) checkName(name);
  }

  #list(host: string): void {
    checkName(host);
    for (const scheme of ['http', 'https'] as const) this.#listed.add(authority(apiHost(host), scheme));
  }

  of(registry: string): RegistryHostSettings {
    return Object.hasOwn(this.#settings.hosts, registry) ? this.#settings.hosts[registry]! : {};
  }

  /** `registry`: the one that the reference names. */
  standing(url: URL, registry: string): HostStanding {
    const own = `${hostnameOf(url)}:${portOf(url)}`;
    const listed = this.#listed.has(own);
    return { hostname: hostnameOf(url), listed, named: listed || (['http', 'https'] as const).some((scheme) => authority(apiHost(registry), scheme) === own) };
  }

  /** Without TLS: loopback that was named, or what the settings allow. */
  mayPlain(url: URL, registry: string): boolean {
    const { named, hostname } = this.standing(url, registry);
    return this.#plain.has(`${hostname}:${portOf(url)}`) || (named && isLoopbackName(hostname));
  }

  /** `either`: loopback without word about TLS in the settings, so that it is tried first. */
  scheme(registry: string): 'http' | 'https' | 'either' {
    const { plainHttp, ca } = this.of(registry);
    if (plainHttp === true) return 'http';
    return ca === undefined && isLoopbackName(hostnameOf(new URL(`https://${apiHost(registry)}`))) ? 'either' : 'https';
  }
}

export function apiHost(registry: string): string {
  return registry === DEFAULT_REGISTRY ? DEFAULT_REGISTRY_API : registry;
}

function checkName(host: string): void {
  if (!isRegistryName(host)) throw new BerthError('invalid', `'${printable(host)}' in the registry settings is not HOST or HOST:PORT.`);
}
