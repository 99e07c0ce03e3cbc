/** Conversations and changes: exec, attach, kill, wait, rename, update. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { assertConsistent, assertEmpty } from '../../../test/lib/consistency.ts';
import { ended, FakeWorld, ROOT } from '../../../test/lib/fake-control.ts';
import { FIELD_LOOKS, fields, isVm } from '../../../test/lib/field-looks.ts';
import { settle } from '../../../test/lib/test-clock.ts';
import type { IoSession } from '../../drivers/runtime/driver.ts';
import type { BerthError } from '../../model/errors.ts';
import { FORM_LABEL } from '../../model/forms.ts';
import { objectId } from '../../model/ids.ts';
import type { Operation } from '../../model/operation.ts';
import type { Project } from '../../model/project.ts';
import { updateProject } from '../project/project.ts';
import { deleteInstance } from './delete.ts';
import { attachInstance, execInstance } from './exec.ts';
import { killInstance, pauseInstance, renameInstance, resumeInstance } from './lifecycle.ts';
import { startInstance } from './start.ts';
import { stopInstance } from './stop.ts';
import { updateInstance } from './update.ts';
import { waitInstance } from './wait.ts';

async function textOf(session: IoSession): Promise<string> {
  let text = '';
  for await (const { data } of session.output) text += Buffer.from(data).toString();
  return text;
}

const exec = (world: FakeWorld, request: Parameters<typeof execInstance>[4]) => execInstance(world.services, world.control.execLimit, ROOT, world.get('web'), request);
const never = new AbortController().signal;
const MIB = 1024 * 1024;
/** Fields of disk images alone: their own test changes them. */
/** They name images of their own kind: tests that have such images change them. */
const OF_OTHER_IMAGES = ['firmware', 'machinePreset', 'iso', 'kernel'];
/** Where a field's look asks for what the instance has already. */
const OTHER: Readonly<Record<string, unknown>> = { mode: 'os', isolation: 'auto', image: 'busybox:other', networks: [], terminal: true, stdin: true };

describe('exec', () => {
  it('runs as the instance does: its environment, user, directory and capabilities; what is asked goes over them', async () => {
    await using world = await FakeWorld.open();
    await world.run('web', { env: { A: 'spec', B: 'spec' }, user: 'web', workdir: '/srv', capabilities: { add: [], drop: ['ALL'] } });
    const session = await exec(world, { command: ['env'], env: { B: 'exec' } });
    const lines = (await textOf(session)).trim().split('\n');
    assert.deepEqual([lines.includes('A=spec'), lines.includes('B=exec'), lines.includes('B=spec'), lines.includes('HOME=/srv')], [true, true, false, true]);
    assert.deepEqual(await session.exit, { exitCode: 0 });
  });

  it('knows users that were added inside', async () => {
    await using world = await FakeWorld.open({ parts: (parts) => ({ ...parts, unpacker: { ...parts.unpacker, readFile: async (layers, file) => (file === '/etc/passwd' && layers.at(-1)!.endsWith('/up') ? Buffer.from('later:x:77:78::/home/later:/bin/sh\n') : undefined) } }) });
    await world.run('web');
    assert.ok((await textOf(await exec(world, { command: ['env'], user: 'later' }))).includes('HOME=/home/later'));
    await assert.rejects(exec(world, { command: ['env'], user: 'nobody-here' }), { code: 'invalid' });
  });

  it('a command that is not there says so, with docker’s code', async () => {
    await using world = await FakeWorld.open();
    await world.run('web');
    assert.deepEqual(await (await exec(world, { command: ['missing'] })).exit, { exitCode: 127 });
  });

  it('64 at a time for one instance; every way to end makes room again', async () => {
    await using world = await FakeWorld.open();
    await world.run('web');
    const sessions = await Promise.all(Array.from({ length: 64 }, () => exec(world, { command: ['sleep'] })));
    await assert.rejects(exec(world, { command: ['sleep'] }), { code: 'exhausted', message: /64 commands/ });
    await sessions[0]!.close();
    await sessions[1]!.signal('SIGTERM');
    await settle();
    sessions.push(await exec(world, { command: ['sleep'] }), await exec(world, { command: ['sleep'] }));
    await assert.rejects(exec(world, { command: ['sleep'] }), { code: 'exhausted' });
    await Promise.all(sessions.map((one) => one.close()));
    await settle();
    for (let i = 0; i < 70; i++) await (await exec(world, { command: ['missing'] })).exit;
    await pauseInstance(world.services, ROOT, world.get('web'));
    for (let i = 0; i < 70; i++) await assert.rejects(exec(world, { command: ['true'] }), { code: 'wrongState' });
    await resumeInstance(world.services, ROOT, world.get('web'));
    await (await exec(world, { command: ['true'] })).exit;
  });

  it('ends with its instance', async () => {
    await using world = await FakeWorld.open();
    await world.run('web');
    const session = await exec(world, { command: ['sleep'] });
    await ended(deleteInstance(world.services, ROOT, world.get('web'), true));
    assert.deepEqual(await session.exit, { exitCode: 137 });
    await assertEmpty(world);
  });
});

