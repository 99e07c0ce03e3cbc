/** Content that no image names goes; what is in use, held or damaged stays. */
import type { ContentInUse } from '../../drivers/content/driver.ts';
import { imageType, type Image } from '../../model/image.ts';
import type { Instance } from '../../model/instance-status.ts';
import type { Registry } from '../registry.ts';
import type { Services } from '../services.ts';

interface InUseSets extends ContentInUse {
  readonly blobs: ReadonlySet<string>;
  readonly diffIds: ReadonlySet<string>;
  readonly imageFiles: ReadonlySet<string>;
  readonly disks: ReadonlySet<string>;
}

export function contentOf(images: readonly Image[]): InUseSets {
  return {
    blobs: new Set(images.flatMap((image) => [image.status.digest, image.status.configDigest, ...image.status.layers.map((layer) => layer.digest)])),
    diffIds: new Set(images.flatMap((image) => image.status.layers.map((layer) => layer.diffId))),
    imageFiles: new Set(images.map((image) => image.status.configDigest)),
    disks: new Set(images.filter((image) => imageType(image) !== 'oci').map((image) => image.status.digest)),
  };
}

/** Is the image one of an instance, or of one that is being made? */
export function isInUse(services: Pick<Services, 'registry' | 'imageUses'>, image: Image): boolean {
  return services.imageUses.has(image.meta.id) || usersOf(services.registry, image).length > 0;
}

export function usersOf(registry: Registry, image: Image): readonly Instance[] {
  return registry.list<Instance>('Instance', image.meta.project).filter(({ status }) => status.imageId === image.status.digest || status.kernelImageId === image.status.digest || status.isoIds?.includes(image.status.digest) === true);
}

/** As it is at the moment of each question: an image may come while a sweep goes on. */
function liveUse(registry: Registry): ContentInUse & Disposable {
  let sets: InUseSets | undefined;
  const forget = registry.onChange(({ kind }) => { if (kind === 'Image') sets = undefined; });
  const now = (): InUseSets => (sets ??= contentOf(registry.list<Image>('Image')));
  return {
    blobs: { has: (digest) => now().blobs.has(digest) },
    diffIds: { has: (diffId) => now().diffIds.has(diffId) },
    imageFiles: { has: (key) => now().imageFiles.has(key) },
    disks: { has: (digest) => now().disks.has(digest) },
    [Symbol.dispose]: forget,
  };
}

/**
 * Returns the bytes that became free. While an image of the store cannot be read nobody knows what it has: nothing goes.
 * `arrivals`: also what came a short while ago and belongs to nothing.
 */
export async function sweepContent(services: Services, options: { readonly arrivals?: boolean } = {}): Promise<number> {
  const { registry, content, log } = services;
  const unreadable = registry.quarantined.find(({ key }) => key.startsWith('o/Image/'));
  if (unreadable !== undefined) {
    log.warn({ key: unreadable.key }, 'unused image content is kept: an image of the store cannot be read');
    return 0;
  }
  using inUse = liveUse(registry);
  return await content.sweep(inUse, options);
}
