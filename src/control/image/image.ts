/** Images: brought in, named, un-named; what no image uses is swept. */
import type { ArchiveFormat, BootstrapRequest, DiskFormat, ImageRecord } from '../../drivers/content/driver.ts';
import { BerthError, errorBody } from '../../model/errors.ts';
import { imageType, type Image } from '../../model/image.ts';
import type { Operation } from '../../model/operation.ts';
import type { Project } from '../../model/project.ts';
import { canonicalReference, parseReference } from '../../model/reference.ts';
import { describe, type StepContext, type StepList } from '../journal.ts';
import { targetOf, type Target } from '../records.ts';
import { Transaction } from '../registry.ts';
import { SYSTEM, type Caller, type Services } from '../services.ts';
import { findImage, nameOf } from './find.ts';
import { arrived, beginArrival, holdContent, type ArrivalContext } from './image-arrival.ts';
import { imagesLock, recordImage } from './record-image.ts';
import { sweepContent, usersOf } from './sweep.ts';

export type ExportFormat = ArchiveFormat | 'raw';

interface BootstrapContext extends ArrivalContext {
  readonly request: BootstrapRequest;
  readonly reference: string;
}

export const BOOTSTRAP: StepList<BootstrapContext> = {
  verb: 'image.bootstrap',
  onCrash: 'undo',
  steps: [{
    name: 'content',
    async run(context) {
      const record = await context.services.content.bootstrap(context.request, { lease: holdContent(context), signal: context.signal, onProgress: context.progress });
      await arrived(context, record, [context.reference]);
    },
  }],
};

export async function bootstrapImage(services: Services, caller: Caller, project: string, request: BootstrapRequest, as: string | undefined): Promise<{ readonly operation: Operation; readonly done: Promise<Operation> }> {
  services.registry.get<Project>('Project', '', project);
  const reference = canonicalReference(parseReference(as ?? request.name));
  const context: BootstrapContext = { services, project, request, reference };
  const target: Target = { kind: 'Image', project, name: reference, id: '' };
  return beginArrival(context, 'image.imported', { list: BOOTSTRAP, target, caller, auditDetails: { reference }, result: () => ({ reference, imageId: context.image?.meta.name }) });
}

/** The archive arrives with the request; names of its own count unless `as` gives one. */
export async function importImage(services: Services, caller: Caller, project: string, bytes: AsyncIterable<Uint8Array>, as: string | undefined, signal: AbortSignal): Promise<readonly Image[]> {
  services.registry.get<Project>('Project', '', project);
  const wanted = as === undefined ? undefined : canonicalReference(parseReference(as));
  const target: Target = { kind: 'Image', project, name: wanted ?? 'archive', id: '' };
  return services.journal.records.audited(caller, 'image.import', target, undefined, () => takeIn(services, project, bytes, wanted, signal));
}

