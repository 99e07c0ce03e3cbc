/** What every registry driver must do, as node:test cases: on registries in memory, and on a real one in each of its kinds. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { BerthError, type ErrorCode } from '../../model/errors.ts';
import type { LayerProgress } from '../../model/layer-progress.ts';
import { parseReference, type ImageReference } from '../../model/reference.ts';
import type { OutgoingImage, RegistryAccess, RegistryCredentials, RegistryDriver, RemoteBlob, RemoteImage } from './driver.ts';

export interface OpenRegistry extends AsyncDisposable {
  readonly driver: RegistryDriver;
  /** As references have it. */
  readonly registry: string;
  /** The registry wants a login for everything. */
  readonly credentials?: RegistryCredentials | undefined;
}

export interface RegistryFactory {
  readonly name: string;
  open(): Promise<OpenRegistry>;
}

const OCI = 'application/vnd.oci.image';
const DOCKER = 'application/vnd.docker';

const digestOf = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
const describeBytes = (mediaType: string, bytes: Uint8Array) => ({ mediaType, digest: digestOf(bytes), size: bytes.length });

const fails = (code: ErrorCode) => (error: unknown): boolean => {
  assert.ok(error instanceof BerthError, String(error));
  assert.equal(error.code, code, error.message);
  return true;
};

export interface Sample extends OutgoingImage {
  readonly content: ReadonlyMap<string, Uint8Array>;
  /** Digests that were read. */
  readonly sent: string[];
}

/** An image of random layers; transports do not look into them. */
export function sampleImage({ format = 'oci', layers = [100, 200_000], base }: { readonly format?: 'oci' | 'docker'; readonly layers?: readonly number[]; readonly base?: Sample } = {}): Sample {
  const content = new Map<string, Uint8Array>();
  const sent: string[] = [];
  const keep = (mediaType: string, bytes: Uint8Array) => {
    content.set(digestOf(bytes), bytes);
    return describeBytes(mediaType, bytes);
  };
  const [manifestType, configType, layerType] = format === 'oci'
    ? [`${OCI}.manifest.v1+json`, `${OCI}.config.v1+json`, `${OCI}.layer.v1.tar+gzip`]
    : [`${DOCKER}.distribution.manifest.v2+json`, `${DOCKER}.container.image.v1+json`, `${DOCKER}.image.rootfs.diff.tar.gzip`];
  const own = layers.map((size) => keep(layerType, randomBytes(size)));
  const inherited = (base?.blobs.slice(1) ?? []).map((blob) => keep(layerType, base!.content.get(blob.digest)!));
  const config = keep(configType, Buffer.from(JSON.stringify({ architecture: 'amd64', os: 'linux', nonce: randomBytes(8).toString('hex'), rootfs: { type: 'layers', diff_ids: [] } })));
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: manifestType, config, layers: [...inherited, ...own] }));
  return {
    manifest: { bytes, mediaType: manifestType, digest: digestOf(bytes) },
    blobs: [config, ...inherited, ...own].map(({ digest, size }): RemoteBlob => ({ digest, size })),
    content, sent,
    async *read(digest) {
      sent.push(digest);
      const whole = content.get(digest)!;
      for (let at = 0; at < whole.length; at += 50_000) yield whole.subarray(at, at + 50_000);
    },
  };
}

async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all);
}

