/**
 * D01 D02 D10–D15 and D17 against a registry that lies, with the real store and the jailed unpacker; and bad networks: cut
 * connections, limits of requests, errors, slow drips. Each case goes red when its guard is taken away.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { CONTENT_GUARDS, type ContentGuards } from '../../src/drivers/content/dir/content-guards.ts';
import { openDirContent } from '../../src/drivers/content/dir/dir-content.ts';
import type { ContentStore, FetchedImage } from '../../src/drivers/content/driver.ts';
import { openOciRegistries } from '../../src/drivers/registry/oci/oci-registries.ts';
import { REGISTRY_RULES, type RegistryRules } from '../../src/drivers/registry/oci/rules.ts';
import type { RemoteImage } from '../../src/drivers/registry/driver.ts';
import { DEFAULT_LAYER_LIMITS, type LayerLimits } from '../../src/drivers/unpack/driver.ts';
import { createNativeUnpacker } from '../../src/drivers/unpack/native/native-unpacker.ts';
import { removeTree } from '../../src/host/remove-tree.ts';
import { BerthError } from '../../src/model/errors.ts';
import { parsePlatform } from '../../src/model/platform.ts';
import { parseReference } from '../../src/model/reference.ts';
import { buildImage, digestOf, file, layerTar, type BuiltImage } from '../lib/image-builder.ts';
import { corrupt, cutEvery, drip, send, startLyingRegistry, type LyingRegistry } from '../lib/lying-registry.ts';
import { builtNativeProgram } from '../lib/native-build.ts';
import { goesRed } from '../lib/red.ts';
import { until } from '../lib/until.ts';

const root = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-lies-'));
before(() => builtNativeProgram());
after(() => removeTree(root));

const OCI = 'application/vnd.oci.image';
const MANIFEST = `${OCI}.manifest.v1+json`;
const INDEX = `${OCI}.index.v1+json`;

interface Setting {
  readonly rules?: Partial<RegistryRules>;
  readonly guards?: Partial<ContentGuards>;
  readonly limits?: Partial<LayerLimits>;
}

interface Stage extends AsyncDisposable {
  readonly liar: LyingRegistry;
  readonly store: ContentStore;
  readonly dir: string;
  /** How long it was waited before each new attempt. */
  readonly waitsMs: number[];
  remote(reference: string, signal?: AbortSignal): RemoteImage;
  /** What a pull comes to. */
  pull(reference?: string, signal?: AbortSignal): Promise<FetchedImage | BerthError>;
}

async function stage({ rules, guards, limits }: Setting = {}): Promise<Stage> {
  const dir = fs.mkdtempSync(path.join(root, 'store-'));
  const liar = await startLyingRegistry();
  const waitsMs: number[] = [];
  const registries = openOciRegistries({ rules: { ...REGISTRY_RULES, ...rules }, wait: async (ms) => void waitsMs.push(ms), random: () => 0.5 });
  const store = await openDirContent({ rootDir: path.join(dir, 'images'), layersDir: path.join(dir, 'l'), unpacker: createNativeUnpacker(), guards: { ...CONTENT_GUARDS, ...guards }, layerLimits: { ...DEFAULT_LAYER_LIMITS, ...limits } });
  const remote = (reference: string, signal?: AbortSignal): RemoteImage => registries.image(parseReference(`${liar.host}/${reference}`), { signal });
  return {
    liar, store, dir, waitsMs, remote,
    pull: (reference = 'a:1', signal) => store.fetchImage(remote(reference, signal), { signal }).catch((error: unknown) => {
      if (error instanceof BerthError) return error;
      throw error;
    }),
    async [Symbol.asyncDispose]() {
      for (const one of [registries, store, liar]) await one[Symbol.asyncDispose]();
      await removeTree(dir);
    },
  };
}

function refused(result: FetchedImage | BerthError, code: string, words: RegExp): void {
  assert.ok(result instanceof BerthError, 'it was taken');
  assert.equal(result.code, code, result.message);
  assert.match(result.message, words);
}

function taken(result: FetchedImage | BerthError): FetchedImage {
  if (result instanceof BerthError) assert.fail(result.stack);
  return result;
}

/** A case, and the same case without one guard. */
function guarded(name: string, work: (setting: Setting) => Promise<void>, without: Setting): void {
  it(name, () => work({}));
  it(`${name}: red without its guard`, () => goesRed(() => work(without)));
}