async function takeIn(services: Services, project: string, bytes: AsyncIterable<Uint8Array>, wanted: string | undefined, signal: AbortSignal): Promise<readonly Image[]> {
  using lease = services.content.lease();
  const records = await services.content.importArchive(bytes, { lease, signal });
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

/** A disk arrives with the request, and says nothing about itself: its name and format are those that were given. */
export async function importDisk(services: Services, caller: Caller, project: string, bytes: AsyncIterable<Uint8Array>, request: { readonly as: string | undefined; readonly format: DiskFormat }, signal: AbortSignal): Promise<Image> {
  services.registry.get<Project>('Project', '', project);
  const { as, format } = request;
  if (as === undefined) throw new BerthError('invalid', 'A disk has no name of its own.', { hint: 'Give it one: --as NAME', fields: [{ path: 'as', message: 'missing' }] });
  const reference = canonicalReference(parseReference(as));
  return services.journal.records.audited(caller, 'image.import', { kind: 'Image', project, name: reference, id: '' }, { format }, async () => {
    using lease = services.content.lease();
    return recordImage(services, project, await services.content.importDisk(bytes, format, { lease, signal }), [reference]);
  });
}

/** `format`: what goes with the image's type when missing. */
export async function exportImage(services: Services, project: string, reference: string, format: ExportFormat | undefined, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>> {
  const image = findImage(services, project, reference);
  if (imageType(image) !== 'oci') {
    if (format !== undefined && format !== 'raw') throw new BerthError('unsupported', `'${reference}' is a disk: it has no layers that a ${format} could hold.`, { hint: 'Write it as it is: --format raw' });
    return services.content.readDisk(image.status.digest);
  }
  if (format === 'raw') throw new BerthError('unsupported', `'${reference}' is no disk image: it has layers.`, { hint: 'There are oci-archive, docker-archive and rootfs.' });
  return services.content.exportArchive(recordOf(image), format ?? 'oci-archive', signal);
}

export function recordOf(image: Image): ImageRecord {
  const { type, digest, configDigest, mediaType, config, layers, bytes, setuid } = image.status;
  return { type, manifestDigest: digest, configDigest, mediaType, config, layers, names: image.spec.references, bytes, setuid };
}

export function tagImage(services: Services, caller: Caller, project: string, reference: string, newReference: string): Promise<Image> {
  const parsed = parseReference(newReference);
  if (parsed.digest !== undefined) throw new BerthError('invalid', 'A new name cannot have a digest.', { hint: 'Write NAME:TAG.' });
  return recordImage(services, project, recordOf(findImage(services, project, reference)), [canonicalReference(parsed)], { by: { caller, verb: 'image.tag' } });
}

/** Takes one name away. With the last name the image goes, unless an instance was made from it. */
export async function deleteImage(services: Services, caller: Caller, project: string, text: string, force: boolean): Promise<{ readonly deleted: boolean; readonly untagged: readonly string[] }> {
  const { registry, journal } = services;
  const result = await services.locks.hold(imagesLock(project), 'image.delete', async () => {
    const image = findImage(services, project, text);
    const name = nameOf(services, image, text);
    const written = name === undefined ? undefined : [canonicalReference(name), canonicalReference({ ...name, tag: undefined })];
    const untagged = written === undefined || force ? image.spec.references : image.spec.references.filter((reference) => written.includes(reference));
    const left = image.spec.references.filter((reference) => !untagged.includes(reference));
    const users = usersOf(registry, image);
    if (left.length === 0 && services.imageUses.has(image.meta.id)) throw new BerthError('busy', `An instance is being made from image '${text}' at this moment.`, { hint: 'Delete that instance first, or try it again.' });
    if (left.length === 0 && users.length > 0) throw new BerthError('wrongState', `Image '${text}' is used by ${users.slice(0, 5).map((user) => `'${user.meta.name}'`).join(', ')}.`, { hint: 'Delete those instances first.' });
    const transaction = new Transaction();
    const audit = journal.records.intent(transaction, caller, 'image.delete', targetOf(image), { untagged });
    journal.records.outcome(transaction, audit, 'ok');
    if (left.length === 0) transaction.unchanged(image).delete(image);
    else transaction.put({ ...image, spec: { references: left }, meta: { ...image.meta, generation: image.meta.generation + 1 } }, image.meta.revision);
    journal.records.event(transaction, left.length === 0 ? 'image.deleted' : 'image.untagged', targetOf(image), `Image ${text} was ${left.length === 0 ? 'deleted' : 'un-named'}.`);
    await registry.commit(transaction);
    return { deleted: left.length === 0, untagged };
  });
  if (result.deleted) await sweepContent(services);
  return result;
}

/** What an earlier daemon did not finish left nothing but content without an image. */
export async function adoptImages(services: Services, lists: readonly StepList<never>[]): Promise<void> {
  for (const operation of services.journal.unfinished()) {
    const list = lists.find((one) => one.verb === operation.spec.verb);
    if (operation.spec.target.kind !== 'Image' || list === undefined) continue;
    await services.journal.recover(operation, { list: list as StepList<StepContext>, target: operation.spec.target, caller: SYSTEM, context: {}, intent: () => undefined, outcome: () => undefined, failure: () => undefined });
  }
  await sweepContent(services).catch((error: unknown) => services.log.error({ error: errorBody(error), cause: describe(error) }, 'unused image content could not be swept'));
}
