/** The content store on plain directories. Below `rootDir`: blobs/, ingest/, bootstrap/, erofs/, kernels/, disks/; layers lie in `layersDir`. */
import fs from 'node:fs/promises';
import path from 'node:path';
import { removeTree } from '../../../host/remove-tree.ts';
import { BerthError } from '../../../model/errors.ts';
import { printable } from '../../../model/ids.ts';
import { MAX_DOCUMENT_BYTES } from '../../../model/image-manifest.ts';
import type { ImageConfig } from '../../../model/image.ts';
import type { LayerLimits, Unpacker } from '../../unpack/driver.ts';
import { busyboxLayer } from '../bootstrap/busybox.ts';
import { checkPackages, DEBIAN_SUITES, debianConfig, debianLayer } from '../bootstrap/debian.ts';
import type { BootstrapRequest, ContentStore, Digest, DiskFormat, ImageRecord, ProgressSink } from '../driver.ts';
import { Arrivals } from './arrivals.ts';
import { BlobStore } from './blob-store.ts';
import type { ContentGuards } from './content-guards.ts';
import { nativeDiskJobs, type DiskJobs } from './disk-jobs.ts';
import { DiskStore } from './disk-store.ts';
import { exportArchive } from './export-archive.ts';
import { ImageFetcher } from './fetch-image.ts';
import { assembleFromLayer, emptyConfig } from './image-assembly.ts';
import { imageFile } from './image-file.ts';
import { imageKernel } from './image-kernel.ts';
import { importArchive } from './import-archive.ts';
import { LayerStore } from './layer-store.ts';
import { PartialBlobs } from './partial-blobs.ts';
import { PerImageStore } from './per-image-store.ts';

export interface DirContentOptions {
  readonly rootDir: string;
  /** Short: its paths stand in overlay's options. */
  readonly layersDir: string;
  readonly unpacker: Unpacker;
  readonly layerLimits?: LayerLimits;
  /** The jailed ones when missing. */
  readonly diskJobs?: DiskJobs;
  /** Most bytes of a disk. */
  readonly diskLimits?: Readonly<Record<DiskFormat, number>>;
  /** Tests hand in guards with one of them taken away. */
  readonly guards?: ContentGuards;
  /** Monotonic. */
  readonly nowMs?: () => number;
}

