/** Makes an image of layers that are tars without a manifest: what was bootstrapped, or a root file system archive. */
import { Buffer } from 'node:buffer';
import type { ImageConfig } from '../../../model/image.ts';
import type { Digest, ImageRecord } from '../driver.ts';
import type { BlobStore } from './blob-store.ts';
import type { LayerStore } from './layer-store.ts';

export const MEDIA_TYPE = {
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar',
} as const;

export const EMPTY_CONFIG: ImageConfig = { architecture: 'amd64', os: 'linux', entrypoint: [], command: [], env: [], workdir: '', user: '', exposedPorts: [], volumes: [], labels: {} };

export interface AssembleParts {
  readonly blobs: BlobStore;
  readonly layers: LayerStore;
  readonly signal?: AbortSignal | undefined;
}

/** One layer, uncompressed: its digest is its diffID. No time stands in the config: equal bytes make equal images. */
export async function assembleImage(parts: AssembleParts, layer: AsyncIterable<Uint8Array>, config: ImageConfig): Promise<ImageRecord> {
  const { blobs, layers, signal } = parts;
  const blob = await blobs.ingest(layer, { signal });
  const report = await layers.ensure(blobs.pathOf(blob.digest), 'none', blob.digest, signal);
  const configBlob = await blobs.ingest(json({
    architecture: config.architecture, os: config.os,
    config: {
      ...(config.entrypoint.length === 0 ? {} : { Entrypoint: config.entrypoint }), ...(config.command.length === 0 ? {} : { Cmd: config.command }),
      ...(config.env.length === 0 ? {} : { Env: config.env }), ...(config.workdir === '' ? {} : { WorkingDir: config.workdir }), ...(config.user === '' ? {} : { User: config.user }),
    },
    rootfs: { type: 'layers', diff_ids: [blob.digest] },
  }));
  const manifest = await blobs.ingest(json({
    schemaVersion: 2, mediaType: MEDIA_TYPE.manifest,
    config: { mediaType: MEDIA_TYPE.config, digest: configBlob.digest, size: configBlob.size },
    layers: [{ mediaType: MEDIA_TYPE.layer, digest: blob.digest, size: blob.size }],
  }));
  return {
    manifestDigest: manifest.digest as Digest, configDigest: configBlob.digest, mediaType: MEDIA_TYPE.manifest, config,
    layers: [{ digest: blob.digest, diffId: blob.digest, bytes: blob.size, mediaType: MEDIA_TYPE.layer }], names: [], bytes: report.fileBytes, setuid: report.setuid,
  };
}

async function* json(value: unknown): AsyncGenerator<Uint8Array> {
  yield Buffer.from(JSON.stringify(value));
}
