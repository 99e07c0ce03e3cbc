/**
 * `fetchImage`: manifest, config and layers of an image, from a registry into the store. Who wants the same image joins the
 * fetch that runs; who wants another image of that registry with the same blob joins that blob. Blobs come in side by side, and a layer is
 * unpacked while its blob still comes where the rest will not take long.
 */
import { digestOf } from '../../../lib/digest.ts';
import { parallel } from '../../../lib/parallel.ts';
import { SharedWork } from '../../../lib/shared-work.ts';
import { Slots } from '../../../lib/slots.ts';
import { BerthError } from '../../../model/errors.ts';
import { isIndexType, isManifestType, MAX_DOCUMENT_BYTES, type CheckedManifest } from '../../../model/image-manifest.ts';
import { LayerMeter, type LayerProgress } from '../../../model/layer-progress.ts';
import { matchesPlatform, platformText, type Platform } from '../../../model/platform.ts';
import type { RemoteBlob, RemoteImage } from '../../registry/driver.ts';
import type { ContentLease, Digest, FetchedImage, FetchOptions } from '../driver.ts';
import { BlobArrival } from './blob-arrival.ts';
import type { BlobStore } from './blob-store.ts';
import { assembleImage } from './image-assembly.ts';
import { hostPlatform } from './image-config.ts';
import type { LayerStore } from './layer-store.ts';
import type { PartialBlobs } from './partial-blobs.ts';

/** Of one image; from one registry, so that a slow one holds up nobody else. Memory is what they cost. */
const BLOBS_AT_ONCE = 3;
const REGISTRY_BLOBS_AT_ONCE = 6;
const UNPACKS_AT_ONCE = 2;
/** Jobs that wait for bytes as well: they have places of their own. */
const EARLY_UNPACKS_AT_ONCE = 2;
/** Unpacking begins before the end when the rest takes no longer: a job has its own deadline. */
const EARLY_MS = 30_000;

export interface FetchParts {
  readonly blobs: BlobStore;
  readonly layers: LayerStore;
  readonly partials: PartialBlobs;
}

interface Fetch {
  readonly digests: Set<Digest>;
  readonly leases: Set<ContentLease>;
  readonly listeners: Set<(progress: LayerProgress) => void>;
  meter?: LayerMeter;
}

type Layer = CheckedManifest['layers'][number] & { readonly diffId: Digest };

export class ImageFetcher {
  readonly #parts: FetchParts;
  readonly #images = new SharedWork<string, FetchedImage>();
  readonly #fetches = new Map<string, Fetch>();
  readonly #blobs = new SharedWork<string, void>();
  /** By registry and digest, as is what runs. */
  readonly #arrivals = new Map<string, { readonly arrival: BlobArrival; readonly onBytes: Set<(bytes: number) => void> }>();
  readonly #ending = new Map<string, Promise<unknown>>();
  readonly #blobSlots = new Map<string, Slots>();
  readonly #unpackSlots = new Slots(UNPACKS_AT_ONCE);
  readonly #earlySlots = new Slots(EARLY_UNPACKS_AT_ONCE);
  #separate = 0;

  constructor(parts: FetchParts) {
    this.#parts = parts;
  }

