import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { assertConsistent } from '../../../test/lib/consistency.ts';
import { ended, FakeWorld, ROOT, succeeded } from '../../../test/lib/fake-control.ts';
import { Life } from '../../../test/lib/mortal.ts';
import { settle } from '../../../test/lib/test-clock.ts';
import { fakeRegistries } from '../../drivers/registry/fake/fake-registry.ts';
import { BerthError } from '../../model/errors.ts';
import type { Image } from '../../model/image.ts';
import { createInstance } from '../instance/create.ts';
import { deleteInstance } from '../instance/delete.ts';
import { createProject } from '../project/project.ts';
import { copyImage } from './copy.ts';
import { findImage } from './find.ts';
import { bootstrapImage, deleteImage, importImage, recordOf, tagImage } from './image.ts';
import { checkLogin } from './login.ts';
import { pruneImages } from './prune.ts';
import { pullImage } from './pull.ts';
import { pushImage } from './push.ts';
import { imageUsage } from './usage.ts';
import { diskUsage } from '../node/disk-usage.ts';

const APP = 'registry.example:5000/team/app:1';

const images = (world: FakeWorld): readonly Image[] => world.services.registry.list<Image>('Image', 'default');
const pull = ({ services }: FakeWorld, reference: string, more = {}) => ended(pullImage(services, ROOT, 'default', { reference, ...more }));
const push = ({ services }: FakeWorld, reference: string, destination?: string, more = {}) => ended(pushImage(services, ROOT, 'default', { reference, destination, ...more }));
const prune = ({ services }: FakeWorld, all = false) => pruneImages(services, ROOT, 'default', all);
const bytesOf = async function* (files: Readonly<Record<string, string>>, ...names: string[]): AsyncGenerator<Uint8Array> { yield Buffer.from(JSON.stringify({ images: [{ names, files }] })); };
const bring = ({ services }: FakeWorld, files: Readonly<Record<string, string>>, ...names: string[]) => importImage(services, ROOT, 'default', bytesOf(files, ...names), undefined, new AbortController().signal);

/** The registry has it, this host does not. */
async function published(world: FakeWorld, reference = APP): Promise<string> {
  await bring(world, { '/app': reference }, 'made:here');
  const { digest } = findImage(world.services, 'default', 'made:here').status;
  await push(world, 'made:here', reference);
  await deleteImage(world.services, ROOT, 'default', 'made:here', false);
  world.registries.asked.length = 0;
  return digest;
}

