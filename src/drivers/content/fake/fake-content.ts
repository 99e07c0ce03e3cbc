/** Image content in memory. An archive is JSON ({@link FakeArchive}); a blob is there when its image is. */
import { digestOf } from '../../../lib/digest.ts';
import { BerthError } from '../../../model/errors.ts';
import type { ImageConfig } from '../../../model/image.ts';
import type { ContentLease, ContentStore, Digest, ImageRecord } from '../driver.ts';

export interface FakeArchive {
  readonly images: readonly {
    readonly names?: readonly string[];
    readonly config?: Partial<ImageConfig>;
    /** Text of files, by path. */
    readonly files?: Readonly<Record<string, string>>;
  }[];
}

export class FakeContentHost {
  readonly blobs = new Map<Digest, Uint8Array>();
  /** Files of each layer, by its diffID. */
  readonly layers = new Map<Digest, Readonly<Record<string, string>>>();
  readonly imageFiles = new Set<Digest>();
  readonly disks = new Map<Digest, Uint8Array>();
  readonly leases = new Set<ReadonlySet<Digest>>();

  /** For an unpacker that reads what lies here. */
  readFile(layerPath: string, file: string): string | undefined {
    return this.layers.get(`sha256:${layerPath.slice(LAYERS.length)}`)?.[file];
  }
}

const LAYERS = '/fake/layers/';
const CONFIG: ImageConfig = { architecture: 'amd64', os: 'linux', entrypoint: [], command: ['sleep'], env: ['PATH=/bin'], workdir: '', user: '', exposedPorts: [], volumes: [], labels: {} };
const ACCOUNTS = { '/etc/passwd': 'root:x:0:0:root:/root:/bin/sh\nweb:x:101:101::/srv:/bin/sh\n', '/etc/group': 'root:x:0:\nweb:x:101:\nextra:x:200:web\n' };
const BASES: ReadonlySet<string> = new Set(['busybox', 'debian:bookworm', 'debian:trixie']);

/** What stands for a manifest here. */
interface FakeManifest {
  readonly config: { readonly digest: Digest; readonly size: number };
  readonly layer: { readonly digest: Digest; readonly size: number };
}