/** For documents: what a client would do that believes what it reads. */
const believing: Pick<ContentGuards, 'parseManifest' | 'parseIndex' | 'parseConfig'> = {
  parseManifest(bytes, mediaType) {
    const manifest = JSON.parse(Buffer.from(bytes).toString()) as { config: never; layers: { mediaType: string }[] };
    return { mediaType: mediaType ?? MANIFEST, config: manifest.config, layers: manifest.layers.map((layer) => ({ ...layer, compression: layer.mediaType.endsWith('gzip') ? 'gzip' : 'none' })) as never };
  },
  parseIndex: (bytes) => (JSON.parse(Buffer.from(bytes).toString()) as { manifests: never }).manifests,
  parseConfig(bytes) {
    const { config = {}, rootfs } = JSON.parse(Buffer.from(bytes).toString()) as { config?: { Env?: string[] }; rootfs: { diff_ids: string[] } };
    return { diffIds: rootfs.diff_ids, config: { architecture: 'amd64', os: 'linux', entrypoint: [], command: [], env: config.Env ?? [], workdir: '', user: '', exposedPorts: [], volumes: [], labels: {} } };
  },
};

const noise = (bytes: number): Buffer => {
  const content = Buffer.alloc(bytes);
  for (let i = 0, x = 1; i < bytes; i++) content[i] = (x = (x * 48271) % 2147483647) & 0xff;
  return content;
};
const LAYER = layerTar([file('hello', noise(5000))]);
const honest = (parts: Partial<Parameters<typeof buildImage>[0]> = {}): BuiltImage => buildImage({ layers: [LAYER], compression: 'gzip', ...parts });
const configOf = (image: BuiltImage): string => image.configDigest;
/** What has no end must have one where its guard is taken away. */
const ENDLESS_BYTES = 64 * 1024 * 1024;
const layerOf = (image: BuiltImage): string => image.blobs[0]!;

async function empty(open: Stage): Promise<void> {
  await open.store.sweep({ blobs: new Set(), diffIds: new Set(), imageFiles: new Set(), disks: new Set() });
  const { blobs, layers } = await open.store.usage();
  assert.deepEqual({ blobs, layers, partial: fs.readdirSync(path.join(open.dir, 'images', 'partial')) }, { blobs: 0, layers: 0, partial: [] }, 'nothing of it was kept');
}

describe('an honest registry', () => {
  it('gives an image', async () => {
    await using open = await stage();
    const image = honest();
    open.liar.add(image, '1');
    const record = taken(await open.pull());
    assert.deepEqual([record.manifestDigest, record.namedDigest, record.layers[0]!.diffId], [image.manifestDigest, image.manifestDigest, image.diffIds[0]]);
    assert.ok(fs.existsSync(path.join(open.store.layerPath(image.diffIds[0]!), 'hello')));
  });
});

describe('D01: other bytes than the digest says', () => {
  for (const [what, digest] of [['a layer', layerOf], ['a config', configOf]] as const) {
    guarded(what, async (setting) => {
      await using open = await stage(setting);
      const image = honest({ config: { config: { Labels: { note: 'x'.repeat(400) } } } });
      open.liar.add(image, '1');
      const name = digest(image);
      open.liar.blobs.set(name, corrupt(open.liar.blobs.get(name)!));
      refused(await open.pull(), 'invalid', new RegExp(`The bytes have digest sha256:[0-9a-f]{64}, not ${name}`));
      await empty(open);
    }, { guards: { isDigest: () => true } });
  }

  guarded('a manifest that was asked for by digest', async (setting) => {
    await using open = await stage(setting);
    const [asked, given] = [honest(), honest({ config: { config: { Env: ['EVIL=1'] } } })];
    open.liar.add(given);
    open.liar.add(asked);
    open.liar.manifests.set(asked.manifestDigest, open.liar.manifests.get(given.manifestDigest)!);
    refused(await open.pull(`a@${asked.manifestDigest}`), 'invalid', /has digest sha256:[0-9a-f]{64}, not sha256/);
    await empty(open);
  }, { guards: { isDigest: () => true } });

  guarded('the child of an index', async (setting) => {
    await using open = await stage(setting);
    const [asked, given] = [honest(), honest({ config: { config: { Env: ['EVIL=1'] } } })];
    open.liar.add(given);
    open.liar.add(asked);
    const size = open.liar.manifests.get(asked.manifestDigest)!.bytes.length;
    open.liar.manifests.set(asked.manifestDigest, open.liar.manifests.get(given.manifestDigest)!);
    open.liar.addManifest({ schemaVersion: 2, mediaType: INDEX, manifests: [{ mediaType: MANIFEST, digest: asked.manifestDigest, size }] }, INDEX, '1');
    refused(await open.pull(), 'invalid', /has digest sha256:[0-9a-f]{64}, not sha256/);
  }, { guards: { isDigest: () => true, isSize: () => true } });

  guarded('a diffID that is that of other bytes', async (setting) => {
    await using open = await stage(setting);
    const image = honest({ config: { rootfs: { type: 'layers', diff_ids: [digestOf('other')] } } });
    open.liar.add(image, '1');
    refused(await open.pull(), 'invalid', /diffID/);
    await empty(open);
  }, { guards: { isDiffId: () => true } });
});

