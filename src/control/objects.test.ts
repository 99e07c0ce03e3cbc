/** Volumes, projects and images: made, used, un-made; killed at every call. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { assertConsistent } from '../../test/lib/consistency.ts';
import { sweepCrashes } from '../../test/lib/crash-sweep.ts';
import { ended, FakeWorld, ROOT, succeeded } from '../../test/lib/fake-control.ts';
import { Life } from '../../test/lib/mortal.ts';
import { settle } from '../../test/lib/test-clock.ts';
import type { Image } from '../model/image.ts';
import type { Network } from '../model/network.ts';
import type { Project } from '../model/project.ts';
import type { Volume } from '../model/volume.ts';
import { findImage } from './image/find.ts';
import { bootstrapImage, deleteImage, exportImage, importImage, tagImage } from './image/image.ts';
import { createInstance } from './instance/create.ts';
import { createProject, deleteProject, updateProject } from './project/project.ts';
import { createVolume, deleteVolume } from './volume/volume.ts';

const volume = (world: FakeWorld) => world.services.registry.find<Volume>('Volume', 'default', 'data');
const makeVolume = (world: FakeWorld, spec: { type: 'filesystem' | 'block'; sizeBytes?: number } = { type: 'filesystem' }) => ended(createVolume(world.services, ROOT, { project: 'default', meta: { name: 'data' }, spec }));
const project = (world: FakeWorld) => world.services.registry.find<Project>('Project', '', 'other');
const makeProject = (world: FakeWorld) => createProject(world.services, ROOT, { name: 'other' }, {});
const images = (world: FakeWorld, where = 'default') => world.services.registry.list<Image>('Image', where);
const bring = (world: FakeWorld, ...names: string[]) => importImage(world.services, ROOT, 'default', archive(names), undefined, new AbortController().signal);

async function* archive(names: readonly string[], label = names.join()): AsyncGenerator<Uint8Array> {
  yield Buffer.from(JSON.stringify({ images: [{ names, config: { labels: { label } }, files: { '/label': label } }] }));
}

describe('volumes', () => {
  it('are made and deleted; a refused size leaves nothing; a taken name is taken', async () => {
    await using world = await FakeWorld.open();
    await makeVolume(world);
    await assert.rejects(makeVolume(world), { code: 'alreadyExists' });
    await ended(deleteVolume(world.services, ROOT, volume(world)!));
    await assert.rejects(makeVolume(world, { type: 'filesystem', sizeBytes: 1024 ** 3 }), { code: 'unsupported' });
    assert.deepEqual([volume(world), world.storage.volumes.size], [undefined, 0]);
    await makeVolume(world, { type: 'block', sizeBytes: 1024 ** 3 });
    await assert.rejects(world.create('web', { volumes: [{ volume: 'data', target: '/data' }] }), { code: 'unsupported', message: /is a disk/ });
  });

  it('a delete that fails leaves a volume that can be deleted again', async () => {
    const life = new Life();
    await using world = await FakeWorld.open({ life });
    await makeVolume(world);
    life.before = ({ method }) => { if (method === 'removeVolume') throw Object.assign(new Error('EIO'), { code: 'EIO' }); };
    await assert.rejects(ended(deleteVolume(world.services, ROOT, volume(world)!)), { code: 'internal' });
    assert.equal(volume(world)!.status.state, 'failed');
    life.before = () => undefined;
    await ended(deleteVolume(world.services, ROOT, volume(world)!));
    assert.equal(world.storage.volumes.size, 0);
  });

  it('killed at every call of create and delete', async () => {
    const whole = (world: FakeWorld): void => {
      assert.ok([undefined, 'ready'].includes(volume(world)?.status.state));
      assert.equal(world.storage.volumes.size, volume(world) === undefined ? 0 : 1);
    };
    await sweepCrashes({ name: 'volume.create', run: makeVolume, expect: whole, retry: async (world) => (volume(world) === undefined ? makeVolume(world) : undefined) });
    await sweepCrashes({ name: 'volume.delete', async prepare(world) { await makeVolume(world); }, run: (world) => ended(deleteVolume(world.services, ROOT, volume(world)!)), expect: whole, retry: async (world) => (volume(world) === undefined ? undefined : ended(deleteVolume(world.services, ROOT, volume(world)!))) });
  });
});

describe('projects', () => {
  it('have their own names, their own default network, and go when they are empty', async () => {
    await using world = await FakeWorld.open();
    await makeProject(world);
    succeeded(await (await bootstrapImage(world.services, ROOT, 'other', { name: 'busybox', include: [], config: {} }, undefined)).done);
    await world.create('web');
    await ended(createInstance(world.services, ROOT, world.request('web', {}, 'other')));
    assert.equal(world.services.registry.list<Network>('Network').length, 2);
    await assert.rejects(deleteProject(world.services, ROOT, project(world)!), { code: 'wrongState', message: "Project 'other' still has 1 instance." });
    const { deleteInstance } = await import('./instance/delete.ts');
    await ended(deleteInstance(world.services, ROOT, world.get('web', 'other'), false));
    await assert.rejects(deleteProject(world.services, ROOT, project(world)!), { code: 'wrongState', message: /1 image/ });
    await deleteImage(world.services, ROOT, 'other', 'busybox', true);
    await deleteProject(world.services, ROOT, project(world)!);
    await settle();
    assert.deepEqual([project(world), world.network.bridges.size, world.network.subnets.size], [undefined, 1, 1]);
    await assertConsistent(world);
  });

  it('an image, a volume or a network of one project is none of another', async () => {
    await using world = await FakeWorld.open();
    await makeProject(world);
    await makeVolume(world);
    await assert.rejects(createInstance(world.services, ROOT, world.request('web', {}, 'other')), { code: 'notFound', message: /no image 'busybox' in project 'other'/ });
    assert.throws(() => findImage(world.services, 'other', images(world)[0]!.status.digest), { code: 'notFound' });
    await assert.rejects(createInstance(world.services, ROOT, world.request('web', {}, 'nowhere')), { code: 'notFound' });
    await assert.rejects(exportImage(world.services, 'other', 'busybox', 'oci-archive', new AbortController().signal), { code: 'notFound' });
  });

  it('the default project stays; limits follow a patch and its generation', async () => {
    await using world = await FakeWorld.open();
    await assert.rejects(deleteProject(world.services, ROOT, world.services.registry.get<Project>('Project', '', 'default')), { code: 'unsupported' });
    await makeProject(world);
    assert.equal((await updateProject(world.services, ROOT, project(world)!, { spec: { instancesLimit: 2 }, generation: 1 })).meta.generation, 2);
    await assert.rejects(updateProject(world.services, ROOT, project(world)!, { spec: { instancesLimit: 3 }, generation: 1 }), { code: 'changed' });
    await assert.rejects(updateProject(world.services, ROOT, project(world)!, { spec: { instances: 3 } }), { code: 'invalid' });
    assert.deepEqual((await updateProject(world.services, ROOT, project(world)!, { spec: { instancesLimit: null } })).spec, {});
  });

  it('killed at every call of create and delete: there with its network, or not', async () => {
    const whole = (world: FakeWorld): void => assert.equal(world.network.bridges.size, project(world) === undefined ? 1 : 2);
    await sweepCrashes({ name: 'project.create', run: makeProject, expect: whole, retry: async (world) => (project(world) === undefined ? makeProject(world) : undefined) });
    await sweepCrashes({ name: 'project.delete', async prepare(world) { await makeProject(world); }, run: (world) => deleteProject(world.services, ROOT, project(world)!), expect: whole, retry: async (world) => (project(world) === undefined ? undefined : deleteProject(world.services, ROOT, project(world)!)) });
  });
});

describe('images', () => {
  it('a name moves to who has it last; the content of what has none and no user is swept', async () => {
    await using world = await FakeWorld.open();
    const [first] = await bring(world, 'app:1');
    await importImage(world.services, ROOT, 'default', archive(['app:1'], 'other content'), undefined, new AbortController().signal);
    assert.equal(images(world).length, 3);
    assert.deepEqual(images(world).find((image) => image.meta.id === first!.meta.id)!.spec.references, []);
    await tagImage(world.services, ROOT, 'default', first!.status.digest, 'app:old');
    assert.equal(findImage(world.services, 'default', 'app:old').meta.id, first!.meta.id);
    assert.deepEqual(await deleteImage(world.services, ROOT, 'default', 'app:old', false), { deleted: true, untagged: ['localhost/app:old'] });
    await bring(world, 'x:1', 'x:2');
    assert.deepEqual(await deleteImage(world.services, ROOT, 'default', 'x:1', false), { deleted: false, untagged: ['localhost/x:1'] });
    const kept = new Set(images(world).map((image) => image.status.digest));
    assert.deepEqual(new Set([...world.content.blobs.keys()].filter((digest) => kept.has(digest))), kept);
    assert.equal(world.content.layers.size, images(world).length);
  });

  it('is found by name, short name, id and digest; what is not found is said, never guessed', async () => {
    await using world = await FakeWorld.open();
    const [image] = await bring(world, 'docker.io/library/nginx:1');
    for (const text of ['nginx:1', 'docker.io/library/nginx:1', image!.meta.name, image!.status.digest, `nginx@${image!.status.digest}`]) assert.equal(findImage(world.services, 'default', text).meta.id, image!.meta.id, text);
    for (const text of ['nginx', 'library/nginx', 'localhost/nginx:1', 'sha256:' + '0'.repeat(64)]) assert.throws(() => findImage(world.services, 'default', text), { code: 'notFound' }, text);
    for (const text of ['../etc', 'a b', 'NGINX', 'nginx:', 'x'.repeat(600), '-v', 'a@sha256:00']) assert.throws(() => findImage(world.services, 'default', text), { code: 'invalid' }, text);
  });

  it('an archive that is none, has too many images for one name, or names that nobody may give', async () => {
    await using world = await FakeWorld.open();
    const signal = new AbortController().signal;
    await assert.rejects(importImage(world.services, ROOT, 'default', (async function* () { yield Buffer.from('what'); })(), undefined, signal), { code: 'invalid' });
    const two = (async function* () { yield Buffer.from(JSON.stringify({ images: [{ names: ['a:1'] }, { names: ['b:1'], files: { '/b': '1' } }] })); })();
    await assert.rejects(importImage(world.services, ROOT, 'default', two, 'one:1', signal), { code: 'invalid', message: /2 images/ });
    const [hostile] = await bring(world, '../../etc/passwd', 'UPPER', 'fine:1');
    assert.deepEqual(hostile!.spec.references, ['localhost/fine:1']);
    await settle();
    await assertConsistent(world);
  });

  it('of many imports of one archive there is one image', async () => {
    await using world = await FakeWorld.open();
    await Promise.all(Array.from({ length: 10 }, () => bring(world, 'app:1')));
    assert.equal(images(world).length, 2);
  });

  it('killed at every call of bootstrap, import and delete', async () => {
    const bootstrap = async (world: FakeWorld) => succeeded(await (await bootstrapImage(world.services, ROOT, 'default', { name: 'debian:trixie', include: [], config: {} }, undefined)).done);
    const swept = (world: FakeWorld): void => assert.equal(world.content.layers.size, images(world).length);
    await sweepCrashes({ name: 'image.bootstrap', run: bootstrap, expect: swept, retry: bootstrap });
    await sweepCrashes({ name: 'image.import', run: (world) => bring(world, 'app:1'), expect: swept, retry: (world) => bring(world, 'app:1') });
    await sweepCrashes({ name: 'image.delete', async prepare(world) { await bring(world, 'app:1'); }, run: (world) => deleteImage(world.services, ROOT, 'default', 'app:1', false), expect: swept });
  });
});

describe('the registry', () => {
  it('an object that cannot be read is told, left alone, and harms no other', async () => {
    await using world = await FakeWorld.open();
    await world.run('web');
    await world.store.txn([], [{ put: 'o/Instance/default/broken', value: Buffer.from('{"schema":1,') }, { put: 'o/Volume/default/other', value: Buffer.from(JSON.stringify({ schema: 1, object: { kind: 'Volume', meta: { name: 'else', project: 'default' } } })) }]);
    await world.reopen();
    assert.equal(world.get('web').status.state, 'running');
    assert.deepEqual(world.services.registry.quarantined.map((one) => one.key), ['o/Instance/default/broken', 'o/Volume/default/other']);
    assert.ok(world.log.some((line) => line.level === 'error' && line.facts['key'] === 'o/Instance/default/broken'));
    assert.equal(Buffer.from((await world.store.get('o/Instance/default/broken'))!.value).toString(), '{"schema":1,');
    await assert.rejects(world.create('broken'), { code: 'alreadyExists' });
  });

  it('an object of a newer version stops the daemon before it touches anything', async () => {
    await using world = await FakeWorld.open();
    await world.store.txn([], [{ put: 'o/Volume/default/new', value: Buffer.from(JSON.stringify({ schema: 999, object: { kind: 'Volume', meta: { name: 'new', project: 'default' } } })) }]);
    const revision = await world.store.revision();
    await assert.rejects(world.reopen(), { code: 'unsupported', hint: /newer version/ });
    assert.equal(await world.store.revision(), revision);
  });
});