describe('attach', () => {
  it('carries both ways; who lets go leaves the workload alone', async () => {
    await using world = await FakeWorld.open();
    await world.run('web', { command: ['cat'], stdin: true });
    const session = await attachInstance(world.services, ROOT, world.get('web'));
    const said = textOf(session);
    await session.write(Buffer.from('hello'));
    await settle();
    await session.close();
    assert.equal(await said, 'hello');
    assert.equal(world.get('web').status.state, 'running');
  });

  it('between create and the first instruction nothing is missed', async () => {
    await using world = await FakeWorld.open();
    const { createInstance } = await import('./create.ts');
    let said: Promise<string> | undefined;
    await ended(createInstance(world.services, ROOT, {
      ...world.request('web', { running: true, command: ['echo', 'first', 'word'] }),
      beforeWorkload: async (instance) => { said = textOf(await world.services.runtimes.container.attach(objectId(instance.meta.id))); },
    }));
    assert.equal(await said, 'first word\n');
    await settle();
    assert.equal(world.get('web').status.state, 'stopped');
  });
});

describe('kill and stop', () => {
  it('stop asks with the signal that was wished, waits out the grace, then kills', async () => {
    await using world = await FakeWorld.open();
    for (const [command, stopSignal, expected] of [['graceful', 'SIGTERM', 0], ['stubborn', 'SIGTERM', 137], ['graceful', 'SIGINT', 137], ['sleep', 'SIGINT', 130]] as const) {
      await world.run('web', { command: [command], stopSignal, stopGraceMs: 5000 });
      const stop = ended(stopInstance(world.services, ROOT, world.get('web')));
      await world.clock.advance(5001);
      await stop;
      assert.deepEqual([command, stopSignal, world.get('web').status.exitCode], [command, stopSignal, expected]);
      await ended(deleteInstance(world.services, ROOT, world.get('web'), false));
    }
  });

  it('a grace of its own counts, and nought kills at once', async () => {
    await using world = await FakeWorld.open();
    await world.run('web', { command: ['graceful'], stopGraceMs: 3_600_000 });
    await ended(stopInstance(world.services, ROOT, world.get('web'), { graceMs: 0 }));
    assert.deepEqual([world.get('web').status.exitCode, world.get('web').status.reason], [137, 'killed']);
  });

  it('stop of an image’s own signal', async () => {
    const { importImage } = await import('../image/image.ts');
    await using world = await FakeWorld.open();
    const archive = async function* () { yield Buffer.from(JSON.stringify({ images: [{ names: ['own:1'], config: { stopSignal: 'SIGQUIT' } }] })); };
    await importImage(world.services, ROOT, 'default', archive(), undefined, never);
    await world.run('web', { image: 'own:1' });
    await ended(stopInstance(world.services, ROOT, world.get('web')));
    assert.equal(world.get('web').status.exitCode, 131);
  });

  it('kill sends any signal by any spelling, also to what is being stopped; SIGKILL ends what is frozen', async () => {
    await using world = await FakeWorld.open();
    for (const signal of ['SIGUSR1', 'USR1', '10']) {
      await world.run('web');
      await killInstance(world.services, ROOT, world.get('web'), signal);
      await settle();
      assert.equal(world.get('web').status.exitCode, 138);
      await ended(deleteInstance(world.services, ROOT, world.get('web'), false));
    }
    await world.run('web', { command: ['stubborn'] });
    const stop = ended(stopInstance(world.services, ROOT, world.get('web')));
    await settle();
    await killInstance(world.services, ROOT, world.get('web'));
    await stop;
    await ended(startInstance(world.services, ROOT, world.get('web')));
    await killInstance(world.services, ROOT, await pauseInstance(world.services, ROOT, world.get('web')));
    await settle();
    assert.deepEqual([world.get('web').status.state, world.get('web').status.exitCode], ['stopped', 137]);
    await assert.rejects(killInstance(world.services, ROOT, world.get('web'), 'NOTHING'), { code: 'invalid' });
    await assertConsistent(world);
  });

  it('a daemon that dies in a long grace is followed by one that is there at once, and keeps the grace that was asked for', async () => {
    await using world = await FakeWorld.open();
    await world.run('web', { command: ['stubborn'] });
    await stopInstance(world.services, ROOT, world.get('web'), { graceMs: 3_600_000 });
    await settle();
    await world.reopen();
    assert.equal(world.get('web').status.state, 'stopping');
    const operation = world.services.registry.list('Operation').find((one) => (one.spec as { verb: string }).verb === 'instance.stop')!;
    await world.clock.advance(3_500_000);
    assert.equal(world.get('web').status.state, 'stopping');
    const done = world.services.journal.wait('default', operation.meta.name, 600_000);
    await world.clock.advance(110_000);
    assert.equal((await done)!.status.state, 'succeeded');
    assert.deepEqual([world.get('web').status.state, world.get('web').status.exitCode, world.get('web').status.stoppedByUser], ['stopped', 137, true]);
    await assertConsistent(world);
  });
});

