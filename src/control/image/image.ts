/** Images: brought in, named, un-named; what no image uses is swept. */
import { Buffer } from 'node:buffer';
import type { ArchiveFormat, BootstrapRequest, ImageRecord } from '../../drivers/content/driver.ts';
import { BerthError, errorBody } from '../../model/errors.ts';
import { makeObjectId } from '../../model/ids.ts';
import type { Image } from '../../model/image.ts';
import type { Instance } from '../../model/instance-status.ts';
import { API_VERSION } from '../../model/meta.ts';
import type { Operation } from '../../model/operation.ts';
import type { Project } from '../../model/project.ts';
import { canonicalReference, parseReference } from '../../model/reference.ts';
import { timestamp } from '../clock.ts';
import { describe, type StepContext, type StepList } from '../journal.ts';
import { targetOf, type Target } from '../records.ts';
import { Transaction } from '../registry.ts';
import { SYSTEM, type Caller, type Services } from '../services.ts';
import { findImage } from './find.ts';

const MAX_ACCOUNT_BYTES = 1024 * 1024;

interface ImageContext extends StepContext {
  readonly services: Services;
  readonly project: string;
  readonly request: BootstrapRequest;
  readonly references: readonly string[];
  image?: Image;
}

/** Writes the image's object, moving the references to it. `by`: the verb that has no record of its own yet. */
async function recordImage(services: Services, project: string, record: ImageRecord, references: readonly string[], by?: { readonly caller: Caller; readonly verb: 'image.tag' }): Promise<Image> {
  return services.locks.hold(`images/${project}`, 'image.import', async () => {
    const { registry, journal } = services;
    const transaction = new Transaction();
    for (const other of registry.list<Image>('Image', project)) {
      const kept = other.spec.references.filter((reference) => !references.includes(reference));
      if (kept.length !== other.spec.references.length && other.status.digest !== record.manifestDigest) transaction.put({ ...other, spec: { references: kept }, meta: { ...other.meta, generation: other.meta.generation + 1 } });
    }
    const existing = registry.list<Image>('Image', project).find((image) => image.status.digest === record.manifestDigest);
    const image = await imageObject(services, project, record, [...new Set([...(existing?.spec.references ?? []), ...references])], existing);
    transaction.put(image, existing === undefined ? 'absent' : existing.meta.revision);
    if (by !== undefined) journal.records.outcome(transaction, journal.records.intent(transaction, by.caller, by.verb, targetOf(image), { references }), 'ok');
    journal.records.event(transaction, 'image.imported', targetOf(image), `Image ${references[0] ?? record.manifestDigest.slice(7, 19)} is here.`);
    await registry.commit(transaction);
    services.content.settled(record);
    return registry.get<Image>('Image', project, image.meta.name);
  });
}

async function imageObject(services: Services, project: string, record: ImageRecord, references: readonly string[], existing: Image | undefined): Promise<Image> {
  const layers = record.layers.map((layer) => services.content.layerPath(layer.diffId));
  const [passwd, group] = await Promise.all(['/etc/passwd', '/etc/group'].map((path) => services.unpacker.readFile(layers, path, MAX_ACCOUNT_BYTES)));
  const text = (bytes: Uint8Array | undefined) => (bytes === undefined ? undefined : Buffer.from(bytes).toString('utf8'));
  const id = existing?.meta.id ?? makeObjectId(services.randomness.bytes(12));
  return {
    apiVersion: API_VERSION, kind: 'Image',
    meta: existing?.meta ?? { id, name: record.manifestDigest.slice('sha256:'.length, 'sha256:'.length + 12), project, createdAt: timestamp(services.clock), generation: 1, revision: 0 },
    spec: { references: [...references] },
    status: { digest: record.manifestDigest, configDigest: record.configDigest, mediaType: record.mediaType, config: record.config, layers: record.layers, bytes: record.bytes, passwd: text(passwd), group: text(group), setuid: record.setuid },
  };
}

export const BOOTSTRAP: StepList<ImageContext> = {
  verb: 'image.bootstrap',
  onCrash: 'undo',
  steps: [{
    name: 'content',
    async run(context) {
      const record = await context.services.content.bootstrap(context.request, { signal: context.signal, onProgress: context.progress });
      context.image = await recordImage(context.services, context.project, record, context.references);
    },
  }],
};

export async function bootstrapImage(services: Services, caller: Caller, project: string, request: BootstrapRequest, as: string | undefined): Promise<{ readonly operation: Operation; readonly done: Promise<Operation> }> {
  services.registry.get<Project>('Project', '', project);
  const reference = canonicalReference(parseReference(as ?? request.name));
  const context: ImageContext = { services, project, request, references: [reference] };
  const target: Target = { kind: 'Image', project, name: reference, id: '' };
  return services.journal.begin({
    list: BOOTSTRAP, target, caller, context, auditDetails: { reference },
    intent: () => undefined, outcome: () => undefined, failure: () => undefined,
    result: () => ({ reference, imageId: context.image?.meta.name }),
  });
}

/** The archive arrives with the request; names of its own count unless `as` gives one. */
export async function importImage(services: Services, caller: Caller, project: string, bytes: AsyncIterable<Uint8Array>, as: string | undefined, signal: AbortSignal): Promise<readonly Image[]> {
  services.registry.get<Project>('Project', '', project);
  const wanted = as === undefined ? undefined : canonicalReference(parseReference(as));
  const target: Target = { kind: 'Image', project, name: wanted ?? 'archive', id: '' };
  return services.journal.records.audited(caller, 'image.import', target, undefined, () => takeIn(services, project, bytes, wanted, signal));
}

