/** Images between this store, Debian's docker-registry and skopeo: every format, in both directions, with the same digests. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { openDirContent } from '../../src/drivers/content/dir/dir-content.ts';
import type { ContentStore } from '../../src/drivers/content/driver.ts';
import { sampleImage } from '../../src/drivers/registry/contract.ts';
import type { RegistryDriver } from '../../src/drivers/registry/driver.ts';
import { openOciRegistries } from '../../src/drivers/registry/oci/oci-registries.ts';
import { createNativeUnpacker } from '../../src/drivers/unpack/native/native-unpacker.ts';
import { removeTree } from '../../src/host/remove-tree.ts';
import type { LayerProgress } from '../../src/model/layer-progress.ts';
import { parsePlatform } from '../../src/model/platform.ts';
import { parseReference } from '../../src/model/reference.ts';
import { startCuttingProxy } from '../lib/cutting-proxy.ts';
import { ACCOUNT, startDockerRegistry, type DockerRegistry } from '../lib/docker-registry.ts';
import { buildImage, digestOf, dir, file, layerTar, writeLayout, type BuiltImage } from '../lib/image-builder.ts';
import { builtNativeProgram } from '../lib/native-build.ts';
import { startTokenServer } from '../lib/token-server.ts';

const run = promisify(execFile);
const root = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-registry-'));
let server: DockerRegistry;
let registries: RegistryDriver;
before(async () => {
  await builtNativeProgram();
  server = await startDockerRegistry();
  registries = openOciRegistries();
});
after(async () => {
  await registries[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
  await removeTree(root);
});

const reference = (name: string) => parseReference(`${server.host}/${name}`);
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const INDEX = 'application/vnd.oci.image.index.v1+json';

async function freshStore(): Promise<ContentStore> {
  const place = fs.mkdtempSync(path.join(root, 'store-'));
  return openDirContent({ rootDir: path.join(place, 'images'), layersDir: path.join(place, 'l'), unpacker: createNativeUnpacker() });
}

/** skopeo in a state directory of its own; it accepts any image here. */
async function skopeo(...args: readonly string[]): Promise<string> {
  return (await run('skopeo', ['--insecure-policy', '--tmpdir', root, ...args], { env: { PATH: process.env['PATH'], HOME: root, XDG_RUNTIME_DIR: root }, maxBuffer: 16 * 1024 * 1024 })).stdout;
}

/** The digest of what skopeo sees under a name. */
async function seen(name: string): Promise<string> {
  return digestOf(await skopeo('inspect', '--raw', '--tls-verify=false', `docker://${server.host}/${name}`));
}

const ARCHITECTURE = process.arch === 'arm64' ? 'arm64' : 'amd64';
const OTHER = ARCHITECTURE === 'amd64' ? 'arm64' : 'amd64';
const LAYERS = [layerTar([dir('etc'), file('etc/passwd', 'root:x:0:0\n'), file('etc/gone', 'x')]), layerTar([dir('etc'), file('etc/.wh.gone'), file('etc/new', 'n'.repeat(100_000))])];

async function layoutOf(image: BuiltImage): Promise<string> {
  const place = fs.mkdtempSync(path.join(root, 'layout-'));
  await writeLayout(image, place);
  return place;
}

/** An index of two platforms, as a layout. */
async function twoPlatforms(): Promise<{ readonly layout: string; readonly digest: string; readonly own: BuiltImage; readonly other: BuiltImage }> {
  const [own, other] = [ARCHITECTURE, OTHER].map((architecture) => buildImage({ layers: LAYERS, compression: 'gzip', config: { architecture, config: { Env: [`A=${architecture}`] } } })) as [BuiltImage, BuiltImage];
  const files = new Map([...own.files, ...other.files]);
  const entry = (image: BuiltImage, architecture: string) => ({ mediaType: MANIFEST, digest: image.manifestDigest, size: files.get(`blobs/sha256/${image.manifestDigest.slice(7)}`)!.length, platform: { os: 'linux', architecture } });
  const index = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: INDEX, manifests: [entry(other, OTHER), entry(own, ARCHITECTURE)] }));
  files.set(`blobs/sha256/${digestOf(index).slice(7)}`, index);
  files.set('index.json', Buffer.from(JSON.stringify({ schemaVersion: 2, manifests: [{ mediaType: INDEX, digest: digestOf(index), size: index.length, annotations: { 'org.opencontainers.image.ref.name': 'both' } }] })));
  return { layout: await layoutOf({ ...own, files }), digest: digestOf(index), own, other };
}

