/** Who did what: a record for every verb that changes something, durable before the effect, completed after it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ended, FakeWorld, MEMBER, ROOT } from '../../test/lib/fake-control.ts';
import { Life } from '../../test/lib/mortal.ts';
import { settle } from '../../test/lib/test-clock.ts';
import { tarEnd, tarEntry } from '../lib/tar-header.ts';
import type { AuditRecord } from '../model/audit-record.ts';
import type { Network } from '../model/network.ts';
import type { Node } from '../model/node.ts';
import type { Project } from '../model/project.ts';
import { VERBS, type VerbName } from '../model/verbs.ts';
import type { Volume } from '../model/volume.ts';
import { setFigures } from './advise/node-figures.ts';
import { copyImage } from './image/copy.ts';
import { checkLogin } from './image/login.ts';
import { pruneImages } from './image/prune.ts';
import { pullImage } from './image/pull.ts';
import { pushImage } from './image/push.ts';
import { bootstrapImage, deleteImage, importImage, tagImage } from './image/image.ts';
import { createInstance } from './instance/create.ts';
import { deleteInstance } from './instance/delete.ts';
import { attachInstance, execInstance } from './instance/exec.ts';
import { copyIn, copyOut } from './instance/files.ts';
import { killInstance, pauseInstance, renameInstance, resizeInstance, resumeInstance } from './instance/lifecycle.ts';
import { restartInstance } from './instance/restart.ts';
import { startInstance } from './instance/start.ts';
import { stopInstance } from './instance/stop.ts';
import { updateInstance } from './instance/update.ts';
import { createNetwork, deleteNetwork } from './network/network.ts';
import { cancelOperation } from './operation/cancel.ts';
import { createProject, deleteProject, updateProject } from './project/project.ts';
import type { Caller } from './services.ts';
import { pruneTemplates } from './node/templates.ts';
import { createVolume, deleteVolume, updateVolume } from './volume/volume.ts';

interface Act {
  /** By another caller than the verb's. */
  readonly prepare?: (world: FakeWorld) => Promise<unknown>;
  readonly run: (world: FakeWorld, caller: Caller) => Promise<unknown>;
  /** The call to the outside that is the effect; verbs that change objects alone have none. */
  readonly effect?: string;
}

const up = (world: FakeWorld) => world.run('web', { terminal: true });
const tar = async function* (): AsyncGenerator<Uint8Array> { yield Buffer.concat([tarEntry({ path: 'f' }, Buffer.from('x')), tarEnd()]); };
const archive = async function* (): AsyncGenerator<Uint8Array> { yield Buffer.from(JSON.stringify({ images: [{ names: ['app:1'] }] })); };
const network = (world: FakeWorld) => world.services.registry.get<Network>('Network', 'default', 'inner');
const volume = (world: FakeWorld) => world.services.registry.get<Volume>('Volume', 'default', 'data');
const project = (world: FakeWorld) => world.services.registry.get<Project>('Project', '', 'other');
const makeNetwork = ({ services }: FakeWorld, caller: Caller) => ended(createNetwork(services, caller, { project: 'default', meta: { name: 'inner' }, spec: { isolated: false, internal: true } }));
const makeVolume = ({ services }: FakeWorld, caller: Caller) => ended(createVolume(services, caller, { project: 'default', meta: { name: 'data' }, spec: { type: 'filesystem' } }));
const makeProject = ({ services }: FakeWorld, caller: Caller) => createProject(services, caller, { name: 'other' }, {});

const PUBLISHED = 'registry.example/team/app:1';
const publish = ({ services }: FakeWorld) => ended(pushImage(services, ROOT, 'default', { reference: 'busybox', destination: PUBLISHED }));