describe('D02: more or less than the size says', () => {
  const longer = (open: Stage, image: BuiltImage, bytes: number): void => {
    const name = layerOf(image);
    const more = Buffer.concat([open.liar.blobs.get(name)!, Buffer.alloc(bytes)]);
    open.liar.lie = (ask, response) => {
      if (!ask.path.endsWith(name)) return false;
      response.writeHead(200, { 'content-type': 'application/octet-stream' });
      response.end(more);
      return true;
    };
  };

  guarded('what is handed on ends at the size', async (setting) => {
    await using open = await stage(setting);
    const image = honest();
    open.liar.add(image, '1');
    const size = open.liar.blobs.get(layerOf(image))!.length;
    longer(open, image, 300_000);
    await using remote = open.remote('a:1');
    let got = 0;
    const failure = await (async () => { for await (const chunk of remote.blob({ digest: layerOf(image), size })) got += chunk.length; })().then(() => undefined, (error: unknown) => error);
    assert.ok(got <= size, `${got} of ${size} bytes`);
    assert.ok(failure instanceof BerthError && failure.code === 'invalid', String(failure));
  }, { rules: { isBeyond: () => false } });

  guarded('what is announced is compared before it comes', async (setting) => {
    await using open = await stage(setting);
    const image = honest();
    open.liar.add(image, '1');
    const name = layerOf(image);
    const size = open.liar.blobs.get(name)!.length;
    open.liar.lie = (ask, response) => {
      if (!ask.path.endsWith(name)) return false;
      send(response, ask, Buffer.concat([open.liar.blobs.get(name)!, Buffer.alloc(10)]), 'application/octet-stream');
      return true;
    };
    await using remote = open.remote('a:1');
    const failure = await (async () => { for await (const _ of remote.blob({ digest: name, size })) { /* counted elsewhere */ } })().then(() => undefined, (error: unknown) => error);
    assert.ok(failure instanceof BerthError && /announces/.test(failure.message), String(failure));
  }, { rules: { isBeyond: () => false } });

  guarded('the store counts for itself', async (setting) => {
    await using open = await stage(setting);
    const image = honest();
    open.liar.add(image, '1');
    const source = open.remote('a:1');
    const lying: RemoteImage = { ...source, async *blob(blob, offset, signal) { yield* source.blob(blob, offset, signal); if (blob.digest === layerOf(image)) yield Buffer.alloc(1); } };
    refused(await open.store.fetchImage(lying, {}).catch((error: unknown) => error as BerthError), 'invalid', /more than the \d+ that they may be/);
    await empty(open);
  }, { guards: { isSize: () => true } });

  guarded('a blob without an end', async (setting) => {
    await using open = await stage(setting);
    const image = honest();
    open.liar.add(image, '1');
    let sent = 0;
    open.liar.lie = (ask, response) => {
      if (!ask.path.endsWith(layerOf(image))) return false;
      response.writeHead(200);
      const more = (): void => {
        while (!response.destroyed && sent < ENDLESS_BYTES) {
          sent += 65_536;
          if (!response.write(Buffer.alloc(65_536))) return;
        }
        response.end();
      };
      response.on('drain', more);
      more();
      return true;
    };
    refused(await open.pull(), 'invalid', /more than/);
    assert.ok(sent < ENDLESS_BYTES / 2, `${sent} bytes were sent`);
    await empty(open);
  }, { rules: { isBeyond: () => false }, guards: { isSize: () => true } });

  guarded('the store notices an end that is early', async (setting) => {
    await using open = await stage(setting);
    const image = honest();
    open.liar.add(image, '1');
    const source = open.remote('a:1');
    const lying: RemoteImage = { ...source, async *blob(blob, offset, signal) { for await (const chunk of source.blob(blob, offset, signal)) yield blob.digest === layerOf(image) ? chunk.subarray(0, 100) : chunk; } };
    refused(await open.store.fetchImage(lying, {}).catch((error: unknown) => error as BerthError), 'invalid', /The bytes are 100, not \d+/);
    await empty(open);
  }, { guards: { isSize: () => true } });

  it('a blob that ends early, each time', async () => {
    await using open = await stage();
    const image = honest();
    open.liar.add(image, '1');
    const name = layerOf(image);
    open.liar.blobs.set(name, open.liar.blobs.get(name)!.subarray(0, 100));
    refused(await open.pull(), 'invalid', /of the \d+ bytes|range/);
  });

  for (const size of [-1, 2 ** 53, 1.5, '10', null]) {
    guarded(`a size of ${String(size)}`, async (setting) => {
      await using open = await stage(setting);
      const image = honest();
      open.liar.add(image);
      const manifest = JSON.parse(Buffer.from(open.liar.manifests.get(image.manifestDigest)!.bytes).toString()) as { layers: { size: unknown }[] };
      manifest.layers[0]!.size = size;
      open.liar.addManifest(manifest, MANIFEST, '1');
      refused(await open.pull(), 'invalid', /manifest was refused: layers\.0\.size/);
    }, { guards: believing });
  }
});

