/** Finds an image by what a person wrote: a reference, a short name, a digest or the start of an id. */
import { BerthError } from '../../model/errors.ts';
import type { Image } from '../../model/image.ts';
import { canonicalReference, parseReference, shortReference } from '../../model/reference.ts';
import { printable } from '../../model/ids.ts';
import type { Registry } from '../registry.ts';

const DEFAULT_REGISTRY = 'docker.io';
const ID_START = /^[0-9a-f]{12,64}$/;

/** What a short name may mean, in the order of looking: made here first. */
export function candidates(text: string): string[] {
  const reference = parseReference(text);
  if (reference.registry !== undefined) return [canonicalReference(reference)];
  const repository = reference.repository.includes('/') ? reference.repository : `library/${reference.repository}`;
  return [canonicalReference(reference), canonicalReference({ ...reference, registry: DEFAULT_REGISTRY, repository })];
}

export function tryFindImage(registry: Registry, project: string, text: string): Image | undefined {
  const images = registry.list<Image>('Image', project);
  if (ID_START.test(text)) {
    const byId = images.filter((image) => image.status.digest.startsWith(`sha256:${text}`));
    if (byId.length === 1) return byId[0];
  }
  if (/^sha256:[0-9a-f]{64}$/.test(text)) return images.find((image) => image.status.digest === text);
  const digest = parseReference(text).digest;
  for (const reference of candidates(text)) {
    const found = images.find((image) => image.spec.references.includes(reference) && (digest === undefined || image.status.digest === digest));
    if (found !== undefined) return found;
  }
  return digest === undefined ? undefined : images.find((image) => image.status.digest === digest);
}

export function findImage(registry: Registry, project: string, text: string): Image {
  const image = tryFindImage(registry, project, text);
  if (image !== undefined) return image;
  const known = registry.list<Image>('Image', project).flatMap((one) => one.spec.references).map(shortReference);
  throw new BerthError('notFound', `There is no image '${printable(text)}' in project '${project}'.`, {
    hint: known.length === 0 ? 'Make one: berth image bootstrap busybox' : '`berth image list` shows what there is; `berth image import` and `berth image bootstrap` bring more.',
    details: { kind: 'Image', name: text, known: known.slice(0, 50) },
  });
}
