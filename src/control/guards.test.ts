/**
 * J01, J11: what the cases about crashes and about one name for one object are worth: each is tried once more without the guard
 * that it is about, and must go red.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { assertConsistent } from '../../test/lib/consistency.ts';
import { armAt } from '../../test/lib/crash-sweep.ts';
import { FakeWorld } from '../../test/lib/fake-control.ts';
import { Life } from '../../test/lib/mortal.ts';
import { goesRed } from '../../test/lib/red.ts';
import { settle } from '../../test/lib/test-clock.ts';
import type { ControlParts } from './control.ts';

type Parts = (parts: ControlParts) => ControlParts;

/** The same object with one method replaced. */
function replaced<T extends object, K extends keyof T>(target: T, name: K, method: (real: T[K]) => T[K]): T {
  const value = Reflect.get(target, name, target) as T[K] & ((...args: unknown[]) => unknown);
  const other = method(value.bind(target) as unknown as T[K]);
  return new Proxy(target, { get: (_target, key) => (key === name ? other : bound(target, key)) });
}

function bound(target: object, key: PropertyKey): unknown {
  const value = Reflect.get(target, key, target) as unknown;
  return typeof value === 'function' ? (...args: unknown[]) => Reflect.apply(value as (...all: unknown[]) => unknown, target, args) : value;
}

async function hundredMakers(parts?: Parts): Promise<void> {
  await using world = await FakeWorld.open({ parts });
  const results = await Promise.allSettled(Array.from({ length: 100 }, () => world.create('same')));
  assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1);
}

describe('J11: one name is given once', () => {
  it('with the store’s compares', () => hundredMakers());

  it('goes red with a store that puts whatever is there', () => goesRed(() => hundredMakers((all) => ({
    ...all, store: replaced(all.store, 'txn', (txn) => (compares, changes) => txn(compares.filter((compare) => !('absent' in compare)), changes)),
  }))));
});

/** The daemon dies after each call of a create in turn; the next one has the parts given. */
async function diesInCreate(parts?: Parts): Promise<void> {
  for (let index = 0; ; index++) {
    await using world = await FakeWorld.open();
    const life = new Life();
    await world.reopen({ life });
    await settle();
    armAt(life, index, 'after');
    await Promise.race([world.create('web', { running: true, ports: [{ targetPort: 80, hostPort: 8080 }] }).then(settle, settle), life.died]);
    if (!life.isOver) return;
    await world.reopen({ parts });
    await settle();
    await assertConsistent(world);
  }
}

describe('J01: a daemon killed in a create', () => {
  it('leaves nothing without an owner', () => diesInCreate());

  const nothing = () => Promise.resolve() as never;
  it('goes red when the next one does not take the root back', () => goesRed(() => diesInCreate((all) => ({ ...all, storage: replaced(all.storage, 'removeRoot', () => nothing) }))));
  it('goes red when the next one does not take the unit back', () => goesRed(() => diesInCreate((all) => ({ ...all, runtimes: { ...all.runtimes, container: replaced(all.runtimes.container, 'remove', () => nothing) } }))));
  it('goes red when the next one does not give the network’s things back', () => goesRed(() => diesInCreate((all) => ({ ...all, network: replaced(all.network, 'release', () => nothing) }))));
});