const ACTS: Readonly<Partial<Record<VerbName, Act>>> = {
  'instance.create': { run: (world, caller) => world.create('web', {}, caller), effect: 'storage.createRoot' },
  'instance.run': { run: (world, caller) => ended(createInstance(world.services, caller, { ...world.request('web', { running: true }), verb: 'instance.run' })), effect: 'container.create' },
  'instance.start': { prepare: (world) => world.create('web'), run: (world, caller) => ended(startInstance(world.services, caller, world.get('web'))), effect: 'container.create' },
  'instance.stop': { prepare: up, run: (world, caller) => ended(stopInstance(world.services, caller, world.get('web'))), effect: 'container.signal' },
  'instance.restart': { prepare: up, run: (world, caller) => ended(restartInstance(world.services, caller, world.get('web'))), effect: 'container.signal' },
  'instance.kill': { prepare: up, run: (world, caller) => killInstance(world.services, caller, world.get('web'), 'HUP'), effect: 'container.signal' },
  'instance.pause': { prepare: up, run: (world, caller) => pauseInstance(world.services, caller, world.get('web')), effect: 'container.pause' },
  'instance.resume': { prepare: async (world) => pauseInstance(world.services, ROOT, await up(world)), run: (world, caller) => resumeInstance(world.services, caller, world.get('web')), effect: 'container.resume' },
  'instance.rename': { prepare: up, run: (world, caller) => renameInstance(world.services, caller, world.get('web'), 'other'), effect: 'network.setNames' },
  'instance.update': { prepare: up, run: (world, caller) => updateInstance(world.services, caller, world.get('web'), { spec: { env: { A: '1' } } }) },
  'instance.delete': { prepare: up, run: (world, caller) => ended(deleteInstance(world.services, caller, world.get('web'), true)), effect: 'container.remove' },
  'instance.exec': { prepare: up, run: async (world, caller) => (await execInstance(world.services, world.control.execLimit, caller, world.get('web'), { command: ['true'] })).exit, effect: 'container.exec' },
  'instance.attach': { prepare: up, run: async (world, caller) => (await attachInstance(world.services, caller, world.get('web'))).close(), effect: 'container.attach' },
  'instance.copyIn': { prepare: up, run: (world, caller) => copyIn(world.services, world.control.execLimit, caller, world.get('web'), { path: '/tmp', extract: true, archive: false }, tar()), effect: 'container.copyIn' },
  'instance.copyOut': { prepare: async (world) => { await up(world); await copyIn(world.services, world.control.execLimit, ROOT, world.get('web'), { path: '/tmp', extract: true, archive: false }, tar()); }, run: async (world, caller) => (await copyOut(world.services, world.control.execLimit, caller, world.get('web'), { path: '/tmp/f', followLink: false }))[Symbol.asyncIterator]().return!(), effect: 'container.copyOut' },
  'instance.resize': { prepare: up, run: (world, caller) => resizeInstance(world.services, caller, world.get('web'), { rows: 1, columns: 1 }), effect: 'container.resize' },
  'image.import': { run: (world, caller) => importImage(world.services, caller, 'default', archive(), undefined, new AbortController().signal), effect: 'content.importArchive' },
  'image.bootstrap': { run: (world, caller) => bootstrapImage(world.services, caller, 'default', { name: 'debian:trixie', include: [], config: {} }, undefined).then((one) => one.done), effect: 'content.bootstrap' },
  'image.tag': { run: (world, caller) => tagImage(world.services, caller, 'default', 'busybox', 'mine:1') },
  'image.delete': { run: (world, caller) => deleteImage(world.services, caller, 'default', 'busybox', true), effect: 'content.sweep' },
  'image.pull': { prepare: publish, run: ({ services }, caller) => ended(pullImage(services, caller, 'default', { reference: PUBLISHED })), effect: 'content.fetchImage' },
  'image.push': { prepare: publish, run: ({ services }, caller) => ended(pushImage(services, caller, 'default', { reference: 'busybox', destination: PUBLISHED })), effect: 'registries.push' },
  'image.copy': { prepare: publish, run: ({ services }, caller) => ended(copyImage(services, caller, 'default', { source: PUBLISHED, destination: 'other.example/app:2' })), effect: 'registries.copy' },
  'image.prune': { run: ({ services }, caller) => pruneImages(services, caller, 'default', true), effect: 'content.sweep' },
  'system.pruneTemplates': { run: ({ services }, caller) => pruneTemplates(services, caller, 0) },
  'registry.login': { run: ({ services }, caller) => checkLogin(services, caller, 'registry.example', { username: 'me', password: 'secret' }, new AbortController().signal), effect: 'registries.checkLogin' },
  'volume.create': { run: makeVolume, effect: 'storage.createVolume' },
  'volume.update': { prepare: (world) => makeVolume(world, ROOT), run: (world, caller) => updateVolume(world.services, caller, volume(world), { meta: { purpose: 'tests' } }) },
  'volume.delete': { prepare: (world) => makeVolume(world, ROOT), run: (world, caller) => ended(deleteVolume(world.services, caller, volume(world))), effect: 'storage.removeVolume' },
  'network.create': { run: makeNetwork, effect: 'network.ensureNetwork' },
  'network.delete': { prepare: (world) => makeNetwork(world, ROOT), run: (world, caller) => ended(deleteNetwork(world.services, caller, network(world))), effect: 'network.removeNetwork' },
  'project.create': { run: makeProject, effect: 'network.ensureNetwork' },
  'node.setFigures': { run: (world, caller) => setFigures(world.services, caller, world.services.registry.get<Node>('Node', '', 'node1'), { host: 'here', shipped: false, hardwareVirtualization: false, forms: {} }) },
  'project.update': { prepare: (world) => makeProject(world, ROOT), run: (world, caller) => updateProject(world.services, caller, project(world), { spec: { instancesLimit: 3 } }) },
  'project.delete': { prepare: (world) => makeProject(world, ROOT), run: (world, caller) => deleteProject(world.services, caller, project(world)), effect: 'network.removeNetwork' },
  'operation.cancel': {
    async prepare(world) {
      // An operation that stands still, so that it can be cancelled.
      world.machines.unavailable = undefined;
    },
    async run(world, caller) {
      const { operation, done } = await createInstance(world.services, ROOT, { ...world.request('web', { running: true }), beforeWorkload: () => new Promise((resolve) => { world.clock.after(1000, () => resolve()); }) });
      const cancelled = cancelOperation(world.services, caller, 'default', operation.meta.name);
      await world.clock.advance(1000);
      await cancelled;
      await done;
    },
  },
};

