/** Registries in memory: repositories by HOST/NAME, with what each answers and what was asked of it. */
import { digestOf } from '../../../lib/digest.ts';
import { BerthError } from '../../../model/errors.ts';
import { canonicalReference, type ImageReference } from '../../../model/reference.ts';
import { DEFAULT_REGISTRY_SETTINGS, type RegistryAccess, type RegistryCredentials, type RegistryDriver, type RegistrySettings, type RemoteImage } from '../driver.ts';

export class FakeRegistryHost {
  readonly blobs = new Map<string, Uint8Array>();
  readonly manifests = new Map<string, { readonly bytes: Uint8Array; readonly mediaType: string }>();
  /** Digest of a manifest by HOST/NAME:TAG and HOST/NAME@DIGEST. */
  readonly names = new Map<string, string>();
  /** Registries that want a login: user → password. */
  readonly accounts = new Map<string, ReadonlyMap<string, string>>();
  /** `manifest NAME`, `blob DIGEST`, `push NAME`, in order. */
  readonly asked: string[] = [];
  /** Called before each answer: a test throws here, or waits. */
  before: (what: string, signal: AbortSignal | undefined) => Promise<void> | void = () => undefined;
}

export function fakeRegistries(host: FakeRegistryHost, settings: RegistrySettings = DEFAULT_REGISTRY_SETTINGS): RegistryDriver {
  async function answer(what: string, signal: AbortSignal | undefined): Promise<void> {
    host.asked.push(what);
    await host.before(what, signal);
    if (signal?.aborted === true) throw new BerthError('wrongState', 'It was cancelled.', { cause: signal.reason });
  }

  function admit(registry: string, credentials: RegistryCredentials | undefined): void {
    const accounts = host.accounts.get(registry);
    if (accounts === undefined) return;
    if (credentials?.username !== undefined && credentials.password !== undefined && accounts.get(credentials.username) === credentials.password) return;
    throw new BerthError('unauthenticated', `${registry} wants a login.`, { hint: `Log in: berth login ${registry}` });
  }

  function registryOf(reference: ImageReference): string {
    if (reference.registry === undefined) throw new BerthError('invalid', 'A short name has no registry.');
    return reference.registry;
  }

  function image(reference: ImageReference, access: RegistryAccess = {}): RemoteImage {
    const registry = registryOf(reference);
    const name = canonicalReference(reference);
    const own = access.credentials?.[registry];
    return {
      name, digest: reference.digest,
      shareKey: `${name} ${reference.digest ?? ''} ${JSON.stringify(own ?? {})}`,
      async manifest(digest, signal = access.signal) {
        await answer(`manifest ${digest ?? name}`, signal);
        admit(registry, own);
        const found = host.manifests.get(digest ?? reference.digest ?? host.names.get(name) ?? '');
        if (found === undefined) throw new BerthError('notFound', `${registry} has no ${name}.`);
        return found;
      },
      async *blob(blob, offset = 0, signal = access.signal) {
        await answer(`blob ${blob.digest}`, signal);
        admit(registry, own);
        const bytes = host.blobs.get(blob.digest);
        if (bytes === undefined) throw new BerthError('notFound', `${registry} has no blob ${blob.digest}.`);
        yield bytes.subarray(offset);
      },
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
  }

  return {
    settings, image,
    async push(reference, outgoing, options = {}) {
      const registry = registryOf(reference);
      await answer(`push ${canonicalReference(reference)}`, options.signal);
      admit(registry, options.credentials?.[registry]);
      const { digest, bytes, mediaType } = outgoing.manifest;
      if (reference.digest !== undefined && reference.digest !== digest) throw new BerthError('invalid', `The image is ${digest}, not ${reference.digest}.`);
      for (const blob of outgoing.blobs) {
        const progress = { digest: blob.digest, totalBytes: blob.size };
        if (host.blobs.has(blob.digest)) {
          options.onLayer?.({ ...progress, state: 'present', bytes: blob.size });
          continue;
        }
        const chunks: Uint8Array[] = [];
        for await (const chunk of outgoing.read(blob.digest)) chunks.push(chunk);
        host.blobs.set(blob.digest, new Uint8Array(Buffer.concat(chunks)));
        options.onLayer?.({ ...progress, state: 'done', bytes: blob.size });
      }
      if (digestOf(bytes) !== digest) throw new BerthError('invalid', 'The manifest has another digest.');
      host.manifests.set(digest, { bytes, mediaType });
      host.names.set(canonicalReference(reference), digest);
      return { digest };
    },
    async copy(from, to, options = {}) {
      await using source = image(from, options);
      const found = await source.manifest(undefined, options.signal);
      await answer(`push ${canonicalReference(to)}`, options.signal);
      admit(registryOf(to), options.credentials?.[registryOf(to)]);
      const digest = digestOf(found.bytes);
      host.names.set(canonicalReference(to), digest);
      return { digest };
    },
    async checkLogin(registry, credentials, signal) {
      await answer(`login ${registry}`, signal);
      admit(registry, credentials);
      return {};
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}
