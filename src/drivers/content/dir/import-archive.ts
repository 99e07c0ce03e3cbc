/** `image import`: an OCI layout, a docker-archive or a root file system, found by looking; each maybe compressed. */
import { randomUUID } from 'node:crypto';
import * as z from 'zod';
import { JsonError, parseJsonStrict } from '../../../lib/json-strict.ts';
import { BerthError } from '../../../model/errors.ts';
import { printable } from '../../../model/ids.ts';
import { tee } from '../../../lib/tee.ts';
import type { Compression, LayerReport, Unpacker } from '../../unpack/driver.ts';
import type { BlobInfo, ContentLease, Digest, ImageRecord, ProgressSink } from '../driver.ts';
import { readArchive, refuse, type ArchiveContents } from './archive-contents.ts';
import { compressionOf, holdsImages } from './archive-format.ts';
import type { BlobStore } from './blob-store.ts';
import { assembleFromLayer, assembleImage, emptyConfig, manifestOver, type AssemblyParts } from './image-assembly.ts';
import { isIndexType, isManifestType, MAX_DOCUMENT_BYTES, MAX_LAYERS, MAX_NESTED_INDEXES, parseIndex, type Descriptor } from '../../../model/image-manifest.ts';
import { hostArchitecture } from './image-config.ts';
import { firstChunk, jobOutput } from './job-output.ts';
import type { LayerStore } from './layer-store.ts';

const HEAD_BYTES = 64 * 1024;
const MAX_IMAGES = 100;

export interface ImportParts {
  readonly blobs: BlobStore;
  readonly layers: LayerStore;
  readonly unpacker: Unpacker;
}

export interface ImportOptions {
  readonly lease?: ContentLease | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ProgressSink | undefined;
}

export async function importArchive(parts: ImportParts, bytes: AsyncIterable<Uint8Array>, { lease, signal, onProgress }: ImportOptions): Promise<readonly ImageRecord[]> {
  const { blobs, layers, unpacker } = parts;
  const arrived = new Set<Digest>();
  const onBlob = (digest: Digest): void => void arrived.add(digest);
  const assembly: AssemblyParts = { blobs, layers, lease, signal, onBlob, onLayer: (done, total) => onProgress?.({ done, total, unit: 'layers', what: 'unpacking' }) };
  const read = { lease, signal, onBlob, onBytes: (done: number) => onProgress?.({ done, unit: 'bytes', what: 'reading' }) };
  const { head, all } = await withHead(bytes);
  try {
    const compression = compressionOf(head);
    if (compression === 'none') {
      if (holdsImages(head)) return await imagesOf(await readArchive(all, blobs, read), assembly);
      const { blob, report } = await bothAtOnce(assembly, all);
      return [await assembleFromLayer(assembly, blob, 'none', emptyConfig(), [], report)];
    }
    // A compressed root file system is a layer as it stands; a compressed archive of images is opened in the jail.
    const blob = await blobs.ingest(all, { lease, signal });
    onBlob(blob.digest);
    if (!holdsImages(await firstBytes(unpacker, blobs.pathOf(blob.digest), compression))) return [await assembleFromLayer(assembly, blob, compression, emptyConfig(), [])];
    const contents = await readArchive(inflated(unpacker, blobs.pathOf(blob.digest), compression, signal), blobs, read);
    blobs.arrivals.settle([blob.digest]);
    return await imagesOf(contents, assembly);
  } catch (error) {
    blobs.arrivals.settle(arrived);
    if (signal?.aborted === true && !(error instanceof BerthError)) throw new BerthError('wrongState', 'The import was cancelled.', { cause: error });
    throw error;
  }
}

/** A root file system is unpacked while it is written down. */
async function bothAtOnce({ blobs, layers, lease, signal, onBlob }: AssemblyParts, bytes: AsyncIterable<Uint8Array>): Promise<{ readonly blob: BlobInfo; readonly report: LayerReport }> {
  const [toDisk, toTree] = tee(bytes);
  const failed = new AbortController();
  const stop = signal === undefined ? failed.signal : AbortSignal.any([signal, failed.signal]);
  const errors: unknown[] = [];
  const fail = (error: unknown): never => {
    errors.push(error);
    failed.abort(error);
    throw error;
  };
  const blob = blobs.ingest(toDisk, { lease, signal: stop }).finally(() => toDisk.close()).then((info) => {
    onBlob(info.digest);
    return info;
  }).catch(fail);
  const report = layers.ensure({ key: randomUUID(), read: () => toTree, verified: blob.then(() => undefined) }, 'none', undefined, stop, lease).finally(() => toTree.close()).catch(fail);
  await Promise.allSettled([blob, report]);
  // The first is the reason; the other one was stopped by it.
  if (errors.length > 0) throw errors[0];
  return { blob: await blob, report: await report };
}

async function withHead(bytes: AsyncIterable<Uint8Array>): Promise<{ readonly head: Uint8Array; readonly all: AsyncIterable<Uint8Array> }> {
  const iterator = bytes[Symbol.asyncIterator]();
  const first: Uint8Array[] = [];
  for (let length = 0; length < HEAD_BYTES; ) {
    const next = await iterator.next();
    if (next.done === true) break;
    first.push(next.value);
    length += next.value.length;
  }
  const head = Buffer.concat(first);
  if (head.length === 0) throw refuse('it is empty');
  return {
    head,
    all: (async function* () {
      yield head;
      yield* { [Symbol.asyncIterator]: () => iterator };
    })(),
  };
}

function inflated(unpacker: Unpacker, file: string, compression: Compression, signal?: AbortSignal): AsyncIterable<Uint8Array> {
  return jobOutput((target, stop) => unpacker.inflate({ file, compression }, target, undefined, stop), signal);
}