export function registryContract(factory: RegistryFactory): void {
  describe(`registry contract: ${factory.name}`, () => {
    let open: OpenRegistry;
    let access: RegistryAccess;
    let count = 0;
    before(async () => {
      open = await factory.open();
      access = open.credentials === undefined ? {} : { credentials: { [open.registry]: open.credentials } };
    });
    after(() => open[Symbol.asyncDispose]());
    const repository = (): string => `test/r${++count}-${randomBytes(3).toString('hex')}`;
    const at = (name: string): ImageReference => parseReference(`${open.registry}/${name}`);

    async function holds(remote: RemoteImage, image: Sample): Promise<void> {
      const manifest = await remote.manifest();
      assert.equal(digestOf(manifest.bytes), image.manifest.digest);
      assert.equal(manifest.mediaType, image.manifest.mediaType);
      for (const blob of image.blobs) assert.equal(digestOf(await collect(remote.blob(blob))), blob.digest);
    }

    for (const format of ['oci', 'docker'] as const) {
      it(`gives back what it was given (${format})`, async () => {
        const image = sampleImage({ format });
        const name = repository();
        const told: LayerProgress[] = [];
        assert.deepEqual(await open.driver.push(at(`${name}:1`), image, { ...access, onLayer: (progress) => told.push(progress) }), { digest: image.manifest.digest });
        for (const reference of [`${name}:1`, `${name}@${image.manifest.digest}`]) {
          await using remote = open.driver.image(at(reference), access);
          await holds(remote, image);
          assert.equal(digestOf((await remote.manifest(image.manifest.digest)).bytes), image.manifest.digest);
        }
        for (const blob of image.blobs) {
          const last = told.filter((one) => one.digest === blob.digest).at(-1);
          assert.deepEqual(last, { digest: blob.digest, state: 'done', bytes: blob.size, totalBytes: blob.size });
        }
      });
    }

    it('goes on in the middle of a blob', async () => {
      const image = sampleImage();
      const name = repository();
      await open.driver.push(at(`${name}:1`), image, access);
      await using remote = open.driver.image(at(`${name}:1`), access);
      const blob = image.blobs.at(-1)!;
      const whole = image.content.get(blob.digest)!;
      for (const offset of [1, 65_536, blob.size - 1]) assert.deepEqual(await collect(remote.blob(blob, offset)), Buffer.from(whole.subarray(offset)));
      assert.equal((await collect(remote.blob(blob, blob.size))).length, 0);
    });

    it('does not send what is there', async () => {
      const image = sampleImage();
      const name = repository();
      await open.driver.push(at(`${name}:1`), image, access);
      image.sent.length = 0;
      const told: LayerProgress[] = [];
      await open.driver.push(at(`${name}:2`), image, { ...access, onLayer: (progress) => told.push(progress) });
      assert.deepEqual(image.sent, []);
      assert.ok(image.blobs.every((blob) => told.some((one) => one.digest === blob.digest && one.state === 'present')));
    });

    it('mounts what another repository has', async () => {
      const base = sampleImage();
      const [first, second] = [repository(), repository()];
      await open.driver.push(at(`${first}:1`), base, access);
      const image = sampleImage({ base });
      await open.driver.push(at(`${second}:1`), image, { ...access, mountFrom: (digest) => (base.content.has(digest) ? [first] : []) });
      assert.deepEqual(image.sent.filter((digest) => base.content.has(digest)), []);
      await using remote = open.driver.image(at(`${second}:1`), access);
      await holds(remote, image);
    });

    it('copies to another name, with the same digest', async () => {
      const image = sampleImage();
      const [first, second] = [repository(), repository()];
      await open.driver.push(at(`${first}:1`), image, access);
      assert.deepEqual(await open.driver.copy(at(`${first}:1`), at(`${second}:x`), access), { digest: image.manifest.digest });
      await using remote = open.driver.image(at(`${second}:x`), access);
      await holds(remote, image);
    });

    it('says what it has not', async () => {
      const image = sampleImage();
      const name = repository();
      await open.driver.push(at(`${name}:1`), image, access);
      await using remote = open.driver.image(at(`${name}:none`), access);
      await assert.rejects(remote.manifest(), fails('notFound'));
      await assert.rejects(collect(remote.blob({ digest: digestOf(randomBytes(8)), size: 8 })), fails('notFound'));
      await using other = open.driver.image(at(`${repository()}:1`), access);
      await assert.rejects(other.manifest(), fails('notFound'));
      await assert.rejects(open.driver.copy(at(`${name}:none`), at(`${name}:2`), access), fails('notFound'));
    });

    it('refuses what cannot be meant', async () => {
      const image = sampleImage();
      assert.throws(() => open.driver.image(parseReference('busybox'), access), fails('invalid'));
      await assert.rejects(open.driver.push(at(`${repository()}@${digestOf(randomBytes(4))}`), image, access), fails('invalid'));
      assert.deepEqual(image.sent, []);
    });

    it('stops when it is cancelled', async () => {
      const image = sampleImage();
      const name = repository();
      await open.driver.push(at(`${name}:1`), image, access);
      const signal = AbortSignal.abort();
      await using remote = open.driver.image(at(`${name}:1`), { ...access, signal });
      await assert.rejects(remote.manifest(), fails('wrongState'));
      await assert.rejects(collect(remote.blob(image.blobs[1]!)), fails('wrongState'));
      await assert.rejects(open.driver.push(at(`${name}:2`), sampleImage(), { ...access, signal }), fails('wrongState'));
    });

    it('tells who may share a download', async () => {
      const key = (name: string, credentials?: RegistryCredentials): string => open.driver.image(at(name), credentials === undefined ? {} : { credentials: { [open.registry]: credentials } }).shareKey;
      assert.equal(key('a:1'), key('a:1'));
      assert.equal(key('a'), key('a:latest'));
      const all = [key('a:1'), key('a:2'), key('b:1'), key('a:1', { username: 'u', password: 'p' }), key('a:1', { username: 'u', password: 'q' }), key(`a:1@${digestOf(Buffer.from('x'))}`)];
      assert.equal(new Set(all).size, all.length);
    });

    it('lets in whom the registry lets in', async () => {
      if (open.credentials === undefined) {
        await open.driver.checkLogin(open.registry, {});
        return;
      }
      const image = sampleImage();
      const name = repository();
      await open.driver.push(at(`${name}:1`), image, access);
      await open.driver.checkLogin(open.registry, open.credentials);
      const wrong = { ...open.credentials, password: 'wrong' };
      await assert.rejects(open.driver.checkLogin(open.registry, wrong), fails('unauthenticated'));
      for (const credentials of [{ [open.registry]: wrong }, { 'other.example': open.credentials }, {}]) {
        await using remote = open.driver.image(at(`${name}:1`), { credentials });
        await assert.rejects(remote.manifest(), fails('unauthenticated'));
        await assert.rejects(open.driver.push(at(`${name}:2`), image, { credentials }), fails('unauthenticated'));
      }
    });
  });
}
