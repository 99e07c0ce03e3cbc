/** A step that fails (the hook throws in its place, or right after it) is taken back; what cannot be is a named state. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { assertConsistent, assertEmpty } from '../../../test/lib/consistency.ts';
import { callsOf, type SweepCase } from '../../../test/lib/crash-sweep.ts';
import { ended, FakeWorld, ROOT } from '../../../test/lib/fake-control.ts';
import { Life } from '../../../test/lib/mortal.ts';
import { settle } from '../../../test/lib/test-clock.ts';
import { BerthError } from '../../model/errors.ts';
import type { AuditRecord } from '../../model/audit-record.ts';
import { deleteInstance } from './delete.ts';
import { startInstance } from './start.ts';
import { CREATE, CREATE_AND_START, DELETE, START, STOP } from './step-lists.ts';
import { stopInstance } from './stop.ts';

const ERRNOS: Readonly<Record<string, string>> = { EIO: 'internal', ENOSPC: 'exhausted', EPERM: 'internal' };
const RICH = { volumes: [{ volume: 'data', target: '/data' }], ports: [{ targetPort: 80, hostPort: 8080 }] };

interface Target {
  readonly at: string;
  readonly errno: string;
}

/** A world whose daemon fails once at one moment of one step. */
async function worldThatFails({ at, errno }: Target, prepare: (world: FakeWorld) => Promise<unknown>): Promise<FakeWorld> {
  const world = await FakeWorld.open();
  await prepare(world);
  let failed = false;
  await world.reopen({
    stepHook(verb, step, moment) {
      if (failed || `${verb}/${step}/${moment}` !== at) return;
      failed = true;
      throw Object.assign(new Error(`${errno}: made to fail by a test`), { code: errno });
    },
  });
  await settle();
  return world;
}

async function lastAudit(world: FakeWorld, verb: string): Promise<AuditRecord> {
  const { items } = await world.services.registry.records<AuditRecord>('AuditRecord');
  return items.findLast((record) => record.spec.verb === verb)!;
}

function moments(list: { readonly verb: string; readonly steps: readonly { readonly name: string }[] }): Target[] {
  return list.steps.flatMap((step) => (['before', 'after'] as const).flatMap((moment) => Object.keys(ERRNOS).map((errno) => ({ at: `${list.verb}/${step.name}/${moment}`, errno }))));
}

describe('a step of a create that fails', () => {
  for (const [name, list, running] of [['create', CREATE, false], ['create and start', CREATE_AND_START, true]] as const) {
    for (const target of moments(list)) {
      it(`${name}: ${target.errno} ${target.at}: nothing is left, and the same again succeeds`, async () => {
        await using world = await worldThatFails(target, async () => undefined);
        await assert.rejects(world.create('web', { ...RICH, running }), { code: ERRNOS[target.errno] });
        assert.deepEqual((await lastAudit(world, 'instance.create')).status.errorCode, ERRNOS[target.errno]);
        await settle();
        await assertEmpty(world);
        await world.create('web', { ...RICH, running });
        await assertConsistent(world);
      });
    }
  }
});

describe('a step of a start that fails', () => {
  for (const target of moments(START)) {
    it(`${target.errno} ${target.at}: failed with its code, nothing runs, and a start succeeds`, async () => {
      await using world = await worldThatFails(target, (one) => one.create('web', RICH));
      await assert.rejects(ended(startInstance(world.services, ROOT, world.get('web'))), { code: ERRNOS[target.errno] });
      const { status } = world.get('web');
      assert.deepEqual([status.state, status.error?.code, status.uidMap, status.pid], ['failed', ERRNOS[target.errno], undefined, undefined]);
      await assertConsistent(world);
      await ended(startInstance(world.services, ROOT, world.get('web')));
      await assertConsistent(world);
    });
  }
});

describe('a step of a stop or a delete that fails', () => {
  for (const [list, run] of [
    [STOP, (world: FakeWorld) => ended(stopInstance(world.services, ROOT, world.get('web')))],
    [DELETE, (world: FakeWorld) => ended(deleteInstance(world.services, ROOT, world.get('web'), true))],
  ] as const) {
    for (const target of moments(list)) {
      for (const way of ['start', 'delete'] as const) {
        if (list === DELETE && way === 'start') continue; // its disk may be gone
        it(`${target.errno} ${target.at}: failed with its code, and ${way} gets on with what is left`, async () => {
          await using world = await worldThatFails(target, (one) => one.run('web', RICH));
          await assert.rejects(run(world), { code: ERRNOS[target.errno] });
          const { status } = world.get('web');
          assert.deepEqual([status.state, status.error?.code, status.operation], ['failed', ERRNOS[target.errno], undefined]);
          await settle();
          if (way === 'start') {
            await ended(startInstance(world.services, ROOT, world.get('web')));
            await assertConsistent(world);
          }
          await ended(deleteInstance(world.services, ROOT, world.get('web'), true));
          await assertEmpty(world);
        });
      }
    }
  }
});