async function takeIn(services: Services, project: string, bytes: AsyncIterable<Uint8Array>, wanted: string | undefined, signal: AbortSignal): Promise<readonly Image[]> {
  const records = await services.content.importArchive(bytes, { signal });
  if (wanted !== undefined && records.length > 1) throw new BerthError('invalid', `The archive holds ${records.length} images: one name is not enough for them.`, { hint: 'Leave --as out.' });
  const images: Image[] = [];
  for (const record of records) {
    const own = record.names.flatMap((name) => {
      try {
        return [canonicalReference(parseReference(name))];
      } catch {
        return []; // a name that we would not accept from a person is not taken from an archive either
      }
    });
    images.push(await recordImage(services, project, record, wanted === undefined ? own : [wanted]));
  }
  return images;
}

export async function exportImage(services: Services, project: string, reference: string, format: ArchiveFormat, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>> {
  const image = findImage(services.registry, project, reference);
  return services.content.exportArchive(recordOf(image), format, signal);
}

export function recordOf(image: Image): ImageRecord {
  const { digest, configDigest, mediaType, config, layers, bytes, setuid } = image.status;
  return { manifestDigest: digest, configDigest, mediaType, config, layers, names: image.spec.references, bytes, setuid };
}

export function tagImage(services: Services, caller: Caller, project: string, reference: string, newReference: string): Promise<Image> {
  const parsed = parseReference(newReference);
  if (parsed.digest !== undefined) throw new BerthError('invalid', 'A new name cannot have a digest.', { hint: 'Write NAME:TAG.' });
  return recordImage(services, project, recordOf(findImage(services.registry, project, reference)), [canonicalReference(parsed)], { caller, verb: 'image.tag' });
}

/** Takes one name away. With the last name the image goes, unless an instance was made from it. */
export async function deleteImage(services: Services, caller: Caller, project: string, text: string, force: boolean): Promise<{ readonly deleted: boolean; readonly untagged: readonly string[] }> {
  const { registry, journal } = services;
  const result = await services.locks.hold(`images/${project}`, 'image.delete', async () => {
    const image = findImage(registry, project, text);
    const byId = !image.spec.references.some((reference) => matchesName(reference, text));
    const untagged = byId || force ? image.spec.references : image.spec.references.filter((reference) => matchesName(reference, text));
    const left = image.spec.references.filter((reference) => !untagged.includes(reference));
    const users = registry.list<Instance>('Instance', project).filter((instance) => instance.status.imageId === image.status.digest);
    if (left.length === 0 && users.length > 0) throw new BerthError('wrongState', `Image '${text}' is used by ${users.slice(0, 5).map((user) => `'${user.meta.name}'`).join(', ')}.`, { hint: 'Delete those instances first.' });
    const transaction = new Transaction();
    const audit = journal.records.intent(transaction, caller, 'image.delete', targetOf(image), { untagged });
    journal.records.outcome(transaction, audit, 'ok');
    if (left.length === 0) transaction.delete(image);
    else transaction.put({ ...image, spec: { references: left }, meta: { ...image.meta, generation: image.meta.generation + 1 } }, image.meta.revision);
    journal.records.event(transaction, left.length === 0 ? 'image.deleted' : 'image.untagged', targetOf(image), `Image ${text} was ${left.length === 0 ? 'deleted' : 'un-named'}.`);
    await registry.commit(transaction);
    return { deleted: left.length === 0, untagged };
  });
  if (result.deleted) await sweepContent(services);
  return result;
}

function matchesName(reference: string, text: string): boolean {
  try {
    const canonical = canonicalReference(parseReference(text));
    return reference === canonical || reference === canonicalReference({ ...parseReference(text), registry: 'docker.io', repository: parseReference(text).repository.includes('/') ? parseReference(text).repository : `library/${parseReference(text).repository}` });
  } catch {
    return false;
  }
}

/** Content that no image names goes. */
export async function sweepContent(services: Services): Promise<number> {
  const images = services.registry.list<Image>('Image');
  return services.content.sweep({
    blobs: new Set(images.flatMap((image) => [image.status.digest, image.status.configDigest, ...image.status.layers.map((layer) => layer.digest)])),
    diffIds: new Set(images.flatMap((image) => image.status.layers.map((layer) => layer.diffId))),
    imageFiles: new Set(images.map((image) => image.status.configDigest)),
  });
}

/** An import that an earlier daemon did not finish left nothing but content without an image. */
export async function adoptImages(services: Services): Promise<void> {
  for (const operation of services.journal.unfinished()) {
    if (operation.spec.target.kind !== 'Image') continue;
    await services.journal.recover(operation, { list: BOOTSTRAP, target: operation.spec.target, caller: SYSTEM, context: { services, project: operation.spec.target.project, request: { name: '', include: [], config: {} }, references: [] }, intent: () => undefined, outcome: () => undefined, failure: () => undefined });
  }
  await sweepContent(services).catch((error: unknown) => services.log.error({ error: errorBody(error), cause: describe(error) }, 'unused image content could not be swept'));
}
