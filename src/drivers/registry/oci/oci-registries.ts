/** Registries over HTTP: the OCI distribution specification 1.1 and the Docker registry API v2, which it came from. */
import { createHmac, randomBytes } from 'node:crypto';
import dns from 'node:dns/promises';
import { setTimeout as passed } from 'node:timers/promises';
import tls from 'node:tls';
import { BerthError } from '../../../model/errors.ts';
import { LayerMeter } from '../../../model/layer-progress.ts';
import { atRegistry, canonicalReference, DEFAULT_REGISTRY, type ImageReference } from '../../../model/reference.ts';
import { DEFAULT_REGISTRY_SETTINGS, type RegistryAccess, type RegistryDriver, type RegistrySettings } from '../driver.ts';
import { cancelled, discard } from './body.ts';
import { copyImage } from './copy.ts';
import { Endpoint, type EndpointParts } from './endpoint.ts';
import { HostTable } from './host-table.ts';
import type { Lookup } from './http-session.ts';
import { PassingFailure, type RetryParts } from './passing-failure.ts';
import { pushBlobs, pushManifest, type PushTarget } from './push.ts';
import { openRemoteImage } from './remote-image.ts';
import { REGISTRY_RULES, type RegistryRules } from './rules.ts';

export interface OciRegistriesOptions {
  readonly settings?: RegistrySettings;
  readonly rules?: RegistryRules;
  readonly lookup?: Lookup;
  readonly wait?: RetryParts['wait'];
  readonly random?: () => number;
}

/** `invalid` for settings that cannot be meant. */
export function openOciRegistries(options: OciRegistriesOptions = {}): RegistryDriver {
  const settings = options.settings ?? DEFAULT_REGISTRY_SETTINGS;
  const hosts = new HostTable(settings);
  const contexts = new Map<string, tls.SecureContext>();
  const secret = randomBytes(32);
  const open = new Set<Endpoint>();
  const shared: Omit<EndpointParts, 'credentials'> = {
    hosts, rules: options.rules ?? REGISTRY_RULES, lookup: options.lookup ?? systemLookup, wait: options.wait ?? waited, random: options.random ?? Math.random, schemes: new Map(),
    secureContext(registry) {
      const { ca } = hosts.of(registry);
      if (ca === undefined) return undefined;
      const context = contexts.get(registry) ?? tls.createSecureContext({ ca, minVersion: 'TLSv1.2' });
      contexts.set(registry, context);
      return context;
    },
  };

  function endpoint(registry: string, { credentials = {} }: RegistryAccess): Endpoint {
    const made = new Endpoint(registry, { ...shared, credentials: Object.hasOwn(credentials, registry) ? credentials[registry] : undefined });
    open.add(made);
    return made;
  }

  function close(endpoints: readonly Endpoint[]): void {
    for (const one of endpoints) {
      one[Symbol.dispose]();
      open.delete(one);
    }
  }

  function remote(reference: ImageReference, access: RegistryAccess) {
    const full = withRegistry(reference);
    const registries = [...(hosts.of(full.registry).mirrors ?? []), full.registry];
    const endpoints = registries.map((registry) => endpoint(registry, access));
    const shareKey = createHmac('sha256', secret).update(JSON.stringify([canonicalReference(full), full.digest, registries.map((registry) => access.credentials?.[registry] ?? null)])).digest('hex');
    return openRemoteImage({ reference: full, endpoints, shareKey, signal: access.signal, close: () => close(endpoints) });
  }

  /** With the endpoint for sending; failures that may pass are told as what they are. */
  async function sending<T>(reference: ImageReference, access: RegistryAccess, work: (target: PushTarget, full: ImageReference) => Promise<T>): Promise<T> {
    const full = withRegistry(reference);
    const target = endpoint(full.registry, access);
    try {
      return await work({ endpoint: target, repository: full.repository, signal: access.signal }, full);
    } catch (error) {
      if (access.signal?.aborted === true) throw cancelled(access.signal);
      throw error instanceof PassingFailure ? error.final : error;
    } finally {
      close([target]);
    }
  }

  return {
    settings,
    image: (reference, access = {}) => remote(reference, access),
    push: (reference, image, pushOptions = {}) => sending(reference, pushOptions, async (target, full) => {
      const { manifest, blobs } = image;
      if (full.digest !== undefined && full.digest !== manifest.digest) throw new BerthError('invalid', `The image is ${manifest.digest}, not ${full.digest}.`);
      await pushBlobs(target, blobs, { read: (blob) => image.read(blob.digest), mountFrom: pushOptions.mountFrom ?? (() => []) }, new LayerMeter(blobs, pushOptions.onLayer));
      return { digest: await pushManifest(target, manifest, full.tag ?? full.digest ?? 'latest') };
    }),
    copy: (from, to, copyOptions = {}) => sending(to, copyOptions, async (target, full) => {
      await using source = remote(from, copyOptions);
      return await copyImage(source, withRegistry(from), full, target, copyOptions);
    }),
    async checkLogin(registry, credentials, signal) {
      const asked = endpoint(registry, { credentials: { [registry]: credentials }, signal });
      try {
        discard((await asked.request({ method: 'GET', path: '/v2/', scope: '', expect: [200], signal })).body);
        return { identityToken: asked.identityToken };
      } catch (error) {
        if (error instanceof BerthError && error.code === 'notFound') throw new BerthError('invalid', `${registry} is not a registry.`, { hint: 'Check its name and port.', cause: error });
        throw error instanceof PassingFailure ? error.final : error;
      } finally {
        close([asked]);
      }
    },
    async [Symbol.asyncDispose]() {
      close([...open]);
    },
  };
}

function withRegistry(reference: ImageReference): ImageReference & { readonly registry: string } {
  if (reference.registry === undefined) throw new BerthError('invalid', 'A short name says nothing about where an image is.');
  const full = reference.registry === DEFAULT_REGISTRY ? atRegistry({ ...reference, registry: undefined }, DEFAULT_REGISTRY) : reference;
  return { ...full, registry: reference.registry };
}

async function systemLookup(hostname: string): Promise<readonly string[]> {
  return (await dns.lookup(hostname, { all: true, order: 'verbatim' })).map((one) => one.address);
}

function waited(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return passed(ms, undefined, { signal }).catch(() => {
    throw cancelled(signal);
  });
}
