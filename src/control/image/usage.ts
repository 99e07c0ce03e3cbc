/** What images take: of their own, and shared with others. Of all projects, because layers are shared by all. */
import type { ImageUsage } from '../../model/disk-usage.ts';
import { imageType, type Image } from '../../model/image.ts';
import type { Services } from '../services.ts';
import { usersOf } from './sweep.ts';

export function imageUsage(services: Services, project: string | undefined): readonly ImageUsage[] {
  const images = services.registry.list<Image>('Image');
  const users = new Map<string, Set<string>>();
  for (const image of images) {
    for (const { diffId } of image.status.layers) {
      const those = users.get(diffId) ?? new Set();
      users.set(diffId, those.add(image.status.digest));
    }
  }
  return images.filter((image) => project === undefined || image.meta.project === project).map((image) => {
    let bytes = imageType(image) === 'oci' ? 0 : (services.content.diskBytes(image.status.digest) ?? 0);
    let sharedBytes = 0;
    for (const diffId of new Set(image.status.layers.map((layer) => layer.diffId))) {
      const size = services.content.layerBytes(diffId) ?? 0;
      bytes += size;
      if (users.get(diffId)!.size > 1) sharedBytes += size;
    }
    return { name: image.meta.name, project: image.meta.project, digest: image.status.digest, bytes, sharedBytes, ownBytes: bytes - sharedBytes, instances: usersOf(services.registry, image).length };
  });
}
