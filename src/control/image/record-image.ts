/** The object of an image that came in: its content is all here, and held by the caller until this is done. */
import type { ImageRecord } from '../../drivers/content/driver.ts';
import { BerthError } from '../../model/errors.ts';
import { makeObjectId } from '../../model/ids.ts';
import { imageType, type Image } from '../../model/image.ts';
import { API_VERSION } from '../../model/meta.ts';
import { timestamp } from '../clock.ts';
import { targetOf } from '../records.ts';
import { Transaction } from '../registry.ts';
import type { Caller, Services } from '../services.ts';
import { readAccounts, type Accounts } from './accounts.ts';

export interface RecordOptions {
  /** Who did it, and with which verb, when that has no record of its own yet. */
  readonly by?: { readonly caller: Caller; readonly verb: 'image.tag' } | undefined;
  readonly event?: 'image.imported' | 'image.pulled' | undefined;
}

/** What is to become of content that came in. */
export interface ImageEntry {
  readonly record: ImageRecord;
  /** Read of the image itself before its object is written. */
  readonly accounts: Accounts;
  readonly references: readonly string[];
}

/** Writes the image's object, moving the references to it. */
export async function recordImage(services: Services, project: string, record: ImageRecord, references: readonly string[], options: RecordOptions = {}): Promise<Image> {
  const accounts = await accountsIn(services, record);
  return services.locks.hold(imagesLock(project), options.event ?? 'image.imported', async () => {
    const transaction = new Transaction();
    const { image } = putImage(services, project, transaction, { record, accounts, references }, options);
    if (transaction.puts.size > 0) await services.registry.commit(transaction);
    services.content.settled(record);
    return services.registry.get<Image>('Image', project, image.meta.name);
  });
}

/** Adds the image's object and what moves to it. The lock of the images is held until the transaction is committed. */
export function putImage(services: Services, project: string, transaction: Transaction, { record, accounts, references }: ImageEntry, { by, event = 'image.imported' }: RecordOptions = {}): { readonly image: Image; readonly isNew: boolean } {
  const { registry, journal } = services;
  const all = registry.list<Image>('Image', project);
  const existing = all.find((image) => image.status.digest === record.manifestDigest);
  // One object is one thing; its instances rely on that.
  if (existing !== undefined && imageType(existing) !== (record.type ?? 'oci')) throw new BerthError('alreadyExists', `The same bytes are here as an image of type ${imageType(existing)}, '${existing.spec.references[0] ?? existing.meta.name}'.`, { hint: 'Delete that one first, or use it as it is.' });
  const isNew = existing === undefined || !references.every((reference) => existing.spec.references.includes(reference));
  if (existing !== undefined && !isNew && by === undefined) return { image: existing, isNew };
  for (const other of all) {
    const kept = other.spec.references.filter((reference) => !references.includes(reference));
    if (kept.length !== other.spec.references.length && other !== existing) transaction.put({ ...other, spec: { references: kept }, meta: { ...other.meta, generation: other.meta.generation + 1 } }, other.meta.revision);
  }
  const image = imageObject(services, project, record, accounts, [...new Set([...(existing?.spec.references ?? []), ...references])], existing);
  transaction.put(image, existing === undefined ? 'absent' : existing.meta.revision);
  if (by !== undefined) journal.records.outcome(transaction, journal.records.intent(transaction, by.caller, by.verb, targetOf(image), { references }), 'ok');
  journal.records.event(transaction, event, targetOf(image), `Image ${references[0] ?? record.manifestDigest.slice(7, 19)} is here.`);
  return { image, isNew };
}

/** Who gives, moves or takes names of images does so one after the other. */
export function imagesLock(project: string): string {
  return `images/${project}`;
}

export function accountsIn(services: Pick<Services, 'content' | 'unpacker'>, record: ImageRecord): Promise<Accounts> {
  return readAccounts(services, record.layers.map((layer) => services.content.layerPath(layer.diffId)));
}

function imageObject(services: Services, project: string, record: ImageRecord, accounts: Accounts, references: readonly string[], existing: Image | undefined): Image {
  const id = existing?.meta.id ?? makeObjectId(services.randomness.bytes(12));
  return {
    apiVersion: API_VERSION, kind: 'Image',
    meta: existing?.meta ?? { id, name: record.manifestDigest.slice('sha256:'.length, 'sha256:'.length + 12), project, createdAt: timestamp(services.clock), generation: 1, revision: 0 },
    spec: { references: [...references] },
    status: { type: record.type ?? 'oci', digest: record.manifestDigest, configDigest: record.configDigest, mediaType: record.mediaType, config: record.config, layers: record.layers, bytes: record.bytes, passwd: accounts.passwd, group: accounts.group, setuid: record.setuid },
  };
}