  async fetch(remote: RemoteImage, { platform = hostPlatform(), lease, signal, onLayer }: FetchOptions): Promise<FetchedImage> {
    const key = this.#parts.blobs.guards.shares ? `${remote.shareKey} ${platformText(platform)}` : String(this.#separate++);
    const joined = this.#images.has(key) ? this.#fetches.get(key) : undefined;
    const fetch: Fetch = joined ?? { digests: new Set(), leases: new Set(), listeners: new Set() };
    let started = false;
    try {
      if (signal?.aborted === true) throw signal.reason;
      if (lease !== undefined) {
        fetch.leases.add(lease);
        lease.hold(...fetch.digests);
      }
      if (onLayer !== undefined) {
        fetch.meter?.all().forEach(onLayer);
        fetch.listeners.add(onLayer);
      }
      if (joined === undefined) this.#fetches.set(key, fetch);
      return await this.#images.do(key, async (stop) => {
        started = true;
        await using image = remote;
        try {
          return await this.#fetch(image, platform, fetch, stop);
        } finally {
          if (this.#fetches.get(key) === fetch) this.#fetches.delete(key);
        }
      }, signal);
    } catch (error) {
      if (signal?.aborted === true) throw new BerthError('wrongState', 'The pull was cancelled.', { cause: error });
      throw error;
    } finally {
      if (onLayer !== undefined) fetch.listeners.delete(onLayer);
      // Whoever joined, or never began, does not need his own.
      if (!started) await remote[Symbol.asyncDispose]();
    }
  }

  async #fetch(remote: RemoteImage, platform: Platform, fetch: Fetch, signal: AbortSignal): Promise<FetchedImage> {
    const { blobs, layers } = this.#parts;
    const { guards, arrivals } = blobs;
    using own = arrivals.lease();
    fetch.leases.add(own);
    const hold = (...digests: readonly Digest[]): void => {
      for (const digest of digests) fetch.digests.add(digest);
      for (const lease of fetch.leases) lease.hold(...digests);
    };
    try {
      const found = await this.#manifest(remote, platform, signal);
      hold(found.digest);
      await blobs.ingest(once(found.bytes), { digest: found.digest, signal });
      const manifest = guards.parseManifest(found.bytes, found.mediaType);
      hold(manifest.config.digest, ...manifest.layers.map((layer) => layer.digest));
      if (manifest.config.size > MAX_DOCUMENT_BYTES) throw new BerthError('invalid', `The image’s config has ${manifest.config.size} bytes; ${MAX_DOCUMENT_BYTES} are allowed.`);
      fetch.meter = new LayerMeter(manifest.layers, (progress) => { for (const tell of fetch.listeners) tell(progress); });
      await this.#blob(remote, manifest.config, fetch, signal);
      const { diffIds } = guards.parseConfig(await blobs.readWhole(manifest.config.digest, MAX_DOCUMENT_BYTES), manifest.layers.length, platform);
      hold(...diffIds);
      await this.#layers(remote, manifest.layers.map((layer, index) => ({ ...layer, diffId: diffIds[index]! })), fetch, signal);
      const record = await assembleImage({ blobs, layers, platform, signal, lease: own, onBlob: () => undefined }, found.digest, found.mediaType, []);
      return { ...record, namedDigest: found.namedDigest };
    } catch (error) {
      // What is wrong is not kept for a second attempt.
      if (error instanceof BerthError && error.code === 'invalid') arrivals.settle(fetch.digests);
      throw error;
    } finally {
      fetch.leases.delete(own);
    }
  }

  /** The manifest that the reference leads to, for the platform. */
  async #manifest(remote: RemoteImage, platform: Platform, signal: AbortSignal): Promise<{ readonly bytes: Uint8Array; readonly mediaType: string; readonly digest: Digest; readonly namedDigest: Digest }> {
    const { guards } = this.#parts.blobs;
    let wanted = remote.digest;
    let size: number | undefined;
    let namedDigest: Digest | undefined;
    for (let depth = 0; ; depth++) {
      const { bytes, mediaType } = await remote.manifest(depth === 0 ? undefined : wanted, signal);
      const digest = digestOf(bytes);
      if (wanted !== undefined && !guards.isDigest(digest, wanted)) throw new BerthError('invalid', `The manifest of ${remote.name} has digest ${digest}, not ${wanted}.`);
      if (size !== undefined && !guards.isSize(bytes.length, size, true)) throw new BerthError('invalid', `The manifest of ${remote.name} has ${bytes.length} bytes, not ${size}.`);
      namedDigest ??= digest;
      if (!isIndexType(mediaType)) return { bytes, mediaType, digest, namedDigest };
      if (depth === guards.maxNestedIndexes) throw new BerthError('invalid', `The indexes of ${remote.name} are nested too deep.`);
      const entries = guards.parseIndex(bytes, mediaType).filter((one) => isManifestType(one.mediaType) || isIndexType(one.mediaType));
      const fits = entries.filter((one) => isIndexType(one.mediaType) || matchesPlatform(one.platform ?? {}, platform));
      // Among variants of one processor, the one that was asked for, or the first.
      const chosen = fits.find((one) => one.platform?.variant === platform.variant) ?? fits[0];
      if (chosen === undefined) {
        const offered = [...new Set(entries.flatMap((one) => (one.platform?.os === undefined ? [] : [`${one.platform.os}/${one.platform.architecture ?? '?'}`])))].filter((one) => one !== 'unknown/unknown');
        throw new BerthError('unsupported', `${remote.name} is not there for ${platformText(platform)}.`, { hint: offered.length === 0 ? 'It names no platform at all.' : 'Another one can be asked for with --platform.', details: { platforms: offered.slice(0, 20) } });
      }
      wanted = chosen.digest;
      size = chosen.size;
    }
  }

  /** Ends when everything that it started has ended. */
  async #layers(remote: RemoteImage, all: readonly Layer[], fetch: Fetch, signal: AbortSignal): Promise<void> {
    const failed = new AbortController();
    const stop = AbortSignal.any([signal, failed.signal]);
    const distinct = [...new Map(all.map((layer) => [`${layer.digest} ${layer.diffId}`, layer])).values()];
    const unpacks: Promise<void>[] = [];
    let failure: { readonly error: unknown } | undefined;
    const fail = (error: unknown): void => {
      failure ??= { error };
      failed.abort(error);
    };
    await parallel(distinct, BLOBS_AT_ONCE, async (layer) => {
      if (await this.#parts.blobs.has(layer.digest) && this.#parts.layers.has(layer.diffId)) {
        fetch.meter!.state(layer.digest, 'present');
        return;
      }
      const arrival = Promise.withResolvers<BlobArrival | undefined>();
      const blob = this.#blob(remote, layer, fetch, stop, arrival.resolve).finally(() => arrival.resolve(undefined));
      unpacks.push(this.#unpack(remote, layer, arrival.promise, blob, fetch, stop).catch(fail));
      await blob;
    }).catch(fail);
    await Promise.all(unpacks);
    if (failure !== undefined) throw failure.error;
  }

  async #unpack(remote: RemoteImage, layer: Layer, arriving: Promise<BlobArrival | undefined>, blob: Promise<void>, fetch: Fetch, signal: AbortSignal): Promise<void> {
    const { layers, blobs } = this.#parts;
    void blob.then(() => fetch.meter!.state(layer.digest, 'unpacking'), () => undefined);
    const arrival = await arriving;
    if (arrival !== undefined && !layers.has(layer.diffId)) {
      while (!arrival.ended && !((arrival.leftMs() ?? Infinity) < EARLY_MS)) await arrival.moved();
      if (!arrival.ended && this.#earlySlots.isFree && await this.#unpackEarly(layer, arrival, `${registryOf(remote)} ${layer.digest}`, blob, signal)) return fetch.meter!.state(layer.digest, 'done');
    }
    await blob;
    await this.#unpackSlots.run(() => layers.ensure(blobs.pathOf(layer.digest), layer.compression, layer.diffId, signal), signal);
    fetch.meter!.state(layer.digest, 'done');
  }

  /** False when it has to be done again from the whole blob: the wait for bytes, or somebody else's blob, was the reason. */
  async #unpackEarly(layer: Layer, arrival: BlobArrival, key: string, blob: Promise<void>, signal: AbortSignal): Promise<boolean> {
    let mine = false;
    const read = (): AsyncIterable<Uint8Array> => {
      mine = true;
      return arrival.read();
    };
    try {
      await this.#earlySlots.run(() => this.#parts.layers.ensure({ key, read, verified: blob }, layer.compression, layer.diffId, signal), signal);
      await blob;
      return true;
    } catch (error) {
      // When the blob itself fails, that is what is wrong.
      await blob;
      if (mine && !arrival.failed && error instanceof BerthError && (error.code === 'invalid' || error.code === 'exhausted')) throw error;
      if (signal.aborted) throw error;
      return false;
    }
  }

  /** Resolves when the blob is in the store. */
  async #blob(remote: RemoteImage, blob: RemoteBlob, fetch: Fetch, signal: AbortSignal, onArrival: (arrival: BlobArrival | undefined) => void = () => undefined): Promise<void> {
    const meter = fetch.meter!;
    for (let attempt = 0; ; attempt++) {
      if (await this.#parts.blobs.has(blob.digest)) {
        const size = await this.#parts.blobs.size(blob.digest);
        if (!this.#parts.blobs.guards.isSize(size, blob.size, true)) throw new BerthError('invalid', `Blob ${blob.digest} has ${size} bytes, not ${blob.size} as the manifest says.`);
        return meter.state(blob.digest, 'verifying');
      }
      let mine = false;
      const onBytes = (bytes: number): void => (bytes === blob.size ? meter.state(blob.digest, 'verifying') : meter.bytes(blob.digest, bytes));
      const key = `${registryOf(remote)} ${blob.digest}${this.#parts.blobs.guards.shares ? '' : ` ${this.#separate++}`}`;
      try {
        const done = this.#blobs.do(key, (stop) => {
          mine = true;
          return this.#receive(key, remote, blob, fetch, stop);
        }, signal);
        const entry = this.#arrivals.get(key);
        entry?.onBytes.add(onBytes);
        onArrival(entry?.arrival);
        await done.finally(() => entry?.onBytes.delete(onBytes));
        if (mine) return meter.state(blob.digest, 'verifying');
      } catch (error) {
        if (signal.aborted) throw error;
        const resumed = error instanceof BerthError && error.details?.['resumed'] === true;
        // Somebody else's registry failed, or what an earlier fetch had left was wrong: once more, on our own.
        if (attempt >= 2 || (mine && !resumed)) throw error;
      }
    }
  }

  async #receive(key: string, remote: RemoteImage, blob: RemoteBlob, fetch: Fetch, stop: AbortSignal): Promise<void> {
    const { blobs, partials } = this.#parts;
    const onBytes = new Set<(bytes: number) => void>();
    const arrival = new BlobArrival({
      blobs, partials, blob, leases: fetch.leases,
      source: (offset, signal) => remote.blob(blob, offset, signal),
      onBytes: (bytes) => { for (const tell of onBytes) tell(bytes); },
    });
    // Two must never write one file: work that was stopped may still be ending.
    const before = this.#ending.get(key);
    const run = (async () => {
      await before?.catch(() => undefined);
      await this.#slots(remote).run(() => arrival.run(stop), stop);
    })();
    const entry = { arrival, onBytes };
    this.#arrivals.set(key, entry);
    this.#ending.set(key, run);
    try {
      await run;
    } finally {
      if (this.#arrivals.get(key) === entry) this.#arrivals.delete(key);
      if (this.#ending.get(key) === run) this.#ending.delete(key);
    }
  }

  #slots(remote: RemoteImage): Slots {
    const registry = registryOf(remote);
    const slots = this.#blobSlots.get(registry) ?? new Slots(REGISTRY_BLOBS_AT_ONCE);
    this.#blobSlots.set(registry, slots);
    return slots;
  }
}

function registryOf(remote: RemoteImage): string {
  return remote.name.split('/')[0]!;
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
