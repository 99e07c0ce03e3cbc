/** The content store on plain directories. Below `rootDir`: blobs/, ingest/, erofs/; layers lie in `layersDir`. */
import fs from 'node:fs/promises';
import path from 'node:path';
import { exists } from '../../../host/files.ts';
import { BerthError } from '../../../model/errors.ts';
import type { Unpacker } from '../../unpack/driver.ts';
import { busyboxLayer } from '../bootstrap/busybox.ts';
import type { BootstrapRequest, ContentStore, Digest, ImageRecord } from '../driver.ts';
import { assembleImage, EMPTY_CONFIG } from './assemble.ts';
import { BlobStore, hexOf } from './blob-store.ts';
import { LayerStore } from './layer-store.ts';

export interface DirContentOptions {
  readonly rootDir: string;
  /** Short: its paths stand in overlay's options. */
  readonly layersDir: string;
  readonly unpacker: Unpacker;
}

export async function openDirContent(options: DirContentOptions): Promise<ContentStore> {
  const { rootDir, unpacker } = options;
  const erofsDir = path.join(rootDir, 'erofs');
  const blobs = new BlobStore(rootDir);
  const layers = new LayerStore(options.layersDir, unpacker);
  await fs.mkdir(erofsDir, { recursive: true, mode: 0o711 });
  for (const name of await fs.readdir(erofsDir)) if (!/^[0-9a-f]{64}\.img$/.test(name)) await fs.rm(path.join(erofsDir, name), { recursive: true, force: true });
  await blobs.open();
  await layers.open();
  const images = new Map<Digest, Promise<string>>();

  async function imageFile(key: Digest, diffIds: readonly Digest[], signal?: AbortSignal): Promise<string> {
    const file = path.join(erofsDir, `${hexOf(key)}.img`);
    if (!(await exists(file))) await unpacker.buildErofs(diffIds.map((diffId) => layers.pathOf(diffId)), file, signal);
    return file;
  }

  return {
    ingest: (bytes, ingest) => blobs.ingest(bytes, ingest),
    hasBlob: (digest) => blobs.has(digest),
    openBlob: (digest) => blobs.read(digest),
    ensureLayer: (blob, compression, diffId, { signal, onProgress } = {}) => {
      onProgress?.({ digest: blob, phase: 'unpacking', bytes: 0 });
      return layers.ensure(blobs.pathOf(blob), compression, diffId, signal);
    },
    layerPath: (diffId) => layers.pathOf(diffId),
    imageFile(key, diffIds, signal) {
      const running = images.get(key);
      if (running !== undefined) return running;
      const work = imageFile(key, diffIds, signal).finally(() => images.delete(key));
      images.set(key, work);
      return work;
    },
    importArchive() {
      throw new BerthError('unsupported', 'Archives cannot be taken in yet.');
    },
    exportArchive() {
      throw new BerthError('unsupported', 'Archives cannot be written yet.');
    },
    async bootstrap(request: BootstrapRequest, { signal }): Promise<ImageRecord> {
      if (request.name !== 'busybox') throw new BerthError('notFound', `There is no recipe '${request.name.slice(0, 60)}'.`, { hint: 'These can be made: busybox, debian:bookworm, debian:trixie.' });
      return assembleImage({ blobs, layers, signal }, busyboxLayer(), { ...EMPTY_CONFIG, command: ['sh'], ...request.config });
    },
    async usage() {
      return { ...(await blobs.usage()), ...layers.usage() };
    },
    async sweep(inUse) {
      let freed = await blobs.sweep(inUse.blobs);
      freed += await layers.sweep(inUse.diffIds);
      for (const name of await fs.readdir(erofsDir)) {
        if (inUse.imageFiles.has(`sha256:${name.replace('.img', '')}`) || images.size > 0) continue;
        const file = path.join(erofsDir, name);
        freed += (await fs.stat(file).catch(() => undefined))?.size ?? 0;
        await fs.rm(file, { force: true });
      }
      return freed;
    },
    async [Symbol.asyncDispose]() { /* nothing is held open */ },
  };
}