describe('images of skopeo', () => {
  for (const compression of ['gzip', 'zstd', 'none'] as const) {
    for (const format of compression === 'gzip' ? ['oci', 'v2s2'] as const : ['oci'] as const) {
      it(`come in and go back with the same digest (${format}, ${compression})`, async () => {
        const name = `from-skopeo/${format}-${compression}`;
        const layout = await layoutOf(buildImage({ layers: LAYERS, compression, name: '1' }));
        await skopeo('copy', '--dest-tls-verify=false', ...(format === 'oci' ? ['--preserve-digests'] : ['--format', format]), `oci:${layout}:1`, `docker://${server.host}/${name}:1`);
        await using store = await freshStore();
        const told: LayerProgress[] = [];
        const record = await store.fetchImage(registries.image(reference(`${name}:1`)), { onLayer: (progress) => told.push(progress) });
        assert.equal(record.manifestDigest, await seen(`${name}:1`));
        assert.match(record.mediaType, format === 'oci' ? /oci\.image/ : /docker\.distribution/);
        assert.equal(fs.readFileSync(path.join(store.layerPath(record.layers[1]!.diffId), 'etc/new'), 'utf8').length, 100_000);
        assert.deepEqual(told.slice(0, 2).map((one) => one.state), ['waiting', 'waiting']);
        for (const layer of record.layers) assert.equal(told.filter((one) => one.digest === layer.digest).at(-1)!.state, 'done');
        // Back under another name, whose layers are mounted, and to a place where nothing is.
        await registries.push(reference(`${name}-back:2`), await store.outgoingImage(record), { mountFrom: () => [name] });
        assert.equal(await seen(`${name}-back:2`), record.manifestDigest);
        await skopeo('copy', '--src-tls-verify=false', '--preserve-digests', `docker://${server.host}/${name}-back:2`, `dir:${fs.mkdtempSync(path.join(root, 'dir-'))}`);
        // Out of the store, and in again by skopeo.
        const archive = path.join(fs.mkdtempSync(path.join(root, 'export-')), 'image.tar');
        await pipeline(Readable.from(store.exportArchive({ ...record, names: ['x:1'] }, 'oci-archive')), fs.createWriteStream(archive));
        await skopeo('copy', '--dest-tls-verify=false', '--preserve-digests', `oci-archive:${archive}`, `docker://${server.host}/${name}-exported:3`);
        assert.equal(await seen(`${name}-exported:3`), record.manifestDigest);
      });
    }
  }
});

describe('an index of two platforms', () => {
  it('is copied whole, and taken in for one of them', async () => {
    const both = await twoPlatforms();
    await skopeo('copy', '--all', '--dest-tls-verify=false', '--preserve-digests', `oci:${both.layout}:both`, `docker://${server.host}/two/both:1`);
    assert.equal(await seen('two/both:1'), both.digest);
    assert.deepEqual(await registries.copy(reference('two/both:1'), reference('two/copy:9')), { digest: both.digest });
    assert.equal(await seen('two/copy:9'), both.digest);
    await skopeo('copy', '--all', '--src-tls-verify=false', '--preserve-digests', `docker://${server.host}/two/copy:9`, `dir:${fs.mkdtempSync(path.join(root, 'dir-'))}`);
    assert.deepEqual(await registries.copy(reference('two/both:1'), reference('two/one:9'), { platform: parsePlatform(`linux/${OTHER}`) }), { digest: both.other.manifestDigest });
    assert.equal(await seen('two/one:9'), both.other.manifestDigest);

    await using store = await freshStore();
    const record = await store.fetchImage(registries.image(reference('two/both:1')));
    assert.deepEqual([record.manifestDigest, record.namedDigest, record.config.env], [both.own.manifestDigest, both.digest, [`A=${ARCHITECTURE}`]]);
    // By the digest of the index, and the layers of the other platform are the same ones: nothing comes twice.
    const told: LayerProgress[] = [];
    const other = await store.fetchImage(registries.image(reference(`two/both@${both.digest}`)), { platform: parsePlatform(OTHER), onLayer: (progress) => told.push(progress) });
    assert.equal(other.manifestDigest, both.other.manifestDigest);
    assert.deepEqual(told.slice(2).map((one) => one.state), ['present', 'present']);
    await registries.push(reference('two/pushed:1'), await store.outgoingImage(other), {});
    assert.equal(await seen('two/pushed:1'), both.other.manifestDigest);
  });
});