describe('D10: layers that grow', () => {
  guarded('a bomb that came from a registry', async (setting) => {
    await using open = await stage(setting);
    open.liar.add(honest({ layers: [layerTar([file('zeros', Buffer.alloc(120 * 1024 * 1024))])] }), '1');
    refused(await open.pull(), 'exhausted', /ratio|times|compress/i);
    assert.equal((await open.store.usage()).layers, 0);
  }, { limits: { maxRatio: 1e9 } });
});

describe('D11: documents that are too much', () => {
  guarded('a manifest of 5 MiB', async (setting) => {
    await using open = await stage(setting);
    open.liar.addManifest(JSON.stringify({ schemaVersion: 2, x: 'x'.repeat(5 * 1024 * 1024) }), MANIFEST, '1');
    await using remote = open.remote('a:1');
    const failure = await remote.manifest().then(() => undefined, (error: unknown) => error);
    assert.ok(failure instanceof BerthError && failure.code === 'invalid', String(failure));
  }, { rules: { maxManifestBytes: 1e9 } });

  const image = honest({ config: { rootfs: { type: 'layers', diff_ids: Array.from({ length: 129 }, () => digestOf(LAYER)) } } });
  const manifest = JSON.parse(Buffer.from(image.files.get(`blobs/sha256/${image.manifestDigest.slice(7)}`)!).toString()) as Record<string, unknown> & { layers: unknown[] };
  const text = JSON.stringify(manifest);
  const odd: Readonly<Record<string, string>> = {
    'a key twice': text.replace('{', '{"config":{},'),
    'a key that reaches the prototype': text.replace('{', '{"__proto__":{"x":1},'),
    'a list of lists of lists': text.replace('{', `{"deep":${'['.repeat(5000)}${']'.repeat(5000)},`),
    'a number that is none': text.replace('{', '{"n":1e400,"layers":1e400,').replace(/,"layers":\[.*\]/, ''),
    'too many layers': JSON.stringify({ ...manifest, layers: Array.from({ length: 129 }, () => manifest.layers[0]) }),
  };
  for (const [name, document] of Object.entries(odd)) {
    guarded(name, async (setting) => {
      await using open = await stage(setting);
      open.liar.add(image);
      open.liar.addManifest(document, MANIFEST, '1');
      const result = await open.pull().catch((error: unknown) => assert.fail(`it broke: ${String(error)}`));
      refused(result, 'invalid', /manifest was refused/);
    }, { guards: believing });
  }

  guarded('indexes within indexes', async (setting) => {
    await using open = await stage(setting);
    const single = honest();
    open.liar.add(single);
    let inner: unknown = { mediaType: MANIFEST, digest: single.manifestDigest, size: open.liar.manifests.get(single.manifestDigest)!.bytes.length };
    for (const tag of ['3', '2', '1']) inner = open.liar.addManifest({ schemaVersion: 2, mediaType: INDEX, manifests: [inner] }, INDEX, tag);
    taken(await open.pull('a:2'));
    refused(await open.pull('a:1'), 'invalid', /nested too deep/);
  }, { guards: { maxNestedIndexes: 99 } });
});

describe('D12: one document, two meanings', () => {
  const image = honest();
  const own = JSON.parse(Buffer.from(image.files.get(`blobs/sha256/${image.manifestDigest.slice(7)}`)!).toString()) as Record<string, unknown>;
  const cases: Readonly<Record<string, readonly [unknown, string, RegExp]>> = {
    'layers and manifests': [{ ...own, manifests: [] }, MANIFEST, /manifests/],
    'another type than the head of the answer says': [{ ...own, mediaType: MANIFEST }, 'application/vnd.docker.distribution.manifest.v2+json', /says that it is/],
    'an index that says that it is a manifest': [{ ...own, mediaType: INDEX }, MANIFEST, /says that it is/],
  };
  for (const [name, [document, mediaType, words]] of Object.entries(cases)) {
    guarded(name, async (setting) => {
      await using open = await stage(setting);
      open.liar.add(image);
      open.liar.addManifest(document, mediaType, '1');
      refused(await open.pull(), 'invalid', words);
    }, { guards: believing });
  }

  guarded('a config that is something else', async (setting) => {
    await using open = await stage(setting);
    open.liar.add(image);
    open.liar.addManifest({ ...own, config: { ...(own['config'] as object), mediaType: 'application/vnd.cncf.helm.config.v1+json' } }, MANIFEST, '1');
    refused(await open.pull(), 'unsupported', /not that of an image/);
  }, { guards: believing });
});