describe('wait', () => {
  it('is told the state, now or later, with its exit code', async () => {
    await using world = await FakeWorld.open();
    const made = await world.run('web', { command: ['graceful', '3'] });
    assert.deepEqual(await waitInstance(world.services, made, ['running'], 1000, never), { state: 'running', exitCode: undefined, reason: undefined });
    const stopped = waitInstance(world.services, made, ['stopped', 'failed'], 1000, never);
    await killInstance(world.services, ROOT, made, 'TERM');
    assert.deepEqual(await stopped, { state: 'stopped', exitCode: 3, reason: 'exited' });
    const gone = waitInstance(world.services, made, ['running'], 1000, never);
    await ended(deleteInstance(world.services, ROOT, world.get('web'), false));
    assert.equal((await gone).state, 'removed');
  });

  it('ends with its time or its caller', async () => {
    await using world = await FakeWorld.open();
    const made = await world.run('web');
    const late = assert.rejects(waitInstance(world.services, made, ['stopped'], 1000, never), { code: 'timeout' });
    await world.clock.advance(1000);
    await late;
    const caller = new AbortController();
    const left = assert.rejects(waitInstance(world.services, made, ['stopped'], 1000, caller.signal), { code: 'unavailable' });
    caller.abort();
    await left;
    assert.equal(world.clock.nextInMs === undefined || world.clock.nextInMs > 1000, true, 'no timer of theirs is left');
  });
});