describe('an upload that is cut', () => {
  it('goes on, or begins again, and ends with the right digest', async () => {
    await using proxy = await startCuttingProxy(server.host, { afterBytes: 1_000_000, times: 2 });
    const image = sampleImage({ layers: [3_000_000] });
    await registries.push(parseReference(`${proxy.host}/cut/one:1`), image);
    assert.equal(proxy.cuts(), 2);
    assert.equal(await seen('cut/one:1'), image.manifest.digest);
    await using remote = registries.image(reference('cut/one:1'));
    const hash = createHash('sha256');
    for await (const chunk of remote.blob(image.blobs[1]!)) hash.update(chunk);
    assert.equal(`sha256:${hash.digest('hex')}`, image.blobs[1]!.digest);
  });

  it('that is cancelled leaves no name', async () => {
    const image = sampleImage({ layers: [3_000_000] });
    const stop = new AbortController();
    await assert.rejects(registries.push(reference('cut/two:1'), { ...image, async *read(digest) { for await (const chunk of image.read(digest)) { if (digest !== image.blobs[0]!.digest) stop.abort(); yield chunk; } } }, { signal: stop.signal }), { code: 'wrongState' });
    await using remote = registries.image(reference('cut/two:1'));
    await assert.rejects(remote.manifest(), { code: 'notFound' });
  });
});

describe('a login', () => {
  it('gives an identity token, which does instead of the password', async () => {
    const pem = (name: string): string => fileURLToPath(new URL(`../fixtures/etcd-tls/${name}`, import.meta.url));
    const tls = { certFile: pem('server.crt'), keyFile: pem('server.key') };
    await using tokens = await startTokenServer({ ...tls, issuer: 'test', service: 'registry', accounts: { [ACCOUNT.username]: ACCOUNT.password }, identityToken: 'refresh-me' });
    await using guarded = await startDockerRegistry({ token: { realm: tokens.realm, service: 'registry', issuer: 'test', certFile: tls.certFile } });
    await using client = openOciRegistries({ settings: { search: [], hosts: { [guarded.host]: { realms: [tokens.host] } } } });
    const { identityToken } = await client.checkLogin(guarded.host, { username: ACCOUNT.username, password: ACCOUNT.password });
    assert.equal(identityToken, 'refresh-me');
    const image = sampleImage();
    const to = parseReference(`${guarded.host}/a/b:1`);
    await client.push(to, image, { credentials: { [guarded.host]: { identityToken } } });
    await assert.rejects(client.push(to, image, { credentials: { [guarded.host]: { identityToken: 'another' } } }), { code: 'unauthenticated' });
    // Tokens are of one repository and its rights, and a mount asks for both.
    assert.ok(tokens.asked.some((one) => one.scopes.includes('repository:a/b:pull,push')));
    await client.push(parseReference(`${guarded.host}/c/d:1`), image, { credentials: { [guarded.host]: { identityToken } }, mountFrom: () => ['a/b'] });
    assert.ok(tokens.asked.some((one) => one.scopes.length === 2 && one.scopes.includes('repository:a/b:pull')));
    // What is public needs no login.
    await client.push(parseReference(`${guarded.host}/public/x:1`), image, { credentials: { [guarded.host]: { identityToken } } });
    await using anonymous = client.image(parseReference(`${guarded.host}/public/x:1`));
    assert.equal(digestOf(Buffer.from((await anonymous.manifest()).bytes)), image.manifest.digest);
  });
});
