/** Finds an image by what a person wrote: a reference, a short name, a digest or the start of an id. */
import { BerthError } from '../../model/errors.ts';
import type { Image } from '../../model/image.ts';
import { canonicalReference, LOCAL_REGISTRY, parseReference, remoteCandidates, shortReference, type ImageReference } from '../../model/reference.ts';
import { printable } from '../../model/ids.ts';
import type { Services } from '../services.ts';

type Lookup = Pick<Services, 'registry' | 'registries'>;

const ID_START = /^[0-9a-f]{12,64}$/;
const WHOLE_DIGEST = /^sha256:[0-9a-f]{64}$/;

/** What a name may mean, in the order of looking: made here first, then what came from the registries that are searched. */
export function candidates({ registries }: Pick<Services, 'registries'>, text: string): readonly ImageReference[] {
  const reference = parseReference(text);
  const remote = remoteCandidates(reference, registries.settings.search);
  return reference.registry === undefined ? [{ ...reference, registry: LOCAL_REGISTRY }, ...remote] : remote;
}

export function tryFindImage(lookup: Lookup, project: string, text: string): Image | undefined {
  const images = lookup.registry.list<Image>('Image', project);
  if (ID_START.test(text)) {
    const byId = images.filter((image) => image.status.digest.startsWith(`sha256:${text}`));
    if (byId.length === 1) return byId[0];
  }
  if (WHOLE_DIGEST.test(text)) return images.find((image) => image.status.digest === text);
  for (const wanted of candidates(lookup, text)) {
    const found = images.find((image) => image.spec.references.some((reference) => meets(reference, wanted, image)));
    if (found !== undefined) return found;
  }
  const { digest } = parseReference(text);
  return digest === undefined ? undefined : images.find((image) => image.status.digest === digest);
}

/** A digest decides alone, whether it is the image's own or that of the index by which it was pulled. */
function meets(reference: string, wanted: ImageReference, image: Image): boolean {
  if (wanted.digest === undefined) return reference === canonicalReference(wanted);
  if (reference === canonicalReference({ ...wanted, tag: undefined })) return true;
  return image.status.digest === wanted.digest && reference === canonicalReference({ ...wanted, digest: undefined });
}

/** Under which of its names the image was found; undefined when it was by id or digest. */
export function nameOf(lookup: Lookup, image: Image, text: string): ImageReference | undefined {
  if (ID_START.test(text) || WHOLE_DIGEST.test(text)) return undefined;
  return candidates(lookup, text).find((wanted) => image.spec.references.some((reference) => meets(reference, wanted, image)));
}

export function findImage(lookup: Lookup, project: string, text: string): Image {
  const image = tryFindImage(lookup, project, text);
  if (image !== undefined) return image;
  const known = lookup.registry.list<Image>('Image', project).flatMap((one) => one.spec.references).map(shortReference);
  throw new BerthError('notFound', `There is no image '${printable(text)}' in project '${project}'.`, {
    hint: known.length === 0 ? `Fetch it: berth pull ${printable(text)}. Or make one: berth image bootstrap busybox` : '`berth image list` shows what there is; `berth pull`, `berth image import` and `berth image bootstrap` bring more.',
    details: { kind: 'Image', name: text, known: known.slice(0, 50) },
  });
}