describe('image.pull', () => {
  it('brings an image under the name that it has there; the same again changes nothing', async () => {
    await using world = await FakeWorld.open();
    const digest = await published(world);
    const first = await pull(world, APP);
    assert.deepEqual(first.status.result, { reference: APP, imageId: digest.slice(7, 19), digest, namedDigest: digest, changed: true });
    assert.deepEqual(findImage(world.services, 'default', APP).spec.references, [APP]);
    assert.equal((await pull(world, APP)).status.result?.['changed'], false);
    await world.run('web', { image: APP });
    assert.equal(first.status.progress?.layers, undefined, 'what each layer did is not kept');
  });

  it('by digest, and by a tag with a digest: the digest is the name', async () => {
    await using world = await FakeWorld.open();
    const digest = await published(world);
    const named = `registry.example:5000/team/app@${digest}`;
    assert.equal((await pull(world, `${APP}@${digest}`)).status.result?.['reference'], named);
    for (const text of [named, `${APP}@${digest}`, `registry.example:5000/team/app:other@${digest}`]) assert.equal(findImage(world.services, 'default', text).status.digest, digest);
    assert.throws(() => findImage(world.services, 'default', APP), { code: 'notFound' });
    assert.equal((await deleteImage(world.services, ROOT, 'default', named, false)).deleted, true);
  });

  it('a tag that moved takes the name along; the image before stays, without one', async () => {
    await using world = await FakeWorld.open();
    const first = await published(world);
    await pull(world, APP);
    await bring(world, { '/app': 'newer' }, 'made:here');
    await push(world, 'made:here', APP);
    const moved = await pull(world, APP);
    assert.notEqual(moved.status.result?.['digest'], first);
    assert.deepEqual(images(world).find((image) => image.status.digest === first)?.spec.references, []);
  });

  it('a short name is looked up in the registries of the search list, in their order, and the next is asked only when one has no such image', async () => {
    await using world = await FakeWorld.open();
    await world.reopen({ parts: (parts) => ({ ...parts, registries: fakeRegistries(world.registries, { search: ['first.example', 'docker.io'], hosts: {} }) }) });
    await published(world, 'docker.io/library/tool:1');
    await pull(world, 'tool:1');
    assert.deepEqual(world.registries.asked.filter((one) => one.startsWith('manifest')), ['manifest first.example/tool:1', 'manifest docker.io/library/tool:1']);
    assert.deepEqual(findImage(world.services, 'default', 'tool:1').spec.references, ['docker.io/library/tool:1']);
    await assert.rejects(pull(world, 'nowhere:1'), { code: 'notFound', message: /first\.example, docker\.io/ });
    world.registries.before = (what) => { if (what.includes('first.example')) throw new BerthError('unavailable', 'It does not answer.'); };
    await assert.rejects(pull(world, 'tool:1'), { code: 'unavailable' });
    world.registries.before = () => undefined;
    world.registries.accounts.set('first.example', new Map([['me', 'right']]));
    await assert.rejects(pull(world, 'tool:1'), { code: 'unauthenticated' }, 'who is not logged in is not sent elsewhere');
    await assert.rejects(pull(world, 'localhost/tool:1'), { code: 'invalid' });
  });

  it('credentials are for this operation alone: not in the store, the log, events or the answer', async () => {
    await using world = await FakeWorld.open();
    const secret = 'S3CR3T-in-hand';
    await published(world);
    world.registries.accounts.set('registry.example:5000', new Map([['me', secret]]));
    await assert.rejects(pull(world, APP), { code: 'unauthenticated' });
    await assert.rejects(pull(world, APP, { credentials: { 'registry.example:5000': { username: 'me', password: `${secret}-wrong` } } }), { code: 'unauthenticated' });
    const credentials = { 'registry.example:5000': { username: 'me', password: secret } };
    const operation = await pull(world, APP, { credentials });
    await push(world, 'busybox', APP, { credentials });
    await ended(copyImage(world.services, ROOT, 'default', { source: APP, destination: 'registry.example:5000/team/copy:1', credentials }));
    await checkLogin(world.services, ROOT, 'registry.example:5000', credentials['registry.example:5000']!, new AbortController().signal);
    await assert.rejects(checkLogin(world.services, ROOT, 'registry.example:5000', { username: 'me', password: `${secret}-wrong` }, new AbortController().signal), { code: 'unauthenticated' });
    const { values } = await world.store.range({ prefix: '' });
    const everything = [...values.map(({ value }) => Buffer.from(value).toString()), JSON.stringify(world.log), JSON.stringify(operation)].join('\n');
    assert.ok(everything.includes('team/app') && !everything.includes(secret));
  });

  it('who cancels leaves nothing that can be seen, and a second pull goes on', async () => {
    await using world = await FakeWorld.open();
    await published(world);
    const asked = Promise.withResolvers<undefined>();
    world.registries.before = (what, signal) => {
      if (!what.startsWith('blob')) return undefined;
      asked.resolve(undefined);
      return new Promise((resolve) => { signal?.addEventListener('abort', () => resolve()); });
    };
    world.content.blobs.clear();
    const { operation, done } = await pullImage(world.services, ROOT, 'default', { reference: APP, idempotencyKey: 'abcdefabcdef' });
    assert.equal(operation.meta.name, 'abcdefabcdef');
    await asked.promise;
    world.services.journal.cancel('default', operation.meta.name);
    assert.equal((await done).status.state, 'cancelled');
    assert.throws(() => findImage(world.services, 'default', APP), { code: 'notFound' });
    world.registries.before = () => undefined;
    await pull(world, APP);
    assert.equal(findImage(world.services, 'default', APP).spec.references.length, 1);
  });

  it('tells how far each layer is', async () => {
    await using world = await FakeWorld.open();
    await published(world);
    const seen: unknown[] = [];
    const gate = Promise.withResolvers<undefined>();
    world.content.blobs.clear();
    world.registries.before = (what) => (what.startsWith('blob') ? gate.promise : undefined);
    const { operation, done } = await pullImage(world.services, ROOT, 'default', { reference: APP });
    world.services.journal.follow('default', operation.meta.name, ({ status }) => { if (status.progress?.layers !== undefined) seen.push(status.progress.layers[0]?.state); });
    await settle();
    await world.clock.advance(1000);
    gate.resolve(undefined);
    await settle();
    succeeded(await done);
    assert.deepEqual(seen, ['waiting', 'done']);
  });

  it('killed at every call: there is the image or there is none, and a second pull makes it', async () => {
    for (let at = 0; at < 20; at++) {
      await using world = await FakeWorld.open();
      await published(world);
      const life = new Life();
      await world.reopen({ life });
      await settle();
      let calls = 0;
      life.before = () => { if (calls++ === at) life.end(); };
      await Promise.race([pull(world, APP).catch(() => undefined), life.died]);
      const over = life.isOver;
      await world.reopen();
      await settle();
      await assertConsistent(world);
      await pull(world, APP);
      assert.equal(images(world).filter((image) => image.spec.references.includes(APP)).length, 1);
      if (!over) return;
    }
    assert.fail('it never came to its end');
  });
});

