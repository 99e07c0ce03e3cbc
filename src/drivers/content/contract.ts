/** What every content store must do, as node:test cases: with the jailed unpacker, and with one that needs no root. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import zlib from 'node:zlib';
import { tarEnd, tarEntry, type TarHeader } from '../../lib/tar-header.ts';
import { BerthError, type ErrorCode } from '../../model/errors.ts';
import type { LayerProgress as FetchedLayer } from '../../model/layer-progress.ts';
import type { OutgoingImage, RemoteImage } from '../registry/driver.ts';
import type { Unpacker } from '../unpack/driver.ts';
import type { ArchiveFormat, ContentStore, Digest, ImageRecord } from './driver.ts';

export interface OpenContent {
  readonly store: ContentStore;
  /** To look into layers. */
  readonly unpacker: Unpacker;
  /** The same store as the next daemon opens it. */
  reopen(): Promise<ContentStore>;
}

export interface ContentFactory {
  readonly name: string;
  /** A new, empty one. */
  open(): Promise<OpenContent>;
}

type Entry = TarHeader & { readonly content?: string | Uint8Array };

const tarOf = (...entries: readonly Entry[]): Buffer => Buffer.concat([...entries.map((entry) => tarEntry(entry, Buffer.from((entry.content ?? '') as string))), tarEnd()]);
const digestOf = (bytes: Uint8Array): Digest => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
const hex = (digest: Digest): string => digest.slice('sha256:'.length);

async function* inPieces(bytes: Uint8Array, size = 3000): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all);
}

const fails = (code: ErrorCode, text?: RegExp) => (error: unknown): boolean => {
  assert.ok(error instanceof BerthError, String(error));
  assert.equal(error.code, code, error.message);
  if (text !== undefined) assert.match(error.message, text);
  return true;
};

const OCI = 'application/vnd.oci.image';
const ARCHITECTURE = { x64: 'amd64', arm64: 'arm64' }[process.arch as string] ?? process.arch;

export interface SampleImage {
  readonly layers: readonly Uint8Array[];
  readonly compression?: 'none' | 'gzip' | 'zstd';
  readonly config?: Readonly<Record<string, unknown>>;
  readonly manifest?: Readonly<Record<string, unknown>>;
  readonly index?: Readonly<Record<string, unknown>>;
  readonly name?: string;
}

/** The files of an OCI layout. */
export function layoutOf({ layers, compression = 'gzip', config, manifest, index, name }: SampleImage): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>();
  const blob = (bytes: Uint8Array) => {
    files.set(`blobs/sha256/${hex(digestOf(bytes))}`, bytes);
    return { digest: digestOf(bytes), size: bytes.length };
  };
  const json = (value: unknown) => Buffer.from(JSON.stringify(value));
  const packed = layers.map((layer) => blob(compression === 'gzip' ? zlib.gzipSync(layer) : compression === 'zstd' ? zlib.zstdCompressSync(layer) : layer));
  const configBlob = blob(json({ architecture: ARCHITECTURE, os: 'linux', config: { Cmd: ['/bin/sh'], Env: ['A=1'] }, rootfs: { type: 'layers', diff_ids: layers.map(digestOf) }, ...config }));
  const mediaType = `${OCI}.layer.v1.tar${compression === 'none' ? '' : `+${compression}`}`;
  const manifestBlob = blob(json({ schemaVersion: 2, mediaType: `${OCI}.manifest.v1+json`, config: { mediaType: `${OCI}.config.v1+json`, ...configBlob }, layers: packed.map((one) => ({ mediaType, ...one })), ...manifest }));
  files.set('index.json', json({ schemaVersion: 2, manifests: [{ mediaType: `${OCI}.manifest.v1+json`, ...manifestBlob, ...(name === undefined ? {} : { annotations: { 'org.opencontainers.image.ref.name': name } }) }], ...index }));
  files.set('oci-layout', json({ imageLayoutVersion: '1.0.0' }));
  return files;
}

export const archiveOf = (files: ReadonlyMap<string, Uint8Array>): Buffer => tarOf(...[...files].map(([path, content]) => ({ path, content })));