describe('rename and update', () => {
  it('a new name counts for DNS at once; a taken one is refused; nobody is lost in between', async () => {
    await using world = await FakeWorld.open();
    const made = await world.run('web', { ports: [{ targetPort: 80, hostPort: 8080 }] });
    await world.create('taken');
    await assert.rejects(renameInstance(world.services, ROOT, made, 'taken'), { code: 'alreadyExists' });
    await assert.rejects(renameInstance(world.services, ROOT, made, 'web'), { code: 'invalid' });
    const renamed = await renameInstance(world.services, ROOT, made, 'shop');
    assert.deepEqual([renamed.meta.id, renamed.meta.generation, world.find('web')], [made.meta.id, made.meta.generation + 1, undefined]);
    await assertConsistent(world);
    world.unit('shop')!.process.signal('SIGTERM');
    await settle();
    assert.equal(world.get('shop').status.state, 'stopped');
    await assertConsistent(world);
  });

  it('update is a merge patch: null takes away, lists replace, the rest stays; generation moves with the spec alone', async () => {
    await using world = await FakeWorld.open();
    const made = await world.create('web', { env: { A: '1', B: '2' }, tmpfs: [{ target: '/a', sizeBytes: 4096 }] });
    const patched = await updateInstance(world.services, ROOT, made, { spec: { env: { A: null, C: '3' }, tmpfs: null, hostname: 'shop' } });
    assert.deepEqual([patched.spec.env, patched.spec.tmpfs, patched.spec.hostname, patched.meta.generation], [{ B: '2', C: '3' }, undefined, 'shop', 2]);
    const labelled = await updateInstance(world.services, ROOT, patched, { meta: { labels: { tier: 'web' }, owner: 'ops' } });
    assert.deepEqual([labelled.meta.labels, labelled.meta.owner, labelled.meta.generation], [{ tier: 'web' }, 'ops', 2]);
    assert.equal((await updateInstance(world.services, ROOT, labelled, { spec: {} })).meta.generation, 2);
    const bare = await updateInstance(world.services, ROOT, labelled, { meta: { labels: null, owner: null } });
    assert.deepEqual([bare.meta.labels, bare.meta.owner], [undefined, undefined]);
  });

  it('of many updates at one generation one wins', async () => {
    await using world = await FakeWorld.open();
    const made = await world.create('web');
    const results = await Promise.allSettled(Array.from({ length: 10 }, (_, i) => updateInstance(world.services, ROOT, made, { spec: { env: { A: String(i) } }, generation: 1 })));
    assert.deepEqual(results.map((result) => (result.status === 'fulfilled' ? 'done' : (result.reason as { code: string }).code)).toSorted(), [...Array.from({ length: 9 }, () => 'changed'), 'done']);
  });

  it('what cannot be changed is refused by its field, what changes at the next start says so', async () => {
    await using world = await FakeWorld.open();
    const made = await world.run('web', { networks: [{ name: 'default' }] });
    for (const spec of [{ memory: 1 }, { memoryBytes: 'much' }, { env: { 'a b': '' } }]) await assert.rejects(updateInstance(world.services, ROOT, made, { spec }), { code: 'invalid' });
    for (const meta of [{ name: 'other' }, { project: 'other' }, { id: 'x' }, { generation: 9 }]) await assert.rejects(updateInstance(world.services, ROOT, made, { meta }), { code: 'invalid' });
    const updated = await updateInstance(world.services, ROOT, made, { spec: { shmBytes: 64 * 1024 * 1024, stopGraceMs: 1 } });
    assert.deepEqual([updated.status.warnings, updated.status.observedGeneration], [['shmBytes will change at the next start.'], 1]);
    assert.deepEqual((await updateInstance(world.services, ROOT, updated, { spec: { env: { A: '1' } } })).status.warnings, ['shmBytes, env will change at the next start.'], 'what waits already is not forgotten');
    await ended(stopInstance(world.services, ROOT, updated));
    await ended(startInstance(world.services, ROOT, world.get('web')));
    assert.deepEqual([world.unit('web')!.plan.shmBytes, world.get('web').status.warnings, world.get('web').status.observedGeneration], [64 * 1024 * 1024, undefined, world.get('web').meta.generation]);
  });

  for (const form of ['appContainer', 'microVM'] as const) {
    it(`every field of a running ${FORM_LABEL[form]} is changed when the model says so, or refused by its name`, async () => {
      await using world = await FakeWorld.open();
      const made = await world.run('web', { isolation: isVm(form) ? 'vm' : 'container', memoryBytes: 256 * MIB });
      for (const { path, traits } of fields().filter((one) => typeof one.traits.means[form] === 'string' && !OF_OTHER_IMAGES.includes(one.path) && one.path !== 'running')) {
        const { value, next } = FIELD_LOOKS[path as keyof typeof FIELD_LOOKS];
        const wished = next ?? (OTHER[path] ?? (typeof value === 'function' ? value(form) : value) ?? 64 * MIB);
        const updated = updateInstance(world.services, ROOT, world.get('web'), { spec: { [path]: wished } });
        if (traits.change === 'never') {
          await assert.rejects(updated, (error: BerthError) => error.code === 'unsupported' && /cannot be changed/.test(error.message) && error.fields[0]!.path === `spec.${path}`, path);
          continue;
        }
        const { status, spec } = await updated;
        assert.deepEqual(spec[path as keyof typeof spec], wished);
        assert.equal(new RegExp(`\\b${path}\\b.* will change at the next start`).test((status.warnings ?? []).join()), traits.change === 'restart', `${path} is ${traits.change}: ${status.warnings}`);
      }
      await ended(stopInstance(world.services, ROOT, world.get('web')));
      await ended(startInstance(world.services, ROOT, world.get('web')));
      const { status, meta, spec } = world.get('web');
      assert.deepEqual([status.warnings, status.observedGeneration, world.unit('web')!.plan.hostname, world.unit('web')!.plan.shmBytes], [undefined, meta.generation, spec.hostname, spec.shmBytes]);
      assert.equal(made.meta.id, meta.id);
    });
  }

  it('limits reach what runs at once, by one journalled operation', async () => {
    await using world = await FakeWorld.open();
    const made = await world.run('web');
    const updated = await updateInstance(world.services, ROOT, made, { spec: { memoryBytes: 64 * MIB, cpus: 0.5, cpuWeight: 50, pids: 9 } });
    assert.deepEqual(world.unit('web')!.resources, { memoryBytes: 64 * MIB, cpus: 0.5, cpuWeight: 50, pids: 9 });
    assert.deepEqual([updated.meta.generation, updated.status.observedGeneration, updated.status.warnings, updated.status.operation], [2, 2, undefined, undefined]);
    const operation = world.services.registry.list<Operation>('Operation').find((one) => one.spec.verb === 'instance.update')!;
    assert.deepEqual([operation.spec.steps, operation.status.state], [['limits'], 'succeeded']);
    const bare = await updateInstance(world.services, ROOT, updated, { spec: { cpus: null, pids: null } });
    assert.deepEqual([world.unit('web')!.resources.cpus, world.unit('web')!.resources.pids, bare.status.observedGeneration], [undefined, 512, 3], 'without a wish the default of the form');
    await assertConsistent(world);
  });

  it('what a machine was not started with waits for its next start, and is told as long as it waits', async () => {
    await using world = await FakeWorld.open();
    const made = await world.run('web', { isolation: 'vm', memoryBytes: 256 * MIB });
    const more = await updateInstance(world.services, ROOT, made, { spec: { memoryBytes: 512 * MIB, cpus: 2, env: { A: '1' } } });
    assert.deepEqual([more.status.warnings, more.meta.generation, more.status.observedGeneration], [['env, memoryBytes, cpus will change at the next start.'], 2, 1]);
    const less = await updateInstance(world.services, ROOT, more, { spec: { memoryBytes: 128 * MIB } });
    assert.deepEqual([less.status.warnings, less.status.observedGeneration], [['env, cpus will change at the next start.'], 1]);
    await ended(stopInstance(world.services, ROOT, less));
    await ended(startInstance(world.services, ROOT, world.get('web')));
    const { resources } = world.unit('web')!.plan, { status, meta } = world.get('web');
    assert.deepEqual([resources.memoryBytes, resources.cpus, status.warnings, status.observedGeneration], [128 * MIB, 2, undefined, meta.generation]);
  });

  it('less memory than it uses is refused, and all is as it was', async () => {
    await using world = await FakeWorld.open();
    const made = await world.run('web', { memoryBytes: 256 * MIB });
    world.unit('web')!.memoryBytes = 128 * MIB;
    await assert.rejects(updateInstance(world.services, ROOT, made, { spec: { memoryBytes: 64 * MIB, cpus: 0.5 } }), { code: 'wrongState' });
    const { spec, meta, status } = world.get('web');
    assert.deepEqual([spec.memoryBytes, spec.cpus, meta.generation, status.state, status.operation], [256 * MIB, undefined, 1, 'running', undefined]);
    assert.deepEqual([world.unit('web')!.resources.memoryBytes, world.unit('web')!.resources.cpus], [256 * MIB, undefined]);
    await assertConsistent(world);
  });

  it('more memory than the project has is refused while it runs as well', async () => {
    await using world = await FakeWorld.open();
    const made = await world.run('web', { memoryBytes: 64 * MIB });
    await updateProject(world.services, ROOT, world.services.registry.get<Project>('Project', '', 'default'), { spec: { memoryLimitBytes: 100 * MIB } });
    await assert.rejects(updateInstance(world.services, ROOT, made, { spec: { memoryBytes: 128 * MIB } }), { code: 'exhausted' });
    assert.equal(world.unit('web')!.resources.memoryBytes, 64 * MIB);
  });

  it('running in the spec is a wish that is carried out', async () => {
    await using world = await FakeWorld.open();
    await world.create('web');
    assert.equal((await updateInstance(world.services, ROOT, world.get('web'), { spec: { running: true } })).status.state, 'running');
    assert.equal((await updateInstance(world.services, ROOT, world.get('web'), { spec: { running: false } })).status.state, 'stopped');
  });

  it('a value that is spelt out as its default is no change', async () => {
    await using world = await FakeWorld.open();
    const made = await world.create('web', { volumes: [{ volume: 'data', target: '/data' }] });
    assert.equal((await updateInstance(world.services, ROOT, made, { spec: { volumes: [{ volume: 'data', target: '/data', readOnly: false }] } })).meta.generation, 1);
  });
});