async function records(world: FakeWorld): Promise<readonly AuditRecord[]> {
  return (await world.services.registry.records<AuditRecord>('AuditRecord')).items;
}

/** The records as they are on disk, whatever the daemon believes. */
async function stored(world: FakeWorld): Promise<AuditRecord[]> {
  const { values } = await world.store.range({ prefix: 'o/AuditRecord/' });
  return values.map(({ value }) => (JSON.parse(Buffer.from(value).toString()) as { object: AuditRecord }).object);
}

const mutating = Object.values(VERBS).filter((verb) => verb.mutates).map((verb) => verb.name as VerbName);

describe('audit', () => {
  it('every verb that changes something is in the table of this test', () => {
    assert.deepEqual(mutating.filter((verb) => ACTS[verb] === undefined), []);
  });

  for (const verb of mutating) {
    it(`${verb}: who, what and when; durable before the effect; completed after it`, async () => {
      const act = ACTS[verb]!;
      const life = new Life();
      await using world = await FakeWorld.open();
      await act.prepare?.(world);
      await world.reopen({ life });
      await settle();
      const before = (await records(world)).length;
      const seen: { effect: string; result: string | undefined }[] = [];
      life.before = async ({ on, method }) => {
        const effect = `${on}.${method}`;
        if (effect === act.effect) seen.push({ effect, result: (await stored(world)).slice(before).find((record) => record.spec.verb === verb)?.status.result });
      };
      await act.run(world, MEMBER);
      await settle();
      const record = (await records(world)).slice(before).find((one) => one.spec.verb === verb);
      assert.ok(record !== undefined, `no record of ${verb} among ${(await records(world)).slice(before).map((one) => one.spec.verb).join(', ')}`);
      const { spec, status } = record;
      assert.deepEqual([spec.actor, spec.requestId, status.result], [MEMBER.actor, MEMBER.requestId, 'ok']);
      assert.equal(spec.target.kind.toLowerCase(), verb === 'operation.cancel' ? 'instance' : VERBS[verb].kind);
      assert.ok(spec.target.name.length > 0 && Number.isFinite(Date.parse(spec.time)) && Number.isFinite(Date.parse(status.completedAt!)));
      if (act.effect !== undefined) {
        assert.ok(seen.length > 0, `${act.effect} was never called`);
        assert.ok(seen[0]!.result !== undefined, `${act.effect} was called before a record of ${verb} was durable`);
      }
      assert.deepEqual(world.services.registry.claimKeys('pending-audit/'), []);
    });
  }

  for (const verb of mutating.filter((name) => ACTS[name]?.effect !== undefined && !['image.delete', 'instance.rename', 'project.create'].includes(name))) {
    it(`${verb} that fails is written down as failed, with its code`, async () => {
      const act = ACTS[verb]!;
      const life = new Life();
      await using world = await FakeWorld.open();
      await act.prepare?.(world);
      await world.reopen({ life });
      await settle();
      life.before = ({ on, method }) => { if (`${on}.${method}` === act.effect) throw Object.assign(new Error('ENOSPC: a test'), { code: 'ENOSPC' }); };
      await act.run(world, MEMBER).catch(() => undefined);
      await settle();
      const record = (await records(world)).findLast((one) => one.spec.verb === verb)!;
      assert.deepEqual([record.status.result, record.status.errorCode], ['failed', 'exhausted']);
    });
  }

  for (const verb of ['instance.exec', 'instance.kill', 'instance.attach', 'instance.pause', 'instance.resize', 'image.import'] as const) {
    it(`${verb} whose daemon dies in it is unknown, for ever`, async () => {
      const act = ACTS[verb]!;
      const life = new Life();
      await using world = await FakeWorld.open();
      await act.prepare?.(world);
      await world.reopen({ life });
      await settle();
      life.before = ({ on, method }) => { if (`${on}.${method}` === act.effect) life.end(); };
      await Promise.race([act.run(world, MEMBER).catch(() => undefined), life.died]);
      assert.equal((await stored(world)).findLast((one) => one.spec.verb === verb)!.status.result, 'pending');
      for (let i = 0; i < 2; i++) {
        await world.reopen();
        await settle();
        assert.equal((await stored(world)).findLast((one) => one.spec.verb === verb)!.status.result, 'unknown');
      }
    });
  }

  it('a long verb whose daemon dies in it gets the outcome that the next daemon made of it', async () => {
    for (const [verb, effect, result] of [['instance.create', 'storage.createRoot', 'failed'], ['instance.start', 'container.create', 'failed'], ['instance.stop', 'container.signal', 'ok'], ['instance.delete', 'container.remove', 'ok']] as const) {
      const act = ACTS[verb]!;
      const life = new Life();
      await using world = await FakeWorld.open();
      await act.prepare?.(world);
      await world.reopen({ life });
      await settle();
      life.after = ({ on, method }) => { if (`${on}.${method}` === effect) life.end(); };
      await Promise.race([act.run(world, MEMBER).catch(() => undefined), life.died]);
      await world.reopen();
      await settle();
      const all = (await stored(world)).filter((one) => one.spec.verb === verb && one.spec.actor === MEMBER.actor);
      assert.deepEqual([verb, all.map((one) => one.status.result)], [verb, [result]]);
    }
  });

  it('a verb that is refused by the state table leaves no record; one that nobody may do neither', async () => {
    await using world = await FakeWorld.open();
    const made = await world.create('web');
    const before = (await records(world)).length;
    await assert.rejects(ended(stopInstance(world.services, MEMBER, made)), { code: 'wrongState' });
    await assert.rejects(world.create('host', { volumes: [{ hostPath: '/', target: '/x' }] }, MEMBER), { code: 'forbidden' });
    assert.equal((await records(world)).length, before);
  });

  it('what the daemon does of its own accord is the system’s', async () => {
    await using world = await FakeWorld.open();
    await world.run('web', { command: ['graceful', '0'], removeOnExit: true });
    world.unit('web')!.process.signal('SIGTERM');
    await settle();
    const record = (await records(world)).findLast((one) => one.spec.verb === 'instance.delete')!;
    assert.deepEqual([record.spec.actor, record.spec.details], ['system', { removeOnExit: true }]);
  });

  it('values of the environment are in no audit record, event, log line or error', async () => {
    const secret = 'hunter2-f3a9';
    const life = new Life();
    await using world = await FakeWorld.open({ life });
    const errors: unknown[] = [];
    const quietly = (work: Promise<unknown>) => work.catch((error: unknown) => errors.push(error));
    const spec = { env: { TOKEN: secret }, restart: { policy: 'always' } };
    await quietly(world.run('gone', { ...spec, command: ['missing'] }));
    await quietly(world.run('web', { ...spec, command: ['graceful', '1'] }));
    await quietly(world.run('web', spec));
    await quietly(updateInstance(world.services, ROOT, world.get('web'), { spec: { env: { TOKEN: `${secret}-two` } } }));
    await quietly(updateInstance(world.services, ROOT, world.get('web'), { spec: { env: { TOKEN: `${secret}\0` } } }));
    await quietly(updateInstance(world.services, ROOT, world.get('web'), { spec: { env: { 'NOT A NAME': secret } } }));
    await quietly(execInstance(world.services, world.control.execLimit, ROOT, world.get('web'), { command: ['true'], env: { TOKEN: secret } }).then((one) => one.exit));
    await quietly(execInstance(world.services, world.control.execLimit, ROOT, world.get('web'), { command: ['true'], user: 'nobody-here', env: { TOKEN: secret } }));
    life.before = ({ method }) => { if (method === 'create') throw new Error('EIO: a test'); };
    world.unit('web')!.process.signal('SIGTERM');
    await settle();
    await world.clock.advance(1000);
    life.before = () => undefined;
    await quietly(ended(deleteInstance(world.services, ROOT, world.get('web'), true)));
    assert.equal(errors.length, 5);
    const told = JSON.stringify([
      (await world.services.registry.records('Event', undefined, 10_000)).items, await records(world), world.log, world.services.registry.list('Operation'),
      errors.map((error) => [(error as Error).message, (error as Error).stack, error, (error as Error).cause]),
    ]);
    assert.ok(told.length > 5000);
    assert.equal(told.includes(secret), false);
  });

  it('a target, name or label cannot fake another line of the record', async () => {
    await using world = await FakeWorld.open();
    await assert.rejects(world.create('web\nuid:0'), { code: 'invalid' });
    await assert.rejects(renameInstance(world.services, ROOT, await world.create('web'), 'a\u0000b'), { code: 'invalid' });
    for (const record of await records(world)) assert.doesNotMatch(JSON.stringify(record.spec.target), /[\n\0]/);
  });
});