const BASE = tarOf({ path: 'etc/', type: 'directory' }, { path: 'etc/passwd', content: 'root:x:0:0\n' }, { path: 'etc/gone', content: 'x' }, { path: 'bin/su', mode: 0o4755, content: 'su' });
const UPPER = tarOf({ path: 'etc/', type: 'directory' }, { path: 'etc/.wh.gone' }, { path: 'etc/new', content: 'new' });

/** A registry that has this one image; `before` is told of each piece. */
function remoteOf(image: OutgoingImage, before: (digest: Digest, offset: number) => Promise<void> = async () => undefined) {
  const blobs: Digest[] = [];
  const offsets = new Map<Digest, number>();
  let closed = 0;
  const remote: RemoteImage = {
    name: 'registry.example/a:1', digest: undefined, shareKey: image.manifest.digest,
    manifest: async () => image.manifest,
    async *blob({ digest, size }, offset = 0) {
      blobs.push(digest);
      offsets.set(digest, offset);
      const whole = await collect(image.read(digest));
      for (let at = offset; at < size; at += 50_000) {
        await before(digest, at);
        yield whole.subarray(at, at + 50_000);
      }
    },
    [Symbol.asyncDispose]: async () => void closed++,
  };
  return { remote, blobs: () => blobs, offsets, closed: () => closed };
}

/** For stores under test: bounds that a test can reach. */
export const DISK_LIMITS = { raw: 8 * 1024 * 1024, qcow2: 8 * 1024 * 1024, iso: 1024 * 1024 };