describe('a restart of the daemon', () => {
  it('stops nothing: what runs, is paused or lost its monitor is taken over with its pid, names, ports and ids', async () => {
    await using world = await FakeWorld.open();
    await world.run('one', { ports: [{ targetPort: 80, hostPort: 8080 }] });
    await pauseInstance(world.services, ROOT, await world.run('two'));
    await world.run('three', { isolation: 'vm' });
    await world.run('four');
    world.containers.loseMonitor(objectId(world.get('four').meta.id));
    const before = ['one', 'two', 'three', 'four'].map((name) => [world.get(name).status.pid, world.get(name).status.uidMap]);
    await world.reopen();
    assert.deepEqual(['one', 'two', 'three', 'four'].map((name) => world.get(name).status.state), ['running', 'paused', 'running', 'unsupervised']);
    assert.deepEqual(['one', 'two', 'three', 'four'].map((name) => [world.get(name).status.pid, world.get(name).status.uidMap]), before);
    for (let i = 0; i < 12; i++) await world.run(`more${i}`); // the pool and then some: no id range is given twice
    await settle();
    await assertConsistent(world);
    world.unit('one')!.process.signal('SIGTERM');
    world.unit('four')!.process.signal('SIGTERM');
    await settle();
    assert.deepEqual([world.get('one').status.exitCode, world.get('four').status.exitCode, world.get('four').status.reason], [143, undefined, 'unknown']);
    await assertConsistent(world);
  });

  it('what ended while nobody looked is stopped with its code, or started again by its policy', async () => {
    await using world = await FakeWorld.open();
    await world.run('one', { command: ['graceful', '5'] });
    await world.run('two', { command: ['graceful', '5'], restart: { policy: 'on-failure' } });
    await world.run('three', { command: ['graceful', '5'], removeOnExit: true });
    const units = ['one', 'two', 'three'].map((name) => world.unit(name)!);
    world.kill();
    for (const unit of units) unit.process.signal('SIGTERM');
    await settle();
    await world.reopen();
    assert.deepEqual([world.get('one').status.exitCode, world.get('two').status.state, world.find('three')], [5, 'backoff', undefined]);
    await world.clock.advance(100);
    assert.equal(world.get('two').status.state, 'running');
    await assertConsistent(world);
  });

  it('after a reboot of the host: nothing runs; what is always wished runs again, the others are stopped as unknown', async () => {
    await using world = await FakeWorld.open();
    await world.run('always', { restart: { policy: 'always' } });
    await world.run('once');
    await world.run('gone', { removeOnExit: true });
    await world.run('stopped', { restart: { policy: 'always' } });
    await ended(stopInstance(world.services, ROOT, world.get('stopped')));
    world.kill();
    world.containers.reboot();
    await world.reopen();
    await world.clock.advance(1000);
    assert.deepEqual(['always', 'once', 'stopped'].map((name) => [world.get(name).status.state, world.get(name).status.reason]), [['running', undefined], ['stopped', 'unknown'], ['stopped', 'killed']]);
    assert.equal(world.find('gone'), undefined);
    await assertConsistent(world);
  });

  it('one that cannot be looked at is failed with a reason; the others are taken over all the same', async () => {
    await using world = await FakeWorld.open();
    await world.run('one');
    await world.run('two');
    const id = world.get('one').meta.id;
    await world.reopen({ parts: (parts) => ({ ...parts, runtimes: { ...parts.runtimes, container: new Proxy(parts.runtimes.container, { get: (target, key) => (key === 'observe' ? (which: string) => (which === id ? Promise.reject(new Error('EIO')) : target.observe(which as never)) : Reflect.get(target, key)) }) } }) });
    assert.deepEqual([world.get('one').status.state, world.get('one').status.error?.code, world.get('two').status.state], ['failed', 'internal', 'running']);
    await world.reopen();
    await ended(deleteInstance(world.services, ROOT, world.get('one'), true));
    await ended(deleteInstance(world.services, ROOT, world.get('two'), true));
    await assertEmpty(world);
  });
});