export async function openDirContent(options: DirContentOptions): Promise<ContentStore> {
  const { rootDir, unpacker } = options;
  const arrivals = new Arrivals(options.nowMs);
  const blobs = new BlobStore(rootDir, arrivals, options.guards);
  const layers = new LayerStore(options.layersDir, unpacker, arrivals, options.layerLimits, options.guards);
  const imageFiles = new PerImageStore(path.join(rootDir, 'erofs'), imageFile(unpacker), layers, arrivals);
  const kernels = new PerImageStore(path.join(rootDir, 'kernels'), imageKernel(unpacker), layers, arrivals);
  const disks = new DiskStore({ dir: path.join(rootDir, 'disks'), jobs: options.diskJobs ?? nativeDiskJobs(), arrivals, checkQcow2: blobs.guards.checkQcow2, maxBytes: options.diskLimits });
  const temporaryDir = path.join(rootDir, 'bootstrap');
  await fs.mkdir(rootDir, { recursive: true, mode: 0o711 });
  await removeTree(temporaryDir);
  await fs.mkdir(temporaryDir, { mode: 0o711 });
  const partials = new PartialBlobs(rootDir);
  const fetcher = new ImageFetcher({ blobs, layers, partials });
  await blobs.open();
  await partials.open();
  await layers.open();
  await imageFiles.open();
  await kernels.open();
  await disks.open();
  /** One sweep after the other. */
  let sweeping: Promise<unknown> = Promise.resolve();

  return {
    ingest: (bytes, ingest) => blobs.ingest(bytes, ingest),
    hasBlob: (digest) => blobs.has(digest),
    openBlob: (digest) => blobs.read(digest),
    async ensureLayer(blob, compression, diffId, { lease, signal, onProgress } = {}) {
      lease?.hold(blob);
      const bytes = await blobs.size(blob);
      onProgress?.({ digest: blob, phase: 'unpacking', bytes: 0 });
      const report = await layers.ensure(blobs.pathOf(blob), compression, diffId, signal, lease);
      onProgress?.({ digest: blob, phase: 'done', bytes });
      return report;
    },
    layerPath: (diffId) => layers.pathOf(diffId),
    layerBytes: (diffId) => layers.bytes(diffId),
    imageFile: (key, diffIds, signal) => imageFiles.ensure(key, diffIds, signal),
    guestKernel: (key, diffIds, signal) => kernels.ensure(key, diffIds, signal),
    fetchImage: (remote, fetchOptions = {}) => fetcher.fetch(remote, fetchOptions),
    async outgoingImage(image) {
      const bytes = await blobs.readWhole(image.manifestDigest, MAX_DOCUMENT_BYTES);
      const { config, layers: parts } = blobs.guards.parseManifest(bytes, image.mediaType);
      return {
        manifest: { bytes, mediaType: image.mediaType, digest: image.manifestDigest },
        blobs: [config, ...parts].map(({ digest, size }) => ({ digest, size })),
        read: (digest) => blobs.read(digest),
      };
    },
    importArchive: (bytes, importOptions) => importArchive({ blobs, layers, unpacker }, bytes, importOptions),
    async importDisk(bytes, format, diskOptions = {}) {
      const { digest, bytes: size } = await disks.take(bytes, format, diskOptions);
      const type = format === 'iso' ? 'iso' : 'disk';
      return { type, manifestDigest: digest, configDigest: digest, mediaType: DISK_TYPES[type], config: { ...emptyConfig(), architecture: '', os: '' }, layers: [], names: [], bytes: size, setuid: [] };
    },
    diskFile: (digest) => disks.pathOf(digest),
    diskBytes: (digest) => disks.bytes(digest),
    readDisk: (digest) => disks.read(digest),
    async *exportArchive(image, format, signal) {
      using lease = arrivals.lease();
      lease.hold(...digestsOf(image));
      yield* exportArchive({ blobs, layers, unpacker }, image, format, signal);
    },
    async bootstrap(request, { lease, signal, onProgress }): Promise<ImageRecord> {
      const recipe = recipeOf(request, temporaryDir, signal, onProgress);
      const arrived = new Set<Digest>();
      try {
        const blob = await blobs.ingest(recipe.layer, { lease, signal });
        arrived.add(blob.digest);
        onProgress?.({ done: blob.size, total: blob.size, unit: 'bytes', what: 'unpacking' });
        return await assembleFromLayer({ blobs, layers, lease, signal, onBlob: (digest) => arrived.add(digest) }, blob, 'none', { ...emptyConfig(), ...recipe.config, ...request.config }, []);
      } catch (error) {
        arrivals.settle(arrived);
        throw error;
      }
    },
    lease: () => arrivals.lease(),
    settled: (image) => arrivals.settle(digestsOf(image)),
    async usage(inUse) {
      // Kernels are counted with the image files: both are made of images, for machines.
      const files = await imageFiles.usage(inUse?.imageFiles), own = await kernels.usage(inUse?.imageFiles);
      return {
        ...(await blobs.usage(inUse?.blobs)), ...layers.usage(inUse?.diffIds), ...disks.usage(inUse?.disks),
        imageFiles: files.count + own.count, imageFileBytes: files.bytes + own.bytes,
      };
    },
    sweep(inUse, { arrivals: all = false } = {}) {
      const keeps = (digest: Digest): boolean => (all ? arrivals.isHeld(digest) : arrivals.isUnderWay(digest));
      const swept = sweeping.then(async () => await partials.sweep(all) + await blobs.sweep(inUse.blobs, keeps) + await layers.sweep(inUse.diffIds, keeps) + await imageFiles.sweep(inUse.imageFiles) + await kernels.sweep(inUse.imageFiles) + await disks.sweep(inUse.disks, keeps));
      sweeping = swept.catch(() => undefined);
      return swept;
    },
    async [Symbol.asyncDispose]() { /* nothing is held open */ },
  };
}

function digestsOf(image: ImageRecord): readonly Digest[] {
  return [image.manifestDigest, image.configDigest, ...image.layers.flatMap((layer) => [layer.digest, layer.diffId])];
}

const DISK_TYPES = { disk: 'application/vnd.berth.disk.raw', iso: 'application/vnd.efi.iso' } as const;

interface Recipe {
  readonly layer: AsyncIterable<Uint8Array>;
  readonly config: Partial<ImageConfig>;
}

const PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

function recipeOf(request: BootstrapRequest, temporaryDir: string, signal: AbortSignal | undefined, onProgress: ProgressSink | undefined): Recipe {
  const include = checkPackages(request.include);
  if (request.name === 'busybox') {
    if (include.length > 0) throw new BerthError('invalid', 'busybox has no packages that could be included.', { hint: 'Leave --include out, or start from debian:trixie.' });
    return { layer: busyboxLayer(), config: { command: ['sh'], env: [PATH] } };
  }
  const suite = DEBIAN_SUITES.find((one) => request.name === `debian:${one}`);
  if (suite === undefined) throw new BerthError('notFound', `There is no recipe '${printable(request.name)}'.`, { hint: `These can be made: busybox, ${DEBIAN_SUITES.map((one) => `debian:${one}`).join(', ')}.` });
  let lines = 0;
  const onLine = (line: string): void => onProgress?.({ done: ++lines, unit: 'steps', what: printable(line.replace(/^I: /, '')) });
  return { layer: debianLayer(suite, { include, temporaryDir, signal, onLine }), config: { ...debianConfig(include), env: [PATH] } };
}