export function fakeContent(host: FakeContentHost): ContentStore {
  // A lease does not outlive the daemon that took it.
  host.leases.clear();
  const isHeld = (digest: Digest): boolean => [...host.leases].some((held) => held.has(digest));

  function lease(): ContentLease {
    const held = new Set<Digest>();
    host.leases.add(held);
    return { hold: (...digests) => { for (const digest of digests) held.add(digest); }, [Symbol.dispose]: () => void host.leases.delete(held) };
  }

  function keep(bytes: Uint8Array): Digest {
    const digest = digestOf(bytes);
    host.blobs.set(digest, bytes);
    return digest;
  }

  function make(image: FakeArchive['images'][number], held: ContentLease | undefined): ImageRecord {
    const config = { ...CONFIG, ...image.config };
    const files = { ...ACCOUNTS, ...image.files };
    const layer = new TextEncoder().encode(JSON.stringify(files));
    const diffId = digestOf(layer);
    host.layers.set(diffId, files);
    const digest = keep(layer);
    const configDigest = keep(new TextEncoder().encode(JSON.stringify(config)));
    const manifest: FakeManifest = { config: { digest: configDigest, size: host.blobs.get(configDigest)!.length }, layer: { digest, size: layer.length } };
    const manifestDigest = keep(new TextEncoder().encode(JSON.stringify(manifest)));
    held?.hold(manifestDigest, configDigest, digest, diffId);
    return { manifestDigest, configDigest, mediaType: 'application/vnd.oci.image.manifest.v1+json', config, layers: [{ digest, diffId, bytes: layer.length, mediaType: 'application/vnd.oci.image.layer.v1.tar' }], names: image.names ?? [], bytes: layer.length, setuid: [] };
  }

  return {
    async ingest(bytes, options = {}) {
      const whole = await collect(bytes);
      const digest = digestOf(whole);
      if (options.digest !== undefined && options.digest !== digest) throw new BerthError('invalid', 'The bytes are others.');
      options.lease?.hold(digest);
      host.blobs.set(digest, whole);
      return { digest, size: whole.length };
    },
    hasBlob: (digest) => Promise.resolve(host.blobs.has(digest)),
    async *openBlob(digest) {
      const bytes = host.blobs.get(digest);
      if (bytes === undefined) throw new BerthError('notFound', 'There is no such blob.');
      yield bytes;
    },
    async ensureLayer(blob, _compression, diffId, options = {}) {
      options.lease?.hold(blob, diffId);
      if (!host.layers.has(diffId)) host.layers.set(diffId, ACCOUNTS);
      return { diffId, tarBytes: 0, fileBytes: 0, entries: 0, setuid: [], notes: [] };
    },
    layerPath: (diffId) => `${LAYERS}${diffId.slice('sha256:'.length)}`,
    layerBytes: (diffId) => (host.layers.has(diffId) ? JSON.stringify(host.layers.get(diffId)).length : undefined),
    lease,
    async imageFile(key) {
      host.imageFiles.add(key);
      return `/fake/images/${key.slice('sha256:'.length, 'sha256:'.length + 12)}.erofs`;
    },
    async guestKernel(key, diffIds) {
      if (!diffIds.some((diffId) => '/boot/vmlinuz-6.1' in (host.layers.get(diffId) ?? {}))) throw new BerthError('invalid', 'The image holds no kernel.');
      host.imageFiles.add(key);
      return `/fake/kernels/${key.slice('sha256:'.length, 'sha256:'.length + 12)}`;
    },
    async fetchImage(remote, { lease: held, onLayer } = {}) {
      await using image = remote;
      const read = async (blob: { digest: Digest; size: number }) => {
        if (!host.blobs.has(blob.digest)) host.blobs.set(blob.digest, await collect(image.blob(blob)));
        return host.blobs.get(blob.digest)!;
      };
      const { bytes } = await image.manifest(image.digest);
      const { config, layer } = JSON.parse(new TextDecoder().decode(bytes)) as FakeManifest;
      onLayer?.({ digest: layer.digest, state: 'waiting', bytes: 0, totalBytes: layer.size });
      const record = make({ config: JSON.parse(new TextDecoder().decode(await read(config))) as ImageConfig, files: JSON.parse(new TextDecoder().decode(await read(layer))) as Record<string, string> }, held);
      onLayer?.({ digest: layer.digest, state: 'done', bytes: layer.size, totalBytes: layer.size });
      return { ...record, namedDigest: digestOf(bytes) };
    },
    async outgoingImage(image) {
      const bytes = host.blobs.get(image.manifestDigest);
      if (bytes === undefined) throw new BerthError('notFound', 'There is no such blob.');
      const { config, layer } = JSON.parse(new TextDecoder().decode(bytes)) as FakeManifest;
      return { manifest: { bytes, mediaType: image.mediaType, digest: image.manifestDigest }, blobs: [config, layer], read: (digest) => this.openBlob(digest) };
    },
    async importArchive(bytes, { lease: held, signal }) {
      const whole = await collect(bytes);
      signal?.throwIfAborted();
      try {
        return (JSON.parse(new TextDecoder().decode(whole)) as FakeArchive).images.map((image) => make(image, held));
      } catch (cause) {
        throw new BerthError('invalid', 'This is no archive of a known format.', { cause });
      }
    },
    async importDisk(bytes, format, { lease: held, signal } = {}) {
      const whole = await collect(bytes);
      signal?.throwIfAborted();
      if (format === 'qcow2' && !Buffer.from(whole).toString('latin1').startsWith('QFI\xfb')) throw new BerthError('invalid', 'The qcow2 file is refused: it does not begin like one.');
      const digest = digestOf(whole);
      held?.hold(digest);
      host.disks.set(digest, whole);
      return { type: format === 'iso' ? 'iso' : 'disk', manifestDigest: digest, configDigest: digest, mediaType: 'application/vnd.berth.disk.raw', config: { ...CONFIG, architecture: '', os: '', command: [], env: [] }, layers: [], names: [], bytes: whole.length, setuid: [] };
    },
    diskFile: (digest) => `/fake/disks/${digest.slice('sha256:'.length, 'sha256:'.length + 12)}`,
    diskBytes: (digest) => host.disks.get(digest)?.length,
    async *readDisk(digest) {
      const bytes = host.disks.get(digest);
      if (bytes === undefined) throw new BerthError('notFound', 'There is no such disk.');
      yield bytes;
    },
    async *exportArchive(image, format) {
      yield new TextEncoder().encode(JSON.stringify({ format, images: [{ names: image.names, config: image.config }] }));
    },
    async bootstrap(request, { lease: held, signal, onProgress }) {
      if (!BASES.has(request.name)) throw new BerthError('unsupported', `'${request.name}' is not a base that can be made here.`);
      onProgress?.({ done: 1, total: 2, unit: 'steps', what: request.name });
      signal?.throwIfAborted();
      return make({ config: request.config, files: { '/etc/hostname': `${request.name} ${request.include.join(' ')}` } }, held);
    },
    settled: () => undefined,
    usage: (inUse) => {
      const blobs = [...host.blobs].filter(([digest]) => inUse === undefined || inUse.blobs.has(digest));
      const layers = [...host.layers.keys()].filter((diffId) => inUse === undefined || inUse.diffIds.has(diffId));
      const imageFiles = [...host.imageFiles].filter((key) => inUse === undefined || inUse.imageFiles.has(key));
      const disks = [...host.disks].filter(([digest]) => inUse === undefined || inUse.disks.has(digest));
      return Promise.resolve({ blobs: blobs.length, blobBytes: blobs.reduce((sum, [, bytes]) => sum + bytes.length, 0), layers: layers.length, layerBytes: 0, imageFiles: imageFiles.length, imageFileBytes: 0, disks: disks.length, diskBytes: disks.reduce((sum, [, bytes]) => sum + bytes.length, 0) });
    },
    async sweep({ blobs, diffIds, imageFiles, disks }) {
      let freed = 0;
      for (const [digest, bytes] of host.blobs) {
        if (blobs.has(digest) || isHeld(digest)) continue;
        freed += bytes.length;
        host.blobs.delete(digest);
      }
      for (const diffId of host.layers.keys()) if (!diffIds.has(diffId) && !isHeld(diffId)) host.layers.delete(diffId);
      for (const key of host.imageFiles) if (!imageFiles.has(key)) host.imageFiles.delete(key);
      for (const [digest, bytes] of host.disks) {
        if (disks.has(digest) || isHeld(digest)) continue;
        freed += bytes.length;
        host.disks.delete(digest);
      }
      return freed;
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

async function collect(bytes: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of bytes) chunks.push(chunk);
  return new Uint8Array(Buffer.concat(chunks));
}