describe('image.push', () => {
  it('sends to where the name says, or to where one says', async () => {
    await using world = await FakeWorld.open();
    await assert.rejects(push(world, 'busybox'), { code: 'invalid', hint: 'Say where to: berth push busybox HOST/busybox' });
    await assert.rejects(push(world, 'busybox', 'other:1'), { code: 'invalid' });
    await assert.rejects(push(world, 'nowhere', APP), { code: 'notFound' });
    await tagImage(world.services, ROOT, 'default', 'busybox', APP);
    const { digest } = findImage(world.services, 'default', 'busybox').status;
    assert.deepEqual((await push(world, APP)).status.result, { reference: APP, digest });
    assert.equal(world.registries.names.get(APP), digest);
    await push(world, digest, 'other.example/x:2');
    assert.equal(world.registries.names.get('other.example/x:2'), digest);
  });

  it('an image on its way out stays until it is out', async () => {
    await using world = await FakeWorld.open();
    await bring(world, { '/big': 'x' }, 'big:1');
    const asked = Promise.withResolvers<undefined>();
    const gate = Promise.withResolvers<undefined>();
    world.registries.before = (what) => { if (!what.startsWith('push')) return undefined; asked.resolve(undefined); return gate.promise; };
    const pushed = push(world, 'big:1', APP);
    await asked.promise;
    await deleteImage(world.services, ROOT, 'default', 'big:1', false);
    await prune(world, true);
    gate.resolve(undefined);
    await pushed;
    await prune(world, true);
    assert.deepEqual(world.content.blobs.size, 0);
  });
});

describe('image.copy', () => {
  it('between registries touches nothing here; a name of this host at an end makes it a push or a pull', async () => {
    await using world = await FakeWorld.open();
    const digest = await published(world);
    const copy = (source: string, destination: string) => ended(copyImage(world.services, ROOT, 'default', { source, destination }));
    assert.deepEqual((await copy(APP, 'other.example/app:1')).status.result, { reference: 'other.example/app:1', digest });
    assert.equal(images(world).length, 1);
    await copy('busybox', 'other.example/busybox:1');
    assert.ok(world.registries.names.has('other.example/busybox:1'));
    await copy(APP, 'mine:1');
    assert.deepEqual(findImage(world.services, 'default', 'mine:1').spec.references, ['localhost/mine:1']);
    await assert.rejects(copy('busybox', 'mine:2'), { code: 'invalid' });
    await assert.rejects(copy('localhost/nothing', 'other.example/x:1'), { code: 'notFound' });
  });
});

describe('image.prune', () => {
  it('takes what has neither name nor user; with --all what has no user; and what belongs to nothing', async () => {
    await using world = await FakeWorld.open();
    const [unnamed] = await bring(world, { '/a': '1' }, 'app:1');
    const [used] = await bring(world, { '/a': '2' }, 'app:1', 'used:1');
    await world.create('web', { image: 'used:1' });
    await bring(world, { '/a': '3' }, 'app:1', 'used:1');
    await world.services.content.ingest(bytesOf({ '/stray': '1' }));
    assert.deepEqual((await prune(world)).deleted, [{ id: unnamed!.meta.name, references: [] }]);
    assert.deepEqual(images(world).map((image) => image.spec.references.join()).toSorted(), ['', 'localhost/app:1,localhost/used:1', 'localhost/busybox:latest']);
    const { deleted, freedBytes } = await prune(world, true);
    assert.deepEqual([deleted.length, freedBytes > 0, images(world).map((image) => image.meta.id)], [2, true, [used!.meta.id]]);
    assert.deepEqual([world.content.blobs.size, world.content.layers.size], [3, 1]);
    await ended(deleteInstance(world.services, ROOT, world.get('web'), false));
    await prune(world);
    assert.deepEqual([images(world).length, world.content.blobs.size, world.content.layers.size], [0, 0, 0]);
    assert.equal((await prune(world, true)).freedBytes, 0);
  });

  it('never takes what comes in, whoever else gives up on it, nor what an instance is being made from', async () => {
    await using world = await FakeWorld.open();
    // One brings content in and holds it while another, with the same layers, fails and a prune goes by.
    using lease = world.services.content.lease();
    const [record] = await world.services.content.importArchive(bytesOf({ '/a': '1' }, 'app:1'), { lease });
    await prune(world, true);
    assert.ok(world.content.blobs.has(record!.manifestDigest) && world.content.layers.has(record!.layers[0]!.diffId));
    // The commit of a create takes its time.
    await bootstrapImage(world.services, ROOT, 'default', { name: 'busybox', include: [], config: {} }, undefined).then((one) => one.done);
    const life = new Life();
    await world.reopen({ life });
    const gate = Promise.withResolvers<undefined>();
    const committing = Promise.withResolvers<undefined>();
    life.after = ({ on, method }) => { if (on !== 'store' || method !== 'txn') return undefined; committing.resolve(undefined); life.after = () => undefined; return gate.promise; };
    const made = ended(createInstance(world.services, ROOT, world.request('web')));
    await committing.promise;
    await prune(world, true);
    await assert.rejects(deleteImage(world.services, ROOT, 'default', 'busybox', true), { code: 'busy' });
    gate.resolve(undefined);
    await made;
    assert.equal(images(world).length, 1);
    await settle();
    await assertConsistent(world);
  });

  it('while an image of the store cannot be read, no content goes', async () => {
    await using world = await FakeWorld.open();
    await bring(world, { '/a': '1' }, 'app:1');
    const key = `o/Image/default/${findImage(world.services, 'default', 'app:1').meta.name}`;
    await world.store.txn([], [{ put: key, value: Buffer.from('{') }]);
    await world.reopen();
    const before = world.content.blobs.size;
    assert.equal((await prune(world, true)).freedBytes, 0);
    assert.equal(world.content.blobs.size, before);
  });
});

