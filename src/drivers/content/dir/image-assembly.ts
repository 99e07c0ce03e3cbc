/** From blobs to an image: documents checked, layers unpacked, one record. What has no manifest gets one. */
import { BerthError } from '../../../model/errors.ts';
import type { ImageConfig } from '../../../model/image.ts';
import type { Compression, LayerReport } from '../../unpack/driver.ts';
import type { BlobInfo, ContentLease, Digest, ImageRecord } from '../driver.ts';
import type { BlobStore } from './blob-store.ts';
import { MAX_DOCUMENT_BYTES } from '../../../model/image-manifest.ts';
import type { Platform } from '../../../model/platform.ts';
import { hostArchitecture } from './image-config.ts';
import type { LayerStore } from './layer-store.ts';

export const MEDIA_TYPE = {
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  index: 'application/vnd.oci.image.index.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: { none: 'application/vnd.oci.image.layer.v1.tar', gzip: 'application/vnd.oci.image.layer.v1.tar+gzip', zstd: 'application/vnd.oci.image.layer.v1.tar+zstd' },
} as const;

const MAX_SETUID = 1000;

export interface AssemblyParts {
  readonly blobs: BlobStore;
  readonly layers: LayerStore;
  readonly lease?: ContentLease | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Default: this host's. */
  readonly platform?: Platform | undefined;
  readonly onLayer?: ((done: number, total: number) => void) | undefined;
  /** Told of every blob that is made here. */
  readonly onBlob: (digest: Digest) => void;
}

export function emptyConfig(): ImageConfig {
  return { architecture: hostArchitecture(), os: 'linux', entrypoint: [], command: [], env: [], workdir: '', user: '', exposedPorts: [], volumes: [], labels: {} };
}

/** All of an image whose blobs are here: documents checked against each other, layers unpacked and their diffIDs compared. */
export async function assembleImage(parts: AssemblyParts, manifestDigest: Digest, mediaType: string | undefined, names: readonly string[]): Promise<ImageRecord> {
  const { blobs, layers, signal } = parts;
  const { parseManifest, parseConfig } = blobs.guards;
  const manifest = parseManifest(await blobs.readWhole(manifestDigest, MAX_DOCUMENT_BYTES), mediaType);
  for (const part of [manifest.config, ...manifest.layers]) {
    const size = await blobs.size(part.digest);
    if (size !== part.size) throw new BerthError('invalid', `Blob ${part.digest} has ${size} bytes, not ${part.size} as the manifest says.`);
  }
  const { config, diffIds } = parseConfig(await blobs.readWhole(manifest.config.digest, MAX_DOCUMENT_BYTES), manifest.layers.length, parts.platform);
  const setuid: string[] = [];
  let bytes = 0;
  for (const [index, layer] of manifest.layers.entries()) {
    parts.onLayer?.(index, manifest.layers.length);
    const report = await layers.ensure(blobs.pathOf(layer.digest), layer.compression, diffIds[index]!, signal, parts.lease);
    bytes += report.fileBytes;
    setuid.push(...report.setuid);
  }
  parts.onLayer?.(manifest.layers.length, manifest.layers.length);
  return {
    manifestDigest, configDigest: manifest.config.digest, mediaType: manifest.mediaType, config,
    layers: manifest.layers.map((layer, index) => ({ digest: layer.digest, diffId: diffIds[index]!, bytes: layer.size, mediaType: layer.mediaType })),
    names, bytes, setuid: [...new Set(setuid)].slice(0, MAX_SETUID),
  };
}

/** A layer without an image: what was bootstrapped, or the archive of a root file system. */
export async function assembleFromLayer(parts: AssemblyParts, blob: BlobInfo, compression: Compression, config: ImageConfig, names: readonly string[], unpacked?: LayerReport): Promise<ImageRecord> {
  const { diffId } = unpacked ?? await parts.layers.ensure(parts.blobs.pathOf(blob.digest), compression, undefined, parts.signal, parts.lease);
  const configBlob = await keepDocument(parts, configDocument(config, [diffId]));
  const manifest = await manifestOver(parts, configBlob, MEDIA_TYPE.config, [{ mediaType: MEDIA_TYPE.layer[compression], digest: blob.digest, size: blob.size }]);
  return assembleImage(parts, manifest.digest, MEDIA_TYPE.manifest, names);
}

/** Writes the manifest of a config and layers that are here. */
export async function manifestOver(parts: AssemblyParts, config: BlobInfo, configType: string, layers: readonly { readonly mediaType: string; readonly digest: Digest; readonly size: number }[]): Promise<BlobInfo> {
  return keepDocument(parts, { schemaVersion: 2, mediaType: MEDIA_TYPE.manifest, config: { mediaType: configType, digest: config.digest, size: config.size }, layers });
}

/** No time stands in it: equal bytes make equal images. */
function configDocument(config: ImageConfig, diffIds: readonly Digest[]): unknown {
  const some = <T>(key: string, value: T, empty: boolean): Record<string, T> => (empty ? {} : { [key]: value });
  return {
    architecture: config.architecture, os: config.os,
    config: {
      ...some('User', config.user, config.user === ''), ...some('Env', config.env, config.env.length === 0), ...some('Entrypoint', config.entrypoint, config.entrypoint.length === 0),
      ...some('Cmd', config.command, config.command.length === 0), ...some('WorkingDir', config.workdir, config.workdir === ''), ...some('StopSignal', config.stopSignal, config.stopSignal === undefined),
      ...some('Labels', config.labels, Object.keys(config.labels).length === 0),
    },
    rootfs: { type: 'layers', diff_ids: diffIds },
  };
}

async function keepDocument(parts: AssemblyParts, value: unknown): Promise<BlobInfo> {
  const info = await parts.blobs.ingest((async function* () {
    yield Buffer.from(JSON.stringify(value));
  })(), { lease: parts.lease, signal: parts.signal });
  parts.onBlob(info.digest);
  return info;
}
