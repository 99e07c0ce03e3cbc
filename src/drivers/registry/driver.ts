/**
 * Registries: where images come from and go to. A driver speaks one protocol of transport and nothing else: it hands out
 * bytes, and who receives them (the content store) compares digest and size while they arrive.
 *
 * - Pull: `content.fetchImage(registries.image(reference, access), …)`.
 * - Push: `registries.push(reference, await content.outgoingImage(record), access)`.
 * - Copy from registry to registry, all platforms of an index, without this host's store: `registries.copy(…)`.
 *
 * Credentials are handed in for one call and are forgotten with it; they are in no message, log or progress. The hosts that
 * an admin names are those of references and of the settings: these may be loopback or private. Whatever a registry answers
 * (redirects, token realms, upload addresses) leads to public addresses or to a named host, and the address that was
 * checked is the one that is connected.
 *
 * Errors of all calls: `notFound` (no such repository, tag or blob, or none that one may see), `unauthenticated` (nobody
 * logged in, or the password is wrong), `forbidden` (logged in, not allowed; or an address that was not named),
 * `unavailable` (no answer, after bounded retries), `exhausted` (the registry's rate limit, after bounded waits), `timeout`
 * (bytes came too slowly), `invalid` (the registry broke the protocol), `unsupported` (schema 1, artifacts),
 * `wrongState` (cancelled).
 */
import type { LayerProgress } from '../../model/layer-progress.ts';
import type { Platform } from '../../model/platform.ts';
import type { ImageReference } from '../../model/reference.ts';

/** What one entry of ~/.docker/config.json, or a credential helper, says. */
export interface RegistryCredentials {
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  /** An OAuth2 refresh token (`identitytoken`; user `<token>` of a helper): exchanged at the token server. */
  readonly identityToken?: string | undefined;
  /** A bearer token as it stands (`registrytoken`). */
  readonly registryToken?: string | undefined;
}

export interface RegistryAccess {
  /**
   * By registry as it stands in references (`docker.io`, `localhost:5000`). Only the entry of the registry that is asked is
   * used; mirrors get those under their own name.
   */
  readonly credentials?: Readonly<Record<string, RegistryCredentials>> | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What the admin of the daemon says about one registry, mirror, token server or CDN, by `HOST[:PORT]`. To name it is to trust its address. */
export interface RegistryHostSettings {
  /** HTTP without TLS. Loopback hosts may without it: TLS is tried first there. */
  readonly plainHttp?: boolean | undefined;
  /** Certificates (PEM) of the authorities that are trusted for this host, instead of the public ones. */
  readonly ca?: string | undefined;
  /** Asked before it, in this order, when something is fetched: `HOST[:PORT]`. */
  readonly mirrors?: readonly string[] | undefined;
  /** Token servers on another domain that this registry's users trust with their password: `HOST[:PORT]`. */
  readonly realms?: readonly string[] | undefined;
}

export interface RegistrySettings {
  /** What a short name means after local images: registries in the order of looking. Default: docker.io alone. */
  readonly search: readonly string[];
  readonly hosts: Readonly<Record<string, RegistryHostSettings>>;
}

export const DEFAULT_REGISTRY_SETTINGS: RegistrySettings = { search: ['docker.io'], hosts: {} };

export interface RemoteManifest {
  /** At most 4 MiB, as they came. */
  readonly bytes: Uint8Array;
  /** What the registry's Content-Type says, without parameters. One of the four known types. */
  readonly mediaType: string;
}

export interface RemoteBlob {
  readonly digest: string;
  readonly size: number;
}

/** One image of a registry, for one caller. Whoever is given it closes it; that ends what it still has open. */
export interface RemoteImage extends AsyncDisposable {
  /** For people: `docker.io/library/busybox:latest`. */
  readonly name: string;
  /** Set when the reference names one: what {@link RemoteImage.manifest} gives without a digest must have it. */
  readonly digest: string | undefined;
  /** Equal for callers who may share one download: same reference, same credentials. Says nothing about either. */
  readonly shareKey: string;
  /** The document that the reference names, or the one with that digest. The caller compares digests. */
  manifest(digest?: string, signal?: AbortSignal): Promise<RemoteManifest>;
  /**
   * The bytes from `offset` on: exactly as many as its size leaves, or an error. A connection that is cut is taken up
   * again where it ended, with bounded retries. The caller compares the digest.
   */
  blob(blob: RemoteBlob, offset?: number, signal?: AbortSignal): AsyncIterable<Uint8Array>;
}

/** An image on its way out: its manifest and everything that it names. */
export interface OutgoingImage {
  readonly manifest: { readonly bytes: Uint8Array; readonly mediaType: string; readonly digest: string };
  /** Config and layers. */
  readonly blobs: readonly RemoteBlob[];
  /** The whole blob, from the start each time. */
  read(digest: string): AsyncIterable<Uint8Array>;
}

export interface PushOptions extends RegistryAccess {
  /** Repositories (without the registry) of the same registry that may have the blob: it is mounted instead of sent. */
  readonly mountFrom?: ((digest: string) => readonly string[]) | undefined;
  readonly onLayer?: ((progress: LayerProgress) => void) | undefined;
}

export interface CopyOptions extends RegistryAccess {
  /** This platform alone; without it everything that the index names. */
  readonly platform?: Platform | undefined;
  readonly onLayer?: ((progress: LayerProgress) => void) | undefined;
}

export interface RegistryDriver extends AsyncDisposable {
  readonly settings: RegistrySettings;
  /** `reference` has a registry. Nothing is asked yet. */
  image(reference: ImageReference, access?: RegistryAccess): RemoteImage;
  /** What is there already is not sent. Blobs first, the manifest last. `invalid` for a reference with a digest other than the image's. */
  push(reference: ImageReference, image: OutgoingImage, options?: PushOptions): Promise<{ readonly digest: string }>;
  /** The same bytes under another name; mounts within one registry. */
  copy(from: ImageReference, to: ImageReference, options?: CopyOptions): Promise<{ readonly digest: string }>;
  /** Asks `registry` (HOST[:PORT]) with these credentials. `unauthenticated` when it does not take them. An identity token, when it gives one, is to be kept instead of the password. */
  checkLogin(registry: string, credentials: RegistryCredentials, signal?: AbortSignal): Promise<{ readonly identityToken?: string | undefined }>;
}