describe('what images take', () => {
  it('of their own, and shared with others', async () => {
    await using world = await FakeWorld.open();
    const [first] = await bring(world, { '/a': '1' }, 'a:1');
    await bring(world, { '/b': '22' }, 'b:1');
    // The same layer under another config.
    await importImage(world.services, ROOT, 'default', (async function* () { yield Buffer.from(JSON.stringify({ images: [{ names: ['c:1'], files: { '/a': '1' }, config: { user: '5' } }] })); })(), undefined, new AbortController().signal);
    const usage = new Map(imageUsage(world.services, 'default').map((one) => [one.name, one]));
    const of = (text: string) => usage.get(findImage(world.services, 'default', text).meta.name)!;
    assert.deepEqual([of('a:1').ownBytes, of('c:1').ownBytes, of('a:1').sharedBytes], [0, 0, of('a:1').bytes]);
    assert.deepEqual([of('b:1').sharedBytes, of('b:1').ownBytes], [0, of('b:1').bytes]);
    assert.equal(of('a:1').bytes, world.services.content.layerBytes(first!.status.layers[0]!.diffId));
    assert.equal(of('busybox').instances, 0);
  });

  it('system.df: all of it, and what would be free', async () => {
    await using world = await FakeWorld.open();
    await bring(world, { '/a': '1' }, 'a:1');
    await world.run('web', { volumes: [{ volume: 'data', target: '/d' }] });
    const rows = new Map((await diskUsage(world.services)).items.map((row) => [row.what, row]));
    assert.deepEqual([...rows.keys()], ['images', 'layers', 'volumes', 'instances', 'logs', 'templates']);
    const { images: all } = { images: rows.get('images')! };
    assert.deepEqual([all.count, all.active], [2, 1]);
    assert.ok(all.reclaimableBytes > 0 && all.reclaimableBytes < all.bytes);
    assert.deepEqual([rows.get('volumes')!.count, rows.get('volumes')!.active, rows.get('instances')!.active], [1, 1, 1]);
    await prune(world, true);
    assert.equal((await diskUsage(world.services)).items[0]!.reclaimableBytes, 0);
  });
});

describe('B04: an image that one project pulled from a private registry', () => {
  const readable = async (world: FakeWorld): Promise<boolean> => ended(pullImage(world.services, ROOT, 'other', { reference: APP })).then(() => true, (error: BerthError) => {
    assert.equal(error.code, 'unauthenticated');
    return false;
  });

  it('is none of another’s: every pull asks the registry with the credentials of its own caller, also for what is here', async () => {
    await using world = await FakeWorld.open();
    const digest = await published(world);
    await pull(world, APP);
    await createProject(world.services, ROOT, { name: 'other' }, {});
    world.registries.accounts.set('registry.example:5000', new Map([['me', 'right']]));
    for (const text of [APP, digest, `registry.example:5000/team/app@${digest}`]) assert.throws(() => findImage(world.services, 'other', text), { code: 'notFound' });
    assert.equal(await readable(world), false);
    // A store that gives out what it has without asking would be noticed.
    const here = recordOf(findImage(world.services, 'default', APP));
    await world.reopen({ parts: (parts) => ({ ...parts, content: { ...parts.content, fetchImage: async () => ({ ...here, namedDigest: digest }), lease: parts.content.lease, [Symbol.asyncDispose]: async () => undefined } }) });
    assert.equal(await readable(world), true);
  });
});