export function contentContract(factory: ContentFactory): void {
  function check(name: string, body: (open: OpenContent) => Promise<void>): void {
    it(name, async () => {
      const open = await factory.open();
      try {
        await body(open);
      } finally {
        await open.store[Symbol.asyncDispose]();
      }
    });
  }

  const bring = async (store: ContentStore, bytes: Uint8Array): Promise<readonly ImageRecord[]> => store.importArchive(inPieces(bytes), {});
  const bringOne = async (store: ContentStore, image: SampleImage): Promise<ImageRecord> => (await bring(store, archiveOf(layoutOf(image))))[0]!;
  const text = async ({ store, unpacker }: OpenContent, image: ImageRecord, path: string): Promise<string | undefined> => {
    const bytes = await unpacker.readFile(image.layers.map((layer) => store.layerPath(layer.diffId)), path, 4096);
    return bytes === undefined ? undefined : Buffer.from(bytes).toString();
  };
  const nothing = { blobs: new Set<Digest>(), diffIds: new Set<Digest>(), imageFiles: new Set<Digest>(), disks: new Set<Digest>() };
  const usedBy = (image: ImageRecord) => ({
    blobs: new Set([image.manifestDigest, image.configDigest, ...image.layers.map((layer) => layer.digest)]),
    diffIds: new Set(image.layers.map((layer) => layer.diffId)), imageFiles: new Set([image.configDigest]), disks: new Set<Digest>(image.type === undefined ? [] : [image.manifestDigest]),
  });

  describe(`content contract: ${factory.name}`, () => {
    const disk = Buffer.alloc(3 * 1024 * 1024);
    disk.write('a boot sector', 0);
    disk.write('data behind a hole', 2 * 1024 * 1024);

    check('a raw disk is kept by the digest of its content, and is the same for the next daemon', async ({ store, reopen }) => {
      const image = await store.importDisk(inPieces(disk, 100_000), 'raw');
      assert.deepEqual([image.type, image.manifestDigest, image.bytes, image.layers], ['disk', digestOf(disk), disk.length, []]);
      for (const one of [store, await reopen()]) {
        assert.deepEqual(await collect(one.readDisk(digestOf(disk))), disk);
        assert.ok(one.diskBytes(digestOf(disk)) !== undefined);
        assert.equal((await one.usage()).disks, 1);
      }
    });

    check('what is on a raw disk is not looked at: a header of another format is content', async ({ store }) => {
      const liar = Buffer.from(disk);
      Buffer.from('514649fb00000003000000000000020000000040', 'hex').copy(liar);
      liar.write('/etc/shadow', 512);
      assert.equal((await store.importDisk(inPieces(liar, 100_000), 'raw')).manifestDigest, digestOf(liar));
      assert.deepEqual(await collect(store.readDisk(digestOf(liar))), liar);
    });

    check('a CD has an end of its own, a disk whole sectors, and neither is empty or beyond its bound', async ({ store }) => {
      assert.equal((await store.importDisk(inPieces(disk.subarray(0, 700)), 'iso')).type, 'iso');
      await assert.rejects(store.importDisk(inPieces(disk.subarray(0, 700)), 'raw'), fails('invalid', /whole sectors/));
      await assert.rejects(store.importDisk(inPieces(Buffer.alloc(0)), 'iso'), fails('invalid', /nothing in it/));
      await assert.rejects(store.importDisk(inPieces(Buffer.alloc(DISK_LIMITS.iso + 512), 100_000), 'iso'), fails('exhausted'));
      assert.equal((await store.usage()).disks, 1);
    });

    check('a qcow2 file that is none is refused before any program sees it', async ({ store }) => {
      await assert.rejects(store.importDisk(inPieces(disk, 100_000), 'qcow2'), fails('invalid', /does not begin like one/));
      assert.equal((await store.usage()).disks, 0);
    });

    check('a disk whose bringer leaves, or whose bytes stop, is not there', async ({ store }) => {
      const stop = new AbortController();
      const leaving = async function* (): AsyncGenerator<Uint8Array> { yield disk.subarray(0, 512); stop.abort(); yield disk.subarray(512); };
      await assert.rejects(store.importDisk(leaving(), 'raw', { signal: stop.signal }), fails('wrongState'));
      const broken = async function* (): AsyncGenerator<Uint8Array> { yield disk.subarray(0, 512); throw new BerthError('unavailable', 'The line is cut.'); };
      await assert.rejects(store.importDisk(broken(), 'raw'), fails('unavailable'));
      assert.equal((await store.usage()).disks, 0);
    });

    check('a sweep takes a disk that nobody names or holds', async ({ store }) => {
      using lease = store.lease();
      const image = await store.importDisk(inPieces(disk, 100_000), 'raw', { lease });
      await store.sweep(nothing, { arrivals: true });
      assert.ok(store.diskBytes(image.manifestDigest) !== undefined, 'held');
      store.settled(image);
      lease[Symbol.dispose]();
      await store.sweep(usedBy(image));
      assert.ok(store.diskBytes(image.manifestDigest) !== undefined, 'in use');
      await store.sweep(nothing);
      assert.equal(store.diskBytes(image.manifestDigest), undefined);
      await assert.rejects(collect(store.readDisk(image.manifestDigest)), fails('notFound'));
    });

    check('a blob is there when its bytes are the ones that were said', async ({ store }) => {
      const bytes = Buffer.from('hello');
      assert.equal(await store.hasBlob(digestOf(bytes)), false);
      assert.deepEqual(await store.ingest(inPieces(bytes), { digest: digestOf(bytes), size: 5 }), { digest: digestOf(bytes), size: 5 });
      assert.equal(await store.hasBlob(digestOf(bytes)), true);
      assert.deepEqual(await collect(store.openBlob(digestOf(bytes))), bytes);
      assert.deepEqual(await store.ingest(inPieces(bytes)), { digest: digestOf(bytes), size: 5 });
      await assert.rejects(collect(store.openBlob(digestOf(Buffer.from('other')))), fails('notFound'));
    });

    check('other bytes, other sizes and endless bytes leave nothing', async ({ store }) => {
      const bytes = Buffer.from('hello');
      let sent = 0;
      async function* endless(): AsyncGenerator<Uint8Array> {
        for (;; sent += 65_536) yield Buffer.alloc(65_536);
      }
      async function* broken(): AsyncGenerator<Uint8Array> {
        yield bytes;
        throw new BerthError('unavailable', 'The line was cut.');
      }
      const other = digestOf(Buffer.from('other'));
      await assert.rejects(store.ingest(inPieces(bytes), { digest: other }), fails('invalid', new RegExp(`${digestOf(bytes)}, not ${other}`)));
      await assert.rejects(store.ingest(inPieces(bytes), { size: 6 }), fails('invalid'));
      await assert.rejects(store.ingest(inPieces(bytes), { size: 4 }), fails('invalid'));
      await assert.rejects(store.ingest(inPieces(bytes), { size: -1 }), fails('invalid'));
      await assert.rejects(store.ingest(endless(), { maxBytes: 1_000_000 }), fails('exhausted'));
      await assert.rejects(store.ingest(endless(), { size: 1000 }), fails('invalid'));
      await assert.rejects(store.ingest(inPieces(bytes), { digest: digestOf(bytes).toUpperCase() }), fails('invalid'));
      await assert.rejects(store.ingest(broken()), fails('unavailable'));
      assert.ok(sent < 10_000_000);
      assert.deepEqual(await store.usage(), { blobs: 0, blobBytes: 0, layers: 0, layerBytes: 0, imageFiles: 0, imageFileBytes: 0, disks: 0, diskBytes: 0 });
    });

    check('a layer is there when its diffID is the one that was said', async ({ store }) => {
      const { digest } = await store.ingest(inPieces(zlib.gzipSync(BASE)));
      await assert.rejects(store.ensureLayer(digest, 'gzip', digestOf(UPPER)), fails('invalid', /diffID/));
      assert.throws(() => store.layerPath(digestOf(UPPER)), fails('unavailable'));
      assert.throws(() => store.layerPath(digestOf(BASE)), fails('unavailable'));
      const phases: string[] = [];
      const report = await store.ensureLayer(digest, 'gzip', digestOf(BASE), { onProgress: ({ phase }) => phases.push(phase) });
      assert.deepEqual([report.diffId, report.setuid, phases], [digestOf(BASE), ['bin/su'], ['unpacking', 'done']]);
      assert.deepEqual(await store.ensureLayer(digest, 'gzip', digestOf(BASE)), report);
      await assert.rejects(store.ensureLayer(digestOf(UPPER), 'none', digestOf(UPPER)), fails('notFound'));
    });

    check('many who want one layer share the work, and one who leaves does not stop it', async ({ store }) => {
      const { digest } = await store.ingest(inPieces(BASE));
      const leaver = new AbortController();
      const left = store.ensureLayer(digest, 'none', digestOf(BASE), { signal: leaver.signal });
      const all = Array.from({ length: 20 }, () => store.ensureLayer(digest, 'none', digestOf(BASE)));
      leaver.abort();
      await assert.rejects(left, fails('wrongState'));
      assert.equal(new Set((await Promise.all(all)).map((report) => report.diffId)).size, 1);
      assert.equal((await store.usage()).layers, 1);
    });

    for (const compression of ['none', 'gzip', 'zstd'] as const) {
      check(`takes in an OCI layout (${compression})`, async (open) => {
        const image = await bringOne(open.store, { layers: [BASE, UPPER], compression, name: 'base:1' });
        assert.deepEqual(image.layers.map((layer) => layer.diffId), [digestOf(BASE), digestOf(UPPER)]);
        assert.deepEqual([image.names, image.config.command, image.config.env, image.setuid, image.bytes], [['base:1'], ['/bin/sh'], ['A=1'], ['bin/su'], 17]);
        assert.equal(await text(open, image, '/etc/passwd'), 'root:x:0:0\n');
        assert.equal(await text(open, image, '/etc/gone'), undefined);
        assert.equal(await text(open, image, '/etc/new'), 'new');
      });
    }

    for (const format of ['oci-archive', 'docker-archive', 'rootfs'] as const) {
      check(`takes in again what it gave out (${format})`, async (open) => {
        const image = await bringOne(open.store, { layers: [BASE, UPPER, UPPER], name: 'web:2' });
        const bytes = await collect(open.store.exportArchive(image, format));
        const other = await factory.open();
        const [again] = await bring(other.store, bytes);
        if (format !== 'rootfs') {
          assert.deepEqual(again!.layers.map((layer) => layer.diffId), image.layers.map((layer) => layer.diffId));
          assert.deepEqual([again!.config, again!.names, again!.configDigest], [image.config, ['web:2'], image.configDigest]);
        } else assert.equal(again!.layers.length, 1);
        if (format === 'oci-archive') assert.equal(again!.manifestDigest, image.manifestDigest);
        assert.equal(await text({ ...other }, again!, 'etc/gone'), undefined);
        assert.equal(await text({ ...other }, again!, 'etc/new'), 'new');
        // The same bytes compressed are the same image: as a layer, or opened first.
        const [compressed] = await bring(other.store, zlib.gzipSync(bytes));
        assert.equal(compressed!.layers[0]!.diffId, again!.layers[0]!.diffId);
        assert.deepEqual(compressed!.names, again!.names);
        await other.store[Symbol.asyncDispose]();
      });
    }

    check('takes in an archive of docker whose layers are links', async (open) => {
      const config = Buffer.from(JSON.stringify({ architecture: ARCHITECTURE, os: 'linux', rootfs: { type: 'layers', diff_ids: [digestOf(BASE), digestOf(BASE)] } }));
      const [first, second] = ['a'.repeat(64), 'b'.repeat(64)];
      const [image] = await bring(open.store, tarOf(
        { path: `${first}/`, type: 'directory' }, { path: `${first}/layer.tar`, content: BASE }, { path: `${second}/`, type: 'directory' }, { path: `${second}/layer.tar`, type: 'symlink', link: `../${first}/layer.tar` },
        { path: `${hex(digestOf(config))}.json`, content: config },
        { path: 'manifest.json', content: JSON.stringify([{ Config: `${hex(digestOf(config))}.json`, RepoTags: ['old/style:1'], Layers: [`${first}/layer.tar`, `${second}/layer.tar`] }]) },
        { path: 'repositories', content: '{}' },
      ));
      assert.deepEqual([image!.names, image!.layers.map((layer) => layer.diffId)], [['old/style:1'], [digestOf(BASE), digestOf(BASE)]]);
    });

    check('takes the image for this host out of an index', async ({ store }) => {
      const files = layoutOf({ layers: [BASE] });
      const own = (JSON.parse(Buffer.from(files.get('index.json')!).toString()) as { manifests: Record<string, unknown>[] }).manifests[0]!;
      const nested = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: `${OCI}.index.v1+json`, manifests: [
        { ...own, digest: `sha256:${'0'.repeat(64)}`, platform: { os: 'linux', architecture: 's390x' } }, { ...own, digest: `sha256:${'1'.repeat(64)}`, platform: { os: 'unknown', architecture: 'unknown' } },
        { ...own, platform: { os: 'linux', architecture: ARCHITECTURE } },
      ] }));
      files.set(`blobs/sha256/${hex(digestOf(nested))}`, nested);
      files.set('index.json', Buffer.from(JSON.stringify({ schemaVersion: 2, manifests: [{ mediaType: `${OCI}.index.v1+json`, digest: digestOf(nested), size: nested.length }] })));
      const [image] = await bring(store, archiveOf(files));
      assert.equal(image!.layers[0]!.diffId, digestOf(BASE));
    });

    check('refuses archives that lie, whole', async ({ store }) => {
      const good = layoutOf({ layers: [BASE] });
      const layerPath = [...good.keys()][0]!;
      const loop = Buffer.from(JSON.stringify({ schemaVersion: 2, manifests: [] }));
      const cases: readonly (readonly [string, ReadonlyMap<string, Uint8Array> | Uint8Array, ErrorCode])[] = [
        ['a blob with other bytes', new Map([...good, [layerPath, Buffer.from('other')]]), 'invalid'],
        ['a blob that is missing', new Map([...good].filter(([path]) => path !== layerPath)), 'notFound'],
        ['a layer with another diffID', layoutOf({ layers: [BASE], config: { rootfs: { type: 'layers', diff_ids: [digestOf(UPPER)] } } }), 'invalid'],
        ['fewer diffIDs than layers', layoutOf({ layers: [BASE], config: { rootfs: { type: 'layers', diff_ids: [] } } }), 'invalid'],
        ['a wrong size', layoutOf({ layers: [BASE], manifest: { config: { mediaType: `${OCI}.config.v1+json`, digest: digestOf(Buffer.from('x')), size: 99 } } }), 'notFound'],
        ['layers and manifests', layoutOf({ layers: [BASE], manifest: { manifests: [] } }), 'invalid'],
        ['an index of nothing', layoutOf({ layers: [BASE], index: { manifests: [] } }), 'unsupported'],
        ['neither index nor manifest', new Map([['oci-layout', loop]]), 'invalid'],
        ['a name that leads out', new Map([['blobs/sha256/../../../x', loop], ...good]), 'invalid'],
        ['an absolute name', new Map([['oci-layout', loop], ['/etc/passwd', loop]]), 'invalid'],
        ['another kind of blob', new Map([['blobs/md5/abc', loop], ...good]), 'invalid'],
        ['a hostile layer', layoutOf({ layers: [tarOf({ path: '../x', content: 'x' })] }), 'invalid'],
        ['nothing', Buffer.alloc(0), 'invalid'],
        ['no archive', Buffer.from('this is text'.repeat(100)), 'invalid'],
        ['half an archive', archiveOf(good).subarray(0, 1500), 'invalid'],
        ['a manifest of docker that names what is not there', tarOf({ path: 'manifest.json', content: '[{"Config":"x.json","Layers":[]}]' }), 'invalid'],
      ];
      for (const [name, archive, code] of cases) {
        await assert.rejects(bring(store, archive instanceof Uint8Array ? archive : archiveOf(archive)), (error: unknown) => {
          assert.ok(error instanceof BerthError && error.code === code, `${name}: ${String(error)}`);
          return true;
        });
      }
      await store.sweep(nothing);
      assert.deepEqual(await store.usage(), { blobs: 0, blobBytes: 0, layers: 0, layerBytes: 0, imageFiles: 0, imageFileBytes: 0, disks: 0, diskBytes: 0 }, 'what was refused goes with the next sweep');
    });

    check('stops an import that is cancelled', async ({ store }) => {
      const stop = new AbortController();
      async function* slow(): AsyncGenerator<Uint8Array> {
        yield archiveOf(layoutOf({ layers: [BASE] })).subarray(0, 2000);
        stop.abort();
        yield Buffer.alloc(1_000_000);
      }
      await assert.rejects(store.importArchive(slow(), { signal: stop.signal }), BerthError);
    });

    check('takes in from a registry what another store gives out', async (open) => {
      const image = await bringOne(open.store, { layers: [BASE, UPPER] });
      const outgoing = await open.store.outgoingImage(image);
      const other = await factory.open();
      const told: FetchedLayer[] = [];
      using lease = other.store.lease();
      const { remote, closed } = remoteOf(outgoing);
      const record = await other.store.fetchImage(remote, { lease, onLayer: (layer) => told.push(layer) });
      assert.deepEqual([record.manifestDigest, record.namedDigest, record.configDigest, record.config], [image.manifestDigest, image.manifestDigest, image.configDigest, image.config]);
      assert.equal(await text({ ...other }, record, '/etc/new'), 'new');
      assert.deepEqual(told.slice(0, 2).map((layer) => [layer.digest, layer.state]), image.layers.map((layer) => [layer.digest, 'waiting']));
      for (const layer of image.layers) assert.deepEqual(told.findLast((one) => one.digest === layer.digest), { digest: layer.digest, state: 'done', bytes: layer.bytes, totalBytes: layer.bytes });
      assert.equal(closed(), 1);
      // Held: a sweep of everything leaves it. Then nothing of it comes again.
      await other.store.sweep(nothing, { arrivals: true });
      const again = remoteOf(outgoing);
      const states: string[] = [];
      await other.store.fetchImage(again.remote, { onLayer: (layer) => states.push(layer.state) });
      assert.deepEqual([states, again.blobs(), again.closed()], [['waiting', 'waiting', 'present', 'present'], [], 1]);
      await other.store[Symbol.asyncDispose]();
    });

    check('many who fetch one image share it, and one who leaves does not stop it', async ({ store }) => {
      const outgoing = await store.outgoingImage(await bringOne(store, { layers: [BASE, UPPER] }));
      const other = (await factory.open()).store;
      const leaver = new AbortController();
      const remotes = Array.from({ length: 10 }, () => remoteOf(outgoing));
      const [left, ...stayed] = remotes.map(({ remote }, index) => other.fetchImage(remote, index === 0 ? { signal: leaver.signal } : {}));
      leaver.abort();
      await assert.rejects(left!, fails('wrongState'));
      assert.equal(new Set((await Promise.all(stayed)).map((record) => record.manifestDigest)).size, 1);
      assert.equal(remotes.flatMap((one) => one.blobs()).length, 3);
      assert.deepEqual(remotes.map((one) => one.closed()), remotes.map(() => 1));
      await other[Symbol.asyncDispose]();
    });

    check('goes on where a fetch was cancelled, by the next daemon too', async ({ store }) => {
      const big = tarOf({ path: 'big', content: randomBytes(600_000) });
      const image = await bringOne(store, { layers: [big], compression: 'none' });
      const outgoing = await store.outgoingImage(image);
      const layer = image.layers[0]!;
      const other = await factory.open();
      const stop = new AbortController();
      const halting = remoteOf(outgoing, async (digest, offset) => {
        if (digest === layer.digest && offset >= 400_000) stop.abort();
      });
      await assert.rejects(other.store.fetchImage(halting.remote, { signal: stop.signal }), fails('wrongState'));
      assert.equal(await other.store.hasBlob(layer.digest), false);
      assert.throws(() => other.store.layerPath(layer.diffId), fails('unavailable'));
      await other.store[Symbol.asyncDispose]();
      const next = await other.reopen();
      const going = remoteOf(outgoing);
      await next.fetchImage(going.remote);
      const from = going.offsets.get(layer.digest)!;
      assert.ok(from > 0, `it went on at ${from}`);
      await next[Symbol.asyncDispose]();
    });

    check('closes what it was given, whatever comes of it', async ({ store }) => {
      const outgoing = await store.outgoingImage(await bringOne(store, { layers: [BASE] }));
      const broken = remoteOf(outgoing, () => Promise.reject(new BerthError('unavailable', 'The line was cut.')));
      const other = (await factory.open()).store;
      await assert.rejects(other.fetchImage(broken.remote), fails('unavailable'));
      const unwanted = remoteOf(outgoing);
      await assert.rejects(other.fetchImage(unwanted.remote, { signal: AbortSignal.abort() }), fails('wrongState'));
      assert.deepEqual([broken.closed(), unwanted.closed(), unwanted.blobs()], [1, 1, []]);
      await other[Symbol.asyncDispose]();
    });

    check('makes an image file once', async ({ store }) => {
      const image = await bringOne(store, { layers: [BASE, UPPER] });
      const files = await Promise.all([1, 2, 3].map(() => store.imageFile(image.configDigest, image.layers.map((layer) => layer.diffId))));
      assert.equal(new Set(files).size, 1);
    });

    check('sweeps what nobody uses, and spares what comes in', async (open) => {
      const { store } = open;
      const kept = await bringOne(store, { layers: [BASE] });
      const gone = await bringOne(store, { layers: [UPPER] });
      await store.imageFile(gone.configDigest, [gone.layers[0]!.diffId]);
      await store.sweep(usedBy(kept));
      assert.equal((await store.usage()).layers, 2, 'it was not settled');
      store.settled(kept);
      store.settled(gone);
      assert.ok(await store.sweep(usedBy(kept)) > 0);
      assert.equal((await store.usage()).layers, 1);
      assert.equal(await text(open, kept, 'etc/passwd'), 'root:x:0:0\n');
      assert.throws(() => store.layerPath(gone.layers[0]!.diffId), fails('unavailable'));
      assert.equal(await store.hasBlob(gone.manifestDigest), false);
    });

    check('is found again by the next daemon', async (open) => {
      const image = await bringOne(open.store, { layers: [BASE, UPPER] });
      const path = open.store.layerPath(image.layers[0]!.diffId);
      await open.store[Symbol.asyncDispose]();
      const next = await open.reopen();
      assert.equal(next.layerPath(image.layers[0]!.diffId), path);
      assert.equal((await collect(next.openBlob(image.configDigest))).length > 0, true);
      assert.ok(path.length < 4000 / 128 * 3, 'short enough for many layers');
    });

    check('makes busybox, the same image each time', async (open) => {
      const request = { name: 'busybox', include: [], config: {} };
      const first = await open.store.bootstrap(request, {});
      assert.deepEqual(first.config.command, ['sh']);
      assert.match((await text(open, first, '/etc/passwd'))!, /^root:x:0:0:/);
      assert.equal((await open.store.bootstrap(request, {})).manifestDigest, first.manifestDigest);
      assert.notEqual((await open.store.bootstrap({ ...request, config: { command: ['httpd'] } }, {})).manifestDigest, first.manifestDigest);
      await assert.rejects(open.store.bootstrap({ ...request, include: ['nginx'] }, {}), fails('invalid'));
      await assert.rejects(open.store.bootstrap({ ...request, name: 'debian:../../etc' }, {}), fails('notFound'));
    });
  });
}

export const EXPORT_FORMATS: readonly ArchiveFormat[] = ['oci-archive', 'docker-archive', 'rootfs'];
