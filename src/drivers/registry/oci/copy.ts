/** From registry to registry: an image, or an index with everything that it names. Nothing is kept here. */
import { createHash } from 'node:crypto';
import { digestOf } from '../../../lib/digest.ts';
import { BerthError } from '../../../model/errors.ts';
import { isIndexType, isManifestType, MAX_NESTED_INDEXES, parseIndex, parseManifest } from '../../../model/image-manifest.ts';
import { LayerMeter } from '../../../model/layer-progress.ts';
import { matchesPlatform, platformText } from '../../../model/platform.ts';
import type { ImageReference } from '../../../model/reference.ts';
import type { CopyOptions, RemoteBlob, RemoteImage, RemoteManifest } from '../driver.ts';
import { pushBlobs, pushManifest, type PushTarget } from './push.ts';

const MAX_MANIFESTS = 200;

interface Found extends RemoteManifest {
  readonly digest: string;
  readonly blobs: readonly RemoteBlob[];
}

export async function copyImage(source: RemoteImage, from: ImageReference, to: ImageReference, target: PushTarget, { platform, onLayer }: CopyOptions): Promise<{ readonly digest: string }> {
  const found: Found[] = [];
  const read = async (digest: string | undefined): Promise<RemoteManifest & { readonly digest: string }> => {
    const manifest = await source.manifest(digest, target.signal);
    const own = digestOf(manifest.bytes);
    if (digest !== undefined && own !== digest) throw new BerthError('invalid', `The manifest has digest ${own}, not ${digest}.`);
    return { ...manifest, digest: own };
  };

  /** What a document names comes before it. */
  async function gather(manifest: RemoteManifest & { readonly digest: string }, depth: number): Promise<string> {
    if (!isIndexType(manifest.mediaType)) {
      const { config, layers } = parseManifest(manifest.bytes, manifest.mediaType);
      found.push({ ...manifest, blobs: [config, ...layers] });
      return manifest.digest;
    }
    if (depth === MAX_NESTED_INDEXES) throw new BerthError('invalid', 'The image’s indexes are nested too deep.');
    const all = parseIndex(manifest.bytes, manifest.mediaType).filter((one) => isManifestType(one.mediaType) || isIndexType(one.mediaType));
    if (found.length + all.length > MAX_MANIFESTS) throw new BerthError('invalid', `The image’s index names more than ${MAX_MANIFESTS} manifests.`);
    if (platform !== undefined) {
      const chosen = all.find((one) => isIndexType(one.mediaType) || (one.platform?.os !== undefined && matchesPlatform(one.platform, platform)));
      if (chosen === undefined) throw new BerthError('notFound', `${source.name} is not there for ${platformText(platform)}.`);
      return gather(await read(chosen.digest), depth + 1);
    }
    for (const one of all) if (!found.some((other) => other.digest === one.digest)) await gather(await read(one.digest), depth + 1);
    found.push({ ...manifest, blobs: [] });
    return manifest.digest;
  }

  const digest = await gather(await read(from.digest), 0);
  if (to.digest !== undefined && to.digest !== digest) throw new BerthError('invalid', `The image is ${digest}, not ${to.digest}.`);
  const blobs = found.flatMap((one) => one.blobs);
  const meter = new LayerMeter(blobs, onLayer);
  await pushBlobs(target, blobs, {
    read: (blob) => checked(source.blob(blob, 0, target.signal), blob),
    mountFrom: () => (from.registry === to.registry ? [from.repository] : []),
  }, meter);
  for (const one of found) await pushManifest(target, one, one.digest);
  if (to.tag !== undefined || to.digest === undefined) await pushManifest(target, found.find((one) => one.digest === digest)!, to.tag ?? 'latest');
  return { digest };
}

/** The other registry compares, too; but what is wrong here is said here. */
async function* checked(bytes: AsyncIterable<Uint8Array>, { digest }: RemoteBlob): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256');
  for await (const chunk of bytes) {
    hash.update(chunk);
    yield chunk;
  }
  const own = `sha256:${hash.digest('hex')}`;
  if (own !== digest) throw new BerthError('invalid', `The bytes have digest ${own}, not ${digest}.`);
}