describe('D13: layers from elsewhere, and schema 1', () => {
  const image = honest();
  const own = JSON.parse(Buffer.from(image.files.get(`blobs/sha256/${image.manifestDigest.slice(7)}`)!).toString()) as { layers: Record<string, unknown>[] };
  for (const [name, change, code] of [
    ['a layer with addresses', { urls: ['http://127.0.0.1:1/x'] }, 'invalid'],
    ['a foreign layer', { mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip' }, 'unsupported'],
  ] as const) {
    guarded(name, async (setting) => {
      await using open = await stage(setting);
      open.liar.add(image);
      open.liar.addManifest({ ...own, layers: [{ ...own.layers[0], ...change }] }, MANIFEST, '1');
      refused(await open.pull(), code, /layer/);
      assert.equal(open.liar.asked.filter((one) => one.path.includes('/blobs/')).length, 0, 'nothing of it was fetched');
    }, { guards: believing });
  }

  guarded('schema 1', async (setting) => {
    await using open = await stage(setting);
    open.liar.addManifest({ schemaVersion: 1, name: 'a', fsLayers: [] }, 'application/vnd.docker.distribution.manifest.v1+prettyjws', '1');
    refused(await open.pull(), 'unsupported', /schema 1/);
  }, { rules: { manifestType: () => MANIFEST } });
});

describe('D14: platforms and digests', () => {
  for (const digest of [`sha512:${'a'.repeat(128)}`, `sha256:${'A'.repeat(64)}`, `sha256:${'a'.repeat(63)}`, `sha256:../../../${'a'.repeat(55)}`]) {
    guarded(`the digest ${digest.slice(0, 24)}`, async (setting) => {
      await using open = await stage(setting);
      const image = honest();
      open.liar.add(image);
      const manifest = JSON.parse(Buffer.from(open.liar.manifests.get(image.manifestDigest)!.bytes).toString()) as { layers: { digest: string }[] };
      manifest.layers[0]!.digest = digest;
      open.liar.addManifest(manifest, MANIFEST, '1');
      refused(await open.pull(), 'invalid', /layers\.0\.digest/);
    }, { guards: believing });

    guarded(`the digest ${digest.slice(0, 24)}, believed by whoever read the manifest: nobody is asked for it`, async (setting) => {
      await using open = await stage(setting);
      await using remote = open.remote('a:1');
      const failure = await (async () => { for await (const _ of remote.blob({ digest, size: 10 })) { /* none may come */ } })().then(() => undefined, (error: unknown) => error);
      assert.deepEqual(open.liar.asked, []);
      assert.ok(failure instanceof BerthError && /A digest must be sha256: and 64/.test(failure.message), String(failure));
    }, { rules: { isDigest: () => true } });
  }

  for (const [name, config, code] of [
    ['another architecture', { architecture: 's390x' }, 'unsupported'],
    ['another system', { os: 'windows' }, 'unsupported'],
    ['fewer diffIDs than layers', { rootfs: { type: 'layers', diff_ids: [] } }, 'invalid'],
  ] as const) {
    guarded(name, async (setting) => {
      await using open = await stage(setting);
      open.liar.add(honest({ config }), '1');
      refused(await open.pull(), code, /The image/);
    }, { guards: believing });
  }

  it('the platform of an index, and another one that is asked for', async () => {
    await using open = await stage();
    const [amd, arm] = [honest(), honest({ config: { architecture: 'arm64' } })];
    const entry = (image: BuiltImage, architecture: string, variant?: string) => {
      open.liar.add(image);
      return { mediaType: MANIFEST, digest: image.manifestDigest, size: open.liar.manifests.get(image.manifestDigest)!.bytes.length, platform: { os: 'linux', architecture, ...(variant === undefined ? {} : { variant }) } };
    };
    const unknown = { ...entry(amd, 'unknown'), platform: { os: 'unknown', architecture: 'unknown' } };
    const index = open.liar.addManifest({ schemaVersion: 2, mediaType: INDEX, manifests: [unknown, entry(arm, 'arm64', 'v8'), entry(amd, 'amd64')] }, INDEX, '1');
    const own = process.arch === 'arm64' ? arm : amd;
    const record = taken(await open.pull());
    assert.deepEqual([record.manifestDigest, record.namedDigest], [own.manifestDigest, index.digest]);
    assert.equal((await open.store.fetchImage(open.remote('a:1'), { platform: parsePlatform('linux/arm64') })).manifestDigest, arm.manifestDigest);
    refused(await open.store.fetchImage(open.remote('a:1'), { platform: parsePlatform('linux/riscv64') }).catch((error: unknown) => error as BerthError), 'unsupported', /not there for linux\/riscv64/);
  });

  it('one layer twice', async () => {
    await using open = await stage();
    const image = honest({ layers: [LAYER, LAYER] });
    open.liar.add(image, '1');
    assert.equal(taken(await open.pull()).layers.length, 2);
    assert.equal(open.liar.asked.filter((one) => one.path.endsWith(layerOf(image))).length, 1);
  });
});

describe('D15: configs that want something', () => {
  const cases: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
    'a variable without a name': { Env: ['=x'] },
    'a million variables': { Env: Array.from({ length: 100_000 }, (_, i) => `A${i}=`) },
    'a volume that leads out': { Volumes: { '/../../etc': {} } },
    'a working directory that leads out': { WorkingDir: '/a/../../etc' },
    'a signal that is none': { StopSignal: '9999' },
    'a user with a line feed': { User: 'root\nroot:x:0:0' },
  };
  for (const [name, config] of Object.entries(cases)) {
    guarded(name, async (setting) => {
      await using open = await stage(setting);
      open.liar.add(honest({ config: { config } }), '1');
      refused(await open.pull(), 'invalid', /config was refused/);
    }, { guards: believing });
  }
});

describe('D17: many at once', () => {
  guarded('D17: fifty pulls of one reference are one download', async (setting) => {
    await using open = await stage(setting);
    const image = honest({ layers: [LAYER, layerTar([file('big', noise(400_000))])] });
    open.liar.add(image, '1');
    const records = await Promise.all(Array.from({ length: 50 }, () => open.pull()));
    for (const record of records) assert.equal(taken(record).manifestDigest, image.manifestDigest);
    const counts = [...new Set(open.liar.asked.filter((one) => /manifests|blobs/.test(one.path)).map((one) => one.path))].map((one) => open.liar.asked.filter((ask) => ask.path === one).length);
    assert.deepEqual(counts, counts.map(() => 1));
  }, { guards: { shares: false } });

  it('one of them leaves, the others do not notice', async () => {
    await using open = await stage();
    const image = honest({ layers: [layerTar([file('big', noise(1_000_000))])] });
    open.liar.add(image, '1');
    const leaver = new AbortController();
    open.liar.lie = (ask) => {
      if (ask.path.endsWith(layerOf(image))) leaver.abort();
      return false;
    };
    const [left, stayed] = await Promise.all([open.pull('a:1', leaver.signal), open.pull()]);
    refused(left, 'wrongState', /cancelled/);
    taken(stayed);
  });

  it('a registry that lies does not spoil the pull of another from an honest one', async () => {
    await using open = await stage();
    await using other = await startLyingRegistry();
    const image = honest({ layers: [layerTar([file('big', noise(300_000))])] });
    for (const registry of [open.liar, other]) registry.add(image, '1');
    const name = layerOf(image);
    open.liar.blobs.set(name, corrupt(open.liar.blobs.get(name)!));
    const registries = openOciRegistries();
    const [bad, good] = await Promise.all([open.pull(), open.store.fetchImage(registries.image(parseReference(`${other.host}/a:1`)))]);
    refused(bad, 'invalid', /digest/);
    assert.equal(good.manifestDigest, image.manifestDigest);
  });

  it('a registry that drips does not hold up a pull of the same layer from another', async () => {
    await using open = await stage();
    await using other = await startLyingRegistry();
    const image = honest({ layers: [layerTar([file('big', noise(300_000))])] });
    for (const registry of [open.liar, other]) registry.add(image, '1');
    // Fast at first, so that its layer is begun early.
    const name = layerOf(image);
    const whole = open.liar.blobs.get(name)!;
    open.liar.lie = (ask, response) => ask.path.endsWith(name) && (response.writeHead(200, { 'content-length': whole.length }), response.write(whole.subarray(0, 280_000)), true);
    const stop = new AbortController();
    const slow = open.pull('a:1', stop.signal);
    const partial = path.join(open.dir, 'images', 'partial', name.slice(7));
    await until(() => fs.existsSync(partial) && fs.statSync(partial).size >= 262_144, { what: 'a part of the blob' });
    const registries = openOciRegistries();
    assert.equal((await open.store.fetchImage(registries.image(parseReference(`${other.host}/a:1`)))).manifestDigest, image.manifestDigest);
    stop.abort();
    refused(await slow, 'wrongState', /cancelled/);
    await until(() => fs.readdirSync(path.join(open.dir, 'images', 'ingest')).length === 0 && fs.readdirSync(path.join(open.dir, 'l')).join() === image.diffIds[0]!.slice(7, 19), { what: 'an end without a rest' });
  });

  it('nothing is visible before it is whole, and a second pull goes on where the first ended', async () => {
    await using open = await stage();
    const image = honest({ layers: [layerTar([file('big', noise(1_000_000))])] });
    open.liar.add(image, '1');
    const name = layerOf(image);
    const whole = open.liar.blobs.get(name)!;
    open.liar.lie = (ask, response) => {
      if (!ask.path.endsWith(name)) return false;
      response.writeHead(200, { 'content-length': whole.length });
      response.write(whole.subarray(0, 400_000));
      return true;
    };
    const stop = new AbortController();
    const pull = open.pull('a:1', stop.signal);
    const partial = path.join(open.dir, 'images', 'partial', name.slice(7));
    await until(() => fs.existsSync(partial) && fs.statSync(partial).size >= 262_144, { what: 'a part of the blob' });
    assert.equal(await open.store.hasBlob(name), false);
    stop.abort();
    refused(await pull, 'wrongState', /cancelled/);
    assert.equal(await open.store.hasBlob(name), false);
    const kept = fs.statSync(partial).size;
    open.liar.lie = undefined;
    taken(await open.pull());
    assert.equal(open.liar.asked.at(-1)!.headers.range, `bytes=${kept}-`);
    assert.deepEqual(fs.readdirSync(path.dirname(partial)), []);
  });

  it('a part that is wrong is fetched again', async () => {
    await using open = await stage();
    const image = honest({ layers: [layerTar([file('big', noise(1_000_000))])] });
    open.liar.add(image, '1');
    fs.writeFileSync(path.join(open.dir, 'images', 'partial', layerOf(image).slice(7)), noise(300_001).subarray(1));
    taken(await open.pull());
  });

  it('parts are swept when everything unused is', async () => {
    await using open = await stage();
    const partial = path.join(open.dir, 'images', 'partial', 'a'.repeat(64));
    const nothing = { blobs: new Set<string>(), diffIds: new Set<string>(), imageFiles: new Set<string>(), disks: new Set<string>() };
    fs.writeFileSync(partial, 'x');
    await open.store.sweep(nothing);
    assert.ok(fs.existsSync(partial));
    await open.store.sweep(nothing, { arrivals: true });
    assert.ok(!fs.existsSync(partial));
    fs.writeFileSync(partial, 'x');
    fs.utimesSync(partial, 0, 0);
    await open.store.sweep(nothing);
    assert.ok(!fs.existsSync(partial), 'too old');
  });
});

describe('bad networks', () => {
  const big = honest({ layers: [layerTar([file('big', noise(3_000_000))])], compression: 'none' });

  guarded('cut at every 64 KiB', async (setting) => {
    await using open = await stage(setting);
    open.liar.add(big, '1');
    open.liar.lie = cutEvery(open.liar, 65_536);
    assert.equal(taken(await open.pull()).manifestDigest, big.manifestDigest);
    assert.ok(open.liar.asked.filter((one) => one.headers.range !== undefined).length >= 45);
    assert.ok(open.waitsMs.every((ms) => ms === 0), 'a connection that was useful is taken up again at once');
  }, { rules: { retries: 0 } });

  guarded('cut at every 64 KiB by a registry that knows no ranges', async (setting) => {
    await using open = await stage(setting);
    const image = honest({ layers: [layerTar([file('big', noise(200_000))])], compression: 'none' });
    open.liar.add(image, '1');
    const name = layerOf(image);
    const whole = open.liar.blobs.get(name)!;
    open.liar.lie = (ask, response) => {
      if (!ask.path.endsWith(name)) return false;
      response.writeHead(200, { 'content-length': whole.length });
      const end = 65_536 * (ask.before + 1);
      response.write(whole.subarray(0, end), () => (end < whole.length ? response.destroy() : response.end()));
      return true;
    };
    taken(await open.pull());
  }, { rules: { retries: 0 } });

  guarded('a limit of requests that says when to come back', async (setting) => {
    await using open = await stage(setting);
    open.liar.add(big, '1');
    open.liar.lie = (ask, response) => {
      if (ask.before > 0) return false;
      response.writeHead(429, { 'retry-after': '7' }).end();
      return true;
    };
    taken(await open.pull());
    assert.deepEqual(open.waitsMs.filter((ms) => ms === 7000).length, 3, 'manifest, config and layer');
  }, { rules: { retries: 0 } });

  guarded('a limit of requests that asks for a day', async (setting) => {
    await using open = await stage(setting);
    open.liar.add(big, '1');
    open.liar.lie = (ask, response) => {
      if (ask.before > 0) return false;
      response.writeHead(429, { 'retry-after': '86400' }).end();
      return true;
    };
    const result = await open.pull();
    refused(result, 'exhausted', /asked too often, and wants 86400 s/);
    assert.deepEqual(open.waitsMs, []);
  }, { rules: { maxRetryAfterMs: Infinity, maxWaitMs: Infinity } });

  for (const status of [500, 502, 503, 504]) {
    guarded(`${status}, and then well`, async (setting) => {
      await using open = await stage(setting);
      open.liar.add(big, '1');
      open.liar.lie = (ask, response) => {
        if (ask.before > 1) return false;
        response.writeHead(status).end('<html>');
        return true;
      };
      taken(await open.pull());
      assert.ok(open.waitsMs.some((ms) => ms >= 250), 'it was waited in between');
    }, { rules: { retries: 0 } });
  }

  guarded('errors without an end are an error', async (setting) => {
    await using open = await stage(setting);
    open.liar.lie = (_ask, response) => (response.writeHead(503).end(), true);
    refused(await open.pull(), 'unavailable', /said 503/);
    assert.ok(open.liar.asked.length <= 6, `${open.liar.asked.length} requests`);
  }, { rules: { retries: 1000 } });

  guarded('errors that ask for a minute each are an error after three minutes', async (setting) => {
    await using open = await stage(setting);
    open.liar.lie = (_ask, response) => (response.writeHead(503, { 'retry-after': '60' }).end(), true);
    refused(await open.pull(), 'unavailable', /said 503/);
    assert.ok(open.waitsMs.reduce((sum, ms) => sum + ms, 0) <= 180_000, open.waitsMs.join());
  }, { rules: { maxWaitMs: Infinity } });

  guarded('a page where a manifest should be', async (setting) => {
    await using open = await stage(setting);
    open.liar.add(big, '1');
    open.liar.manifests.set('1', { ...open.liar.manifests.get('1')!, mediaType: 'text/html; charset=utf-8' });
    refused(await open.pull(), 'invalid', /text\/html/);
  }, { rules: { manifestType: () => MANIFEST } });

  guarded('a slow drip', async (setting) => {
    const rules = { pace: { idleMs: 2000, windowMs: 200, minBytesPerSecond: 10_000 }, ...setting.rules };
    await using open = await stage({ ...setting, rules });
    const image = honest({ layers: [layerTar([file('a', 'a')])] });
    open.liar.add(image, '1');
    open.liar.lie = drip(open.liar, 4);
    refused(await open.pull(), 'timeout', /too slowly/);
  }, { rules: { pace: { idleMs: 2000, windowMs: 200, minBytesPerSecond: 0 } } });

  guarded('silence', async (setting) => {
    const rules = { pace: { idleMs: 100, windowMs: 60_000, minBytesPerSecond: 0 }, ...setting.rules };
    await using open = await stage({ ...setting, rules });
    const image = honest();
    open.liar.add(image, '1');
    const name = layerOf(image);
    open.liar.lie = (ask, response) => {
      if (!ask.path.endsWith(name)) return false;
      const whole = open.liar.blobs.get(name)!;
      response.writeHead(200, { 'content-length': whole.length });
      response.write(whole.subarray(0, 50));
      setTimeout(() => response.end(whole.subarray(50)), 1000);
      return true;
    };
    refused(await open.pull(), 'timeout', /no byte came/);
  }, { rules: { pace: { idleMs: 10_000, windowMs: 60_000, minBytesPerSecond: 0 } } });

  guarded('a compressed answer that was not asked for', async (setting) => {
    await using open = await stage(setting);
    const image = honest();
    open.liar.add(image, '1');
    open.liar.lie = (ask, response) => {
      if (!ask.path.endsWith(layerOf(image))) return false;
      response.writeHead(200, { 'content-encoding': 'gzip' }).end('x');
      return true;
    };
    refused(await open.pull(), 'invalid', /encoded as gzip/);
  }, { rules: { isPlain: () => true } });

  it('a head without an end', async () => {
    await using open = await stage();
    open.liar.lie = (_ask, response) => (response.socket!.end(`HTTP/1.1 200 OK\r\n${'x-filler: y\r\n'.repeat(20_000)}\r\n`), true);
    refused(await open.pull(), 'invalid', /too large/);
  });
});
