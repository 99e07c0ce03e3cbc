/** `image export`: an OCI layout, a docker-archive or the merged root, as a tar that is made while it is read. */
import { createHash } from 'node:crypto';
import { tarEnd, tarEntry, tarHeader, tarPadding } from '../../../lib/tar-header.ts';
import { BerthError } from '../../../model/errors.ts';
import type { Unpacker } from '../../unpack/driver.ts';
import type { ArchiveFormat, Digest, ImageRecord } from '../driver.ts';
import { hexOf, type BlobStore } from './blob-store.ts';
import { MEDIA_TYPE } from './image-assembly.ts';
import { compressionOf } from './archive-format.ts';
import { firstChunk, jobOutput } from './job-output.ts';
import type { LayerStore } from './layer-store.ts';

export interface ExportParts {
  readonly blobs: BlobStore;
  readonly layers: LayerStore;
  readonly unpacker: Unpacker;
}

export async function* exportArchive(parts: ExportParts, image: ImageRecord, format: ArchiveFormat, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
  const layers = image.layers.map((layer) => parts.layers.pathOf(layer.diffId));
  if (format === 'rootfs') yield* jobOutput((target, stop) => parts.unpacker.packMerged(layers, target, stop), signal);
  else if (format === 'docker-archive') yield* dockerArchive(parts, image, signal);
  else yield* layoutArchive(parts, image);
}

async function* layoutArchive({ blobs }: ExportParts, image: ImageRecord): AsyncGenerator<Uint8Array> {
  const digests = new Set<Digest>([image.configDigest, image.manifestDigest, ...image.layers.map((layer) => layer.digest)]);
  const name = image.names[0];
  // One entry for the image, whatever the number of its names: readers that are given none take the only one.
  const index = {
    schemaVersion: 2, mediaType: MEDIA_TYPE.index,
    manifests: [{
      mediaType: image.mediaType, digest: image.manifestDigest, size: await blobs.size(image.manifestDigest), platform: { architecture: image.config.architecture, os: image.config.os },
      ...(name === undefined ? {} : { annotations: { 'io.containerd.image.name': name, 'org.opencontainers.image.ref.name': name } }),
    }],
  };
  for (const path of ['blobs/', 'blobs/sha256/']) yield tarEntry({ path, type: 'directory' });
  for (const digest of digests) yield* fileEntry(`blobs/sha256/${hexOf(digest)}`, await blobs.size(digest), blobs.read(digest), digest);
  yield tarEntry({ path: 'index.json' }, json(index));
  yield tarEntry({ path: 'oci-layout' }, json({ imageLayoutVersion: '1.0.0' }));
  yield tarEnd();
}

async function* dockerArchive({ blobs, layers, unpacker }: ExportParts, image: ImageRecord, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
  const written = new Set<string>();
  for (const { digest, diffId } of image.layers) {
    const path = `${hexOf(diffId)}.tar`;
    if (written.has(path)) continue;
    written.add(path);
    const compression = compressionOf(await firstChunk(blobs.read(digest)));
    const content = compression === 'none' ? blobs.read(digest) : jobOutput((target, stop) => unpacker.inflate({ file: blobs.pathOf(digest), compression }, target, undefined, stop), signal);
    yield* fileEntry(path, layers.report(diffId).tarBytes, content, diffId);
  }
  const config = `${hexOf(image.configDigest)}.json`;
  yield* fileEntry(config, await blobs.size(image.configDigest), blobs.read(image.configDigest), image.configDigest);
  yield tarEntry({ path: 'manifest.json' }, json([{ Config: config, RepoTags: image.names.filter((name) => !name.includes('@')), Layers: image.layers.map(({ diffId }) => `${hexOf(diffId)}.tar`) }]));
  yield tarEnd();
}

/** Checked as it goes out: an archive that is kept for a bad day must not turn out to be damaged on it. */
async function* fileEntry(path: string, sizeBytes: number, content: AsyncIterable<Uint8Array>, digest: Digest): AsyncGenerator<Uint8Array> {
  yield tarHeader({ path, sizeBytes });
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of content) {
    bytes += chunk.length;
    if (bytes > sizeBytes) break;
    hash.update(chunk);
    yield chunk;
  }
  if (bytes !== sizeBytes) throw new BerthError('unavailable', `Stored content has ${bytes} bytes instead of ${sizeBytes}: it was damaged.`, { hint: 'Bring the image in again.' });
  if (`sha256:${hash.digest('hex')}` !== digest) throw new BerthError('unavailable', `Stored content is not ${digest} any more: it was damaged.`, { hint: 'Bring the image in again.' });
  yield tarPadding(sizeBytes);
}

function json(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}
