import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeApi } from '../../test/lib/fake-api.ts';
import { FakeWorld } from '../../test/lib/fake-control.ts';
import { targetOf } from '../control/records.ts';
import { Transaction } from '../control/registry.ts';

test('the newest records that pass a filter are found behind many that do not', async () => {
  await using api = await FakeApi.open();
  await api.create('rare');
  const { registry, journal } = api.world.services;
  const target = targetOf(registry.list('Project')[0]!);
  for (let i = 0; i < 60; i++) {
    const transaction = new Transaction();
    journal.records.event(transaction, 'project.updated', target, `number ${i}`);
    await registry.commit(transaction);
  }
  const { body } = await api.request('GET', '/v1/projects/default/events?limit=1&filter=target%3Drare');
  assert.equal(body.items.length, 1);
  assert.equal(body.items[0].spec.target.name, 'rare');
  const newest = await api.request('GET', '/v1/projects/default/events?limit=2');
  assert.deepEqual(newest.body.items.map((one: { spec: { message: string } }) => one.spec.message), ['number 58', 'number 59']);
});

test('lists have the oldest first, after a start of the daemon, too', async () => {
  await using world = await FakeWorld.open();
  for (const name of ['zeta', 'middle', 'alpha']) {
    await world.create(name);
    await world.clock.advance(5);
  }
  const names = (): string[] => world.services.registry.list('Instance').map((one) => one.meta.name);
  assert.deepEqual(names(), ['zeta', 'middle', 'alpha']);
  await world.reopen();
  assert.deepEqual(names(), ['zeta', 'middle', 'alpha']);
});