async function firstBytes(unpacker: Unpacker, file: string, compression: Compression): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of inflated(unpacker, file, compression)) {
    chunks.push(chunk);
    if ((length += chunk.length) >= HEAD_BYTES) break;
  }
  return Buffer.concat(chunks);
}

async function imagesOf(contents: ArchiveContents, assembly: AssemblyParts): Promise<readonly ImageRecord[]> {
  const index = contents.document('index.json');
  const docker = contents.document('manifest.json');
  if (index === undefined && docker === undefined) throw refuse('it has neither an index.json nor a manifest.json');
  const records = index === undefined ? await dockerImages(contents, docker!, assembly) : await layoutImages(index, docker, assembly);
  // Documents of images that are not for this host, and files that belong to no image, were let in: they go again.
  const used = new Set(records.flatMap((record) => [record.manifestDigest, record.configDigest, ...record.layers.map((layer) => layer.digest)]));
  assembly.blobs.arrivals.settle([...contents.ingested].filter((digest) => !used.has(digest)));
  return records;
}

// An OCI layout -----------------------------------------------------------------------------------------------------

async function layoutImages(index: Uint8Array, docker: Uint8Array | undefined, assembly: AssemblyParts): Promise<readonly ImageRecord[]> {
  const wanted = new Map<Digest, { readonly mediaType: string; readonly names: string[] }>();
  for (const descriptor of parseIndex(index)) {
    const name = descriptor.annotations?.['io.containerd.image.name'] ?? descriptor.annotations?.['org.opencontainers.image.ref.name'];
    const found = await forThisHost(descriptor, assembly.blobs, 0);
    if (found === undefined) continue;
    const entry = wanted.get(found.digest) ?? { mediaType: found.mediaType, names: [] };
    if (name !== undefined && name.length <= 512) entry.names.push(name);
    wanted.set(found.digest, entry);
  }
  if (wanted.size === 0) throw new BerthError('unsupported', `The archive holds no image for linux on ${hostArchitecture()}.`, { hint: 'Bring in the image for this architecture.' });
  if (wanted.size > MAX_IMAGES) throw refuse(`it holds more than ${MAX_IMAGES} images`);
  const tags = docker === undefined ? [] : parseDockerManifest(docker);
  const records: ImageRecord[] = [];
  for (const [digest, { mediaType, names }] of wanted) {
    const record = await assembleImage(assembly, digest, mediaType, names);
    const more = tags.filter((one) => one.Config.includes(record.configDigest.slice('sha256:'.length))).flatMap((one) => one.RepoTags ?? []);
    records.push({ ...record, names: [...new Set([...names, ...more])] });
  }
  return records;
}

/** The manifest itself, or the one of an index that is meant for this host; attestations and other systems are left out. */
async function forThisHost(descriptor: Descriptor, blobs: BlobStore, depth: number): Promise<Descriptor | undefined> {
  if (isManifestType(descriptor.mediaType)) {
    const { os, architecture } = descriptor.platform ?? {};
    return (os ?? 'linux') === 'linux' && (architecture ?? hostArchitecture()) === hostArchitecture() ? descriptor : undefined;
  }
  if (!isIndexType(descriptor.mediaType)) return undefined;
  if (depth === MAX_NESTED_INDEXES) throw refuse('its indexes are nested too deep');
  for (const one of parseIndex(await blobs.readWhole(descriptor.digest, MAX_DOCUMENT_BYTES), descriptor.mediaType)) {
    const found = await forThisHost(one, blobs, depth + 1);
    if (found !== undefined) return found;
  }
  return undefined;
}

// A docker-archive --------------------------------------------------------------------------------------------------

const dockerManifest = z.array(z.object({
  Config: z.string().max(1024),
  RepoTags: z.array(z.string().max(512)).max(1000).nullish(),
  Layers: z.array(z.string().max(1024)).max(MAX_LAYERS),
})).min(1).max(MAX_IMAGES);

function parseDockerManifest(bytes: Uint8Array): z.infer<typeof dockerManifest> {
  try {
    const result = dockerManifest.safeParse(parseJsonStrict(bytes, { maxBytes: MAX_DOCUMENT_BYTES }));
    if (result.success) return result.data;
    throw refuse(`its manifest.json is not one: ${printable(result.error.issues[0]!.message)}`);
  } catch (error) {
    if (error instanceof JsonError) throw refuse(`its manifest.json is not one: ${error.message.replace(/\.$/, '')}`);
    throw error;
  }
}

async function dockerImages(contents: ArchiveContents, bytes: Uint8Array, assembly: AssemblyParts): Promise<readonly ImageRecord[]> {
  const records: ImageRecord[] = [];
  const lookUp = (name: string) => {
    const info = contents.blob(name.replace(/^(\.\/)+/, ''));
    if (info === undefined) throw refuse(`its manifest.json names '${printable(name)}', which is not there`);
    return info;
  };
  for (const { Config, RepoTags, Layers } of parseDockerManifest(bytes)) {
    const layers = [];
    for (const name of Layers) {
      const info = lookUp(name);
      const compression = compressionOf(await firstChunk(assembly.blobs.read(info.digest)));
      layers.push({ mediaType: `application/vnd.oci.image.layer.v1.tar${compression === 'none' ? '' : `+${compression}`}`, ...info });
    }
    const manifest = await manifestOver(assembly, lookUp(Config), 'application/vnd.oci.image.config.v1+json', layers);
    records.push(await assembleImage(assembly, manifest.digest, undefined, RepoTags ?? []));
  }
  return records;
}