describe('an undo that fails once', () => {
  for (const { name } of CREATE_AND_START.steps.filter((step) => step.undo !== undefined)) {
    it(`create: ${name}: told as such; the others are undone; the leak has a name`, async () => {
      await using world = await FakeWorld.open();
      await world.reopen({
        stepHook(verb, step, moment) {
          if (verb !== 'instance.create') return;
          if (step === 'workload' && moment === 'after') throw new Error('the last step fails');
          if (step === name && moment === 'undo') throw new Error('and so does an undo');
        },
      });
      await settle();
      await assert.rejects(world.run('web', RICH), { code: 'internal', message: new RegExp(`'${name}'.*could not be taken back`), hint: /leaks/ });
      assert.equal(world.find('web'), undefined);
      assert.ok(world.log.some((line) => line.level === 'error' && line.facts['step'] === name));
      assert.deepEqual(world.services.registry.claimKeys('address/'), []);
    });
  }
});

describe('a call to the outside that fails', () => {
  const cases: readonly (SweepCase & { readonly after: (world: FakeWorld) => Promise<unknown> })[] = [
    { name: 'create and start', run: (world) => world.run('web', RICH), after: (world) => world.run('web', RICH) },
    { name: 'start', async prepare(world) { await world.create('web', RICH); }, run: (world) => ended(startInstance(world.services, ROOT, world.get('web'))), after: (world) => ended(startInstance(world.services, ROOT, world.get('web'))) },
    { name: 'stop', async prepare(world) { await world.run('web', RICH); }, run: (world) => ended(stopInstance(world.services, ROOT, world.get('web'))), after: (world) => ended(startInstance(world.services, ROOT, world.get('web'))) },
    { name: 'forced delete', async prepare(world) { await world.run('web', RICH); }, run: (world) => ended(deleteInstance(world.services, ROOT, world.get('web'), true)), after: (world) => ended(deleteInstance(world.services, ROOT, world.get('web'), true)) },
  ];
  for (const one of cases) {
    it(`${one.name}: at each of its calls, once; an answer with a code comes, and the same again succeeds`, async () => {
      const calls = await callsOf(one);
      for (const [index, call] of calls.entries()) {
        if (call.startsWith('store.') || call.endsWith('.available')) continue; // the next test; a question that throws nothing
        await using world = await FakeWorld.open();
        await one.prepare?.(world);
        const life = new Life();
        await world.reopen({ life });
        await settle();
        let count = -1;
        life.before = () => {
          if (++count === index) throw Object.assign(new Error('ENOSPC: a test'), { code: 'ENOSPC' });
        };
        const result = await one.run(world).then(() => 'done', (error: unknown) => (error instanceof BerthError ? error.code : String(error)));
        life.before = () => undefined;
        await settle();
        // What fails beside the verb (filling the pool) is told in the log alone.
        assert.ok(result === 'exhausted' || (result === 'done' && world.log.some((line) => line.level !== 'info')) || (one.name === 'stop' && result === 'done'), `${call}: ${result}`);
        if (result === 'exhausted') await one.after(world);
        await settle();
        await assertConsistent(world);
      }
    });
  }

  it('a store that is full at any moment: an answer with a code; what is under way is finished or taken back by the next daemon', async () => {
    for (const one of cases) {
      const calls = await callsOf(one);
      for (const [index, call] of calls.entries()) {
        if (call !== 'store.txn') continue;
        await using world = await FakeWorld.open();
        await one.prepare?.(world);
        const life = new Life();
        await world.reopen({ life });
        await settle();
        let count = -1;
        let full = false;
        life.before = ({ on }) => {
          full ||= ++count === index;
          if (full && on === 'store') throw new BerthError('exhausted', 'The disk of the store is full.');
        };
        await assert.rejects(one.run(world), (error: unknown) => error instanceof BerthError && error.code === 'exhausted');
        await settle();
        await world.reopen();
        await settle();
        await assertConsistent(world);
      }
    }
  });
});
