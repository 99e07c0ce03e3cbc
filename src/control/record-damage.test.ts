/**
 * J06: every record of the store, of every kind, cut off, emptied, with a bit flipped, or replaced by something else that can be
 * read. The next daemon starts, says which record it is, leaves it alone, and whoever it is not about is well.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FakeWorld, ROOT } from '../../test/lib/fake-control.ts';
import { deleteInstance } from './instance/delete.ts';
import { startInstance } from './instance/start.ts';
import { stopInstance } from './instance/stop.ts';
import { goesRed } from '../../test/lib/red.ts';
import { createNetwork } from './network/network.ts';
import { createProject } from './project/project.ts';
import { Registry } from './registry.ts';
import { createVolume } from './volume/volume.ts';
import { KINDS, type KindName } from '../model/kinds.ts';
import type { AuditRecord } from '../model/audit-record.ts';
import type { Event } from '../model/event.ts';

const text = new TextDecoder();
const bytes = new TextEncoder();

/** From what is there to what is read; undefined: not for this record. */
const DAMAGES: Readonly<Record<string, (value: Uint8Array) => Uint8Array>> = {
  empty: () => new Uint8Array(),
  half: (value) => value.slice(0, value.length >> 1),
  'one byte short': (value) => value.slice(0, -1),
  'a bit flipped at its begin': (value) => value.map((byte, at) => (at === 0 ? byte ^ 0x10 : byte)),
  'a byte that is no text': (value) => value.map((byte, at) => (at === value.length >> 1 ? 0xff : byte)),
  null: () => bytes.encode('null'),
  'another document': () => bytes.encode('{"schema":1,"object":{}}'),
  'without its insides': (value) => bytes.encode(text.decode(value).replace(/"spec":.*$/s, '"spec":null}}')),
  'with a status of another shape': (value) => bytes.encode(text.decode(value).replace(/"status":.*$/s, '"status":"odd"}}')),
  'under another name': (value) => bytes.encode(text.decode(value).replace(/"name":"[^"]*"/, '"name":"someone-else"')),
};

async function worldWithAll(): Promise<FakeWorld> {
  const world = await FakeWorld.open();
  await createProject(world.services, ROOT, { name: 'other' }, {});
  await (await createNetwork(world.services, ROOT, { project: 'default', meta: { name: 'lan' }, spec: { isolated: false, internal: false } })).done;
  await (await createVolume(world.services, ROOT, { project: 'default', meta: { name: 'data' }, spec: { type: 'filesystem' } })).done;
  await world.run('well', { restart: { policy: 'always' } });
  await world.run('hurt', { networks: [{ name: 'lan' }], volumes: [{ volume: 'data', target: '/data' }], ports: [{ targetPort: 80, hostPort: 8080 }] });
  await world.create('idle');
  await world.create('resting', { networks: [{ name: 'lan' }], volumes: [{ volume: 'data', target: '/data' }] });
  return world;
}

async function allKeys(world: FakeWorld): Promise<Map<string, Uint8Array>> {
  const found = new Map<string, Uint8Array>();
  let after: string | undefined;
  for (;;) {
    const page = await world.store.range({ prefix: '', limit: 1000, ...(after === undefined ? {} : { after }) });
    for (const { key, value } of page.values) found.set(key, value);
    if (!page.more) return found;
    after = page.values.at(-1)!.key;
  }
}

/** One of each sort is enough: `o/Instance`, `u/port`. Of instances all three. */
function samples(keys: Iterable<string>): string[] {
  const seen = new Set<string>();
  return [...keys].filter((key) => {
    const sort = key.startsWith('o/Instance/') || key.startsWith('o/Network/') || key.startsWith('o/Project/') ? key : key.split('/').slice(0, 2).join('/');
    return seen.has(sort) ? false : seen.add(sort);
  });
}

describe('J06: a record of the store is damaged', () => {
  it('every kind is among the records', async () => {
    await using world = await worldWithAll();
    const kinds = new Set([...(await allKeys(world)).keys()].flatMap((key) => (key.startsWith('o/') ? [key.split('/')[1]!] : [])));
    assert.deepEqual((Object.keys(KINDS) as KindName[]).filter((kind) => kind !== 'Pool' && !kinds.has(kind)), [], 'a pool is not stored');
  });

  for (const [how, damaged] of Object.entries(DAMAGES)) {
    it(how, async () => {
      await using world = await worldWithAll();
      const whole = await allKeys(world);
      const pid = world.get('well').status.pid;
      for (const key of samples(whole.keys())) {
        const value = whole.get(key)!;
        const broken = damaged(value);
        if (Buffer.from(broken).equals(Buffer.from(value))) continue;
        world.kill();
        await world.store.txn([], [{ put: key, value: broken }]);
        world.log.length = 0;
        await world.reopen().catch((error: Error) => assert.fail(`${key} ${how}: ${error.stack}`));
        const where = `${key} ${how}`;
        const { registry } = world.services;
        const isObject = key.startsWith('o/');
        const isRecord = /^o\/(Event|AuditRecord)\//.test(key);
        if (!key.endsWith('/well') && !key.includes('/Node/')) assert.deepEqual([world.get('well').status.state, world.get('well').status.pid], ['running', pid], where);
        for (const kind of Object.keys(KINDS) as KindName[]) registry.list(kind);
        const events = (await registry.records<Event>('Event')).items;
        const audit = (await registry.records<AuditRecord>('AuditRecord')).items;
        if (isRecord) assert.ok([...events, ...audit].some((one) => key.endsWith(`/${one.meta.name}`) && JSON.stringify(one.spec).includes('cannot be read')), `${where}: has its place in the list`);
        if (isObject && !isRecord) {
          assert.ok(registry.quarantined.some((one) => one.key === key), `${where} is set aside`);
          assert.ok(world.log.some((line) => line.level === 'error' && line.facts['key'] === key), `${where}: loud in the log`);
          assert.ok(events.some((event) => event.spec.type === 'object.quarantined' && event.spec.message.includes(key)), `${where}: an event`);
          // A node says anew what it is at every start.
          if (!key.startsWith('o/Node/')) assert.deepEqual(Buffer.from((await world.store.get(key))!.value), Buffer.from(broken), `${where}: left as it is`);
        }
        // Who needs what is damaged is told so, and does not run into it.
        if (/^o\/(Image|Network|Volume|Project)\//.test(key)) {
          const { error } = (await (await startInstance(world.services, ROOT, world.get('resting'))).done).status;
          assert.ok(error === undefined || /cannot be read|is gone/.test(error.message), `${where}: start: ${JSON.stringify(error)}`);
          if (/lan$|Image/.test(key)) assert.equal(error?.code, 'notFound', `${where}: start: ${JSON.stringify(error)}`);
        }
        // What it needs is there: an image, the default network and project.
        if (!/^o\/(Image|Network|Project|Node)\//.test(key)) {
          await world.create('later').catch((error: Error) => assert.fail(`${where}: nothing new can be made: ${error.stack}`));
          await (await deleteInstance(world.services, ROOT, world.get('later'), true)).done;
        }
        world.kill();
        await world.store.txn([], [{ put: key, value }]);
        await world.reopen();
        assert.deepEqual(world.services.registry.quarantined, [], `${where}: mended`);
        assert.deepEqual([world.get('well').status.state, world.get('well').status.pid], ['running', pid], `${where}: mended`);
        if (world.get('resting').status.state !== 'running') await (await startInstance(world.services, ROOT, world.get('resting'))).done;
        assert.equal(world.get('resting').status.state, 'running', `${where}: mended`);
        await (await stopInstance(world.services, ROOT, world.get('resting'))).done;
      }
    });
  }

  for (const [how, value] of [['that is behind', '00000000000002'], ['that is no number', 'x'], ['that is missing', undefined]] as const) {
    it(`a sequence ${how} does not let new records take the place of old ones`, async () => {
      await using world = await worldWithAll();
      const before = (await world.services.registry.records<AuditRecord>('AuditRecord')).items;
      world.kill();
      await world.store.txn([], [value === undefined ? { delete: 'u/sequence' } : { put: 'u/sequence', value: bytes.encode(value) }]);
      await world.reopen();
      await world.create('later');
      const after = (await world.services.registry.records<AuditRecord>('AuditRecord')).items;
      assert.deepEqual(after.slice(0, before.length), before);
      assert.ok(after.length > before.length);
    });
  }

  it('goes red with a reader that believes what it reads', async () => {
    await using world = await worldWithAll();
    const key = 'o/Instance/default/hurt';
    const value = (await world.store.get(key))!.value;
    await world.store.txn([], [{ put: key, value: DAMAGES['with a status of another shape']!(value) }]);
    const setAside = async (...decode: [((bytes: Uint8Array) => never)?]): Promise<void> => {
      assert.deepEqual((await Registry.open(world.store, ...decode)).quarantined.map((one) => one.key), [key]);
    };
    await setAside();
    await goesRed(() => setAside((stored) => (JSON.parse(text.decode(stored)) as { object: never }).object));
  });
});
