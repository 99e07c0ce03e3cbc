import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FakeWorld, ROOT } from '../../test/lib/fake-control.ts';
import { settle } from '../../test/lib/test-clock.ts';
import { targetOf } from './records.ts';
import { Transaction } from './registry.ts';

describe('events', () => {
  it('old ones go, whatever numbers the audit records between them take; audit records stay', async () => {
    await using world = await FakeWorld.open();
    const { registry, journal } = world.services;
    const target = targetOf(registry.list('Project')[0]!);
    const withAudit = (transaction = new Transaction()) => {
      journal.records.outcome(transaction, journal.records.intent(transaction, ROOT, 'instance.kill', target), 'ok');
      return transaction;
    };
    const audited = async () => (await registry.records('AuditRecord', undefined, 100_000)).items.length;
    const before = await audited();
    if (registry.sequence % 2 === 1) await registry.commit(withAudit());
    for (let i = 0; i < 6000; i++) {
      const transaction = new Transaction();
      // Every event gets an odd number: who looks for round ones among them waits for ever.
      journal.records.event(transaction, 'instance.exited', target, `number ${i}`);
      await registry.commit(withAudit(transaction));
      if (i % 500 === 0) await settle();
    }
    await settle();
    const { items } = await registry.records('Event', undefined, 100_000);
    assert.ok(items.length >= 2500 && items.length < 2700, String(items.length));
    assert.equal((items.at(-1)!.spec as { message: string }).message, 'number 5999');
    assert.ok(await audited() - before >= 6000);
    assert.ok(await journal.records.trimEvents() <= 100);
    assert.equal(await journal.records.trimEvents(), 0);
  });

  it('a restart begins the count of the numbers where it was', async () => {
    await using world = await FakeWorld.open();
    const before = world.services.registry.sequence;
    await world.create('web');
    await world.reopen();
    await world.create('other');
    const names = (await world.services.registry.records('AuditRecord')).items.map((one) => one.meta.name);
    assert.equal(new Set(names).size, names.length);
    assert.deepEqual(names, names.toSorted());
    assert.ok(world.services.registry.sequence > before + 3);
  });
});
