/**
 * Garbage collection under a storm: pulls, imports, deletes, prunes and runs, fifty at once, with the daemon killed at
 * moments that nobody chose. Nothing that is in use is lost, and after a prune nothing is left that nothing uses.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { TestDaemon, type Answer } from '../lib/daemon.ts';
import { startDockerRegistry, type DockerRegistry } from '../lib/docker-registry.ts';
import { berth } from '../lib/cli.ts';
import { buildImage, file, layerTar, writeLayout } from '../lib/image-builder.ts';
import { until } from '../lib/until.ts';

const HOST = '127.0.0.1:5000';
const IMAGES = 8;
const AT_ONCE = 50;
const ROUNDS = 8;
const MOST_INSTANCES = 12;
const P = '/v1/projects/default';
const WAIT = 'waitMs=60000';
const nameOf = (index: number): string => `${HOST}/storm/app${index}:1`;

/** A linear congruential generator: the same seed, the same acts. */
function dice(seed: number): (faces: number) => number {
  let state = seed >>> 0;
  return (faces) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * faces);
  };
}

describe('a storm of pulls, deletes, prunes and runs', () => {
  let daemon: TestDaemon;
  let registry: DockerRegistry;
  let made = 0;

  before(async () => {
    daemon = await TestDaemon.start();
    registry = await startDockerRegistry({ enter: daemon.enter, below: daemon.base, port: 5000 });
    await daemon.bootstrapBusybox();
    const root = path.join(daemon.base, 'root.tar');
    const exported = await berth(daemon, ['image', 'export', '--format', 'rootfs', 'busybox', root]);
    assert.equal(exported.code, 0, exported.stderr);
    // One layer for all, one for every two, one of its own: large enough that a kill meets it under way.
    const layers = [fs.readFileSync(root)];
    for (let index = 0; index < IMAGES; index++) {
      const pair = layerTar([file(`pair${index >> 1}`, Buffer.alloc(2 << 20, index >> 1))]);
      const own = layerTar([file('marker', `image ${index}`), file(`own${index}`, Buffer.alloc(1 << 20, index))]);
      const layout = path.join(daemon.base, `layout${index}`);
      await writeLayout(buildImage({ layers: [layers[0]!, pair, own], compression: index % 2 === 0 ? 'gzip' : 'none', name: 'x' }), layout);
      await daemon.fromTheHost(['skopeo', 'copy', '--quiet', '--dest-tls-verify=false', `oci:${layout}:x`, `docker://${nameOf(index)}`], 60_000);
      fs.rmSync(layout, { recursive: true });
    }
    fs.rmSync(root);
    await daemon.ok('DELETE', `${P}/images/-/delete?reference=busybox&force=1`);
  });
  after(async () => {
    await registry?.[Symbol.asyncDispose]();
    await daemon?.[Symbol.asyncDispose]();
  });

  const pull = (index: number): Promise<Answer> => daemon.request('POST', `${P}/images/-/pull?${WAIT}`, { reference: nameOf(index) });
  const instances = async (): Promise<any[]> => (await daemon.ok('GET', `${P}/instances`)).items; // eslint-disable-line -- objects of every shape

  async function run(index: number): Promise<void> {
    await pull(index);
    await daemon.request('POST', `${P}/instances?${WAIT}`, { meta: { name: `run${made++}`, labels: { image: String(index) } }, spec: { image: nameOf(index), running: true, command: ['sleep', '1000'], stopSignal: 'SIGKILL', networks: [] } });
  }

  async function act(roll: (faces: number) => number): Promise<unknown> {
    const index = roll(IMAGES);
    switch (roll(10)) {
      case 0: case 1: case 2: case 3: return pull(index);
      case 4: case 5: return made % MOST_INSTANCES === MOST_INSTANCES - 1 ? pull(index) : run(index);
      case 6: return daemon.request('DELETE', `${P}/images/-/delete?reference=${encodeURIComponent(nameOf(index))}&force=1`);
      case 7: return daemon.request('POST', `${P}/images/-/prune`, { all: roll(2) === 0 });
      case 8: return pull(index).then(() => daemon.request('POST', `${P}/images/-/tag`, { reference: nameOf(index), newReference: `kept:${roll(4)}` }));
      default: {
        const all = await instances();
        return all.length < 3 ? pull(index) : daemon.request('DELETE', `${P}/instances/${all[roll(all.length)].meta.name}?force=1&${WAIT}`);
      }
    }
  }

  /** What runs sees all of its image; what is there can be read whole, and is made again from nothing. */
  async function assertNothingLost(): Promise<{ readonly running: number; readonly images: number }> {
    let running = 0;
    for (const one of await instances()) {
      if (one.status.state !== 'running') continue;
      const seen = await berth(daemon, ['exec', one.meta.name, 'cat', '/marker']);
      assert.equal(seen.stdout, `image ${one.meta.labels.image}`, `${one.meta.name}: ${seen.stderr}`);
      const size = await berth(daemon, ['exec', one.meta.name, 'wc', '-c', `/pair${one.meta.labels.image >> 1}`, `/own${one.meta.labels.image}`]);
      assert.match(size.stdout, /3145728 total/, size.stderr);
      running++;
    }
    const { items } = await daemon.ok('GET', `${P}/images`);
    for (const image of items) {
      for (const digest of [image.status.digest, image.status.configDigest, ...image.status.layers.map((layer: { digest: string }) => layer.digest)]) {
        assert.ok(fs.existsSync(path.join(daemon.rootDir, 'images/blobs/sha256', digest.slice(7))), `${image.spec.references.join()}: ${digest} is gone`);
      }
      const trees = fs.readdirSync(path.join(daemon.rootDir, 'l'));
      for (const { diffId } of image.status.layers) assert.ok(trees.includes(diffId.slice(7, 19)), `${image.spec.references.join()}: layer ${diffId} is gone`);
    }
    return { running, images: items.length };
  }

  test('nothing in use is lost, nothing unused is left', { timeout: 300_000 }, async (t) => {
    const seed = Date.now() % 100_000;
    t.diagnostic(`seed ${seed}`);
    const roll = dice(seed);
    let most = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const acts = Array.from({ length: AT_ONCE }, () => act(roll).catch(() => undefined)); // who asks a daemon that dies gets no answer
      const moment = Promise.withResolvers<undefined>();
      setTimeout(() => moment.resolve(undefined), 50 + roll(1500));
      await moment.promise;
      await daemon.kill();
      await Promise.all(acts);
      await daemon.up();
      const unfinished = async () => (await daemon.ok('GET', `${P}/operations`)).items.every((one: { status: { state: string } }) => !['running', 'undoing'].includes(one.status.state));
      await until(unfinished, { deadlineMs: 60_000, what: 'the end of every operation' });
      const { running, images } = await assertNothingLost();
      most = Math.max(most, running);
      t.diagnostic(`round ${round}: ${images} images, ${running} running`);
    }
    assert.ok(most >= 2, 'something was in use');
    await daemon.ok('POST', `${P}/images/-/prune`, { all: true });
    await assertNothingLost();
    const used = new Set((await instances()).map((one) => one.status.imageId as string));
    assert.deepEqual(new Set((await daemon.ok('GET', `${P}/images`)).items.map((one: { status: { digest: string } }) => one.status.digest)), used);
    for (const one of await instances()) await daemon.ok('DELETE', `${P}/instances/${one.meta.name}?force=1&${WAIT}`);
    await daemon.ok('POST', `${P}/images/-/prune`, { all: true });
    const left = (dir: string): string[] => fs.readdirSync(path.join(daemon.rootDir, dir));
    assert.deepEqual(['images/blobs/sha256', 'images/ingest', 'images/partial', 'images/erofs', 'l', 'pool/roots'].flatMap((dir) => left(dir).map((name) => `${dir}/${name}`)), []);
    await daemon.untilNoLeaks();
  });
});
