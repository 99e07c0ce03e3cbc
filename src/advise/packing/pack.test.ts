import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { HOST_TYPES, isNear, ONE_HOST, packingSet, SETS } from '../../../test/lib/packing-sets.ts';
import { pack } from './pack.ts';
import type { Packing, PackingHostType, PackingItem, PackingOptions } from './packing.ts';
import { addResources, fitsWithin, NO_RESOURCES, usableCapacity, type Resources } from './resources.ts';

const item = (id: string, cpuMilli: number, more: Partial<PackingItem> = {}): PackingItem => ({ id, size: { cpuMilli, memoryMiB: 1, diskMiB: 0, instances: 1 }, ...more });
const host = (cpuMilli: number, more: Partial<PackingHostType> = {}): PackingHostType => ({ id: 'host', capacity: { cpuMilli, memoryMiB: 1000, diskMiB: 1000, instances: 100 }, cost: 10, ...more });
const layout = (packing: Packing): string[][] => packing.hosts.map(({ items }) => [...items]);

/** Every rule that a packing must keep, looked at from outside. */
function check(items: readonly PackingItem[], types: readonly PackingHostType[], options: PackingOptions, packing: Packing): void {
  const byId = new Map(items.map((one) => [one.id, one]));
  const seen = [...packing.hosts.flatMap((one) => one.items), ...packing.unplaced.map(({ id }) => id)].toSorted();
  assert.deepEqual(seen, [...byId.keys()].toSorted(), 'each item is placed once, or named as unplaced');
  const hostOf = new Map<string, number>();
  for (const [at, { type, items: ids, used, usable }] of packing.hosts.entries()) {
    const real = usableCapacity(types.find(({ id }) => id === type)!.capacity, options);
    assert.deepEqual(usable, real);
    const members = ids.map((id) => byId.get(id)!);
    assert.ok(members.length > 0, 'no empty host');
    assert.deepEqual(used, members.reduce((sum, { size }) => addResources(sum, size), NO_RESOURCES));
    assert.ok(fitsWithin(used, real), `${type} holds ${JSON.stringify(used)} of ${JSON.stringify(real)}`);
    for (const one of members) {
      hostOf.set(one.id, at);
      assert.ok(one.hostTypes === undefined || one.hostTypes.includes(type), `${one.id} may not be on ${type}`);
      for (const other of members) if (other !== one) assert.ok(!(one.apartFrom ?? []).some((label) => other.labels?.includes(label)), `${one.id} beside ${other.id}`);
    }
  }
  for (const one of items) for (const other of items) {
    if (one.together !== undefined && one.together === other.together) assert.equal(hostOf.get(one.id), hostOf.get(other.id), 'what belongs together lies together');
  }
  assert.ok(packing.hosts.length >= packing.bound.hosts, `${packing.hosts.length} hosts beat the bound ${packing.bound.hosts} (${packing.bound.argument})`);
  assert.ok(packing.cost >= packing.bound.cost, 'the cost beats its bound');
  assert.equal(packing.cost, packing.hosts.reduce((sum, one) => sum + types.find(({ id }) => id === one.type)!.cost, 0));
}

const resources = (max: number): fc.Arbitrary<Resources> => fc.record({ cpuMilli: fc.integer({ min: 0, max }), memoryMiB: fc.integer({ min: 0, max }), diskMiB: fc.integer({ min: 0, max }), instances: fc.constant(1) });
const words = fc.uniqueArray(fc.constantFrom('a', 'b', 'c'), { maxLength: 2 });
const someItems = fc.array(fc.record({
  size: resources(60), labels: words, apartFrom: words, together: fc.option(fc.constantFrom('x', 'y'), { nil: undefined, freq: 8 }),
  hostTypes: fc.option(fc.uniqueArray(fc.constantFrom('t0', 't1', 't2'), { maxLength: 2 }), { nil: undefined, freq: 5 }),
}), { maxLength: 24 }).map((list) => list.map((one, i): PackingItem => ({ id: `i${i}`, ...one })));
const someTypes = fc.array(fc.record({ capacity: resources(100).map((capacity) => ({ ...capacity, instances: 10 })), cost: fc.integer({ min: 1, max: 50 }) }), { minLength: 1, maxLength: 3 })
  .map((list) => list.map((one, i): PackingHostType => ({ id: `t${i}`, ...one })));
const someOptions = fc.record({
  spareHosts: fc.constantFrom(0, 1), headroom: fc.record({ cpuMilli: fc.constantFrom(0, 0.1, 0.25) }), overcommit: fc.record({ cpuMilli: fc.constantFrom(1, 1.5, 4) }),
});

test('never above capacity, never beside what it refuses, never lost, never better than the bound', () => {
  fc.assert(fc.property(someItems, someTypes, someOptions, (items, types, options) => {
    check(items, types, options, pack(items, types, options));
  }), { numRuns: 300 });
});

test('the same whatever the order of items and types', () => {
  fc.assert(fc.property(someItems, someTypes, fc.infiniteStream(fc.nat()), (items, types, dice) => {
    const shuffled = <T>(list: readonly T[]): T[] => list.map((one) => ({ one, at: dice.next().value as number })).toSorted((a, b) => a.at - b.at).map(({ one }) => one);
    assert.equal(JSON.stringify(pack(shuffled(items), shuffled(types))), JSON.stringify(pack(items, types)));
  }), { numRuns: 150 });
});

test('with a spare host, each host could fail and lie whole on one that is empty', () => {
  fc.assert(fc.property(someItems, someTypes, (items, types) => {
    const packing = pack(items, types, { spareHosts: 1 });
    const byId = new Map(items.map((one) => [one.id, one]));
    for (const { used, items: ids } of packing.hosts) {
      assert.ok(packing.spares.some((spare) => fitsWithin(used, types.find(({ id }) => id === spare)!.capacity)
        && ids.every((id) => byId.get(id)!.hostTypes?.includes(spare) ?? true)), JSON.stringify(packing));
    }
    assert.equal(packing.spareCost, packing.spares.reduce((sum, spare) => sum + types.find(({ id }) => id === spare)!.cost, 0));
  }), { numRuns: 150 });
});

/** The least number of hosts, and the least cost, over all partitions of a few items. */
function exact(items: readonly PackingItem[], types: readonly PackingHostType[]): { hosts: number; cost: number } {
  const best = { hosts: Number.POSITIVE_INFINITY, cost: Number.POSITIVE_INFINITY };
  const priceOf = (block: readonly PackingItem[]): number => {
    if (block.some((one) => block.some((other) => one !== other && (one.apartFrom ?? []).some((label) => other.labels?.includes(label))))) return Number.POSITIVE_INFINITY;
    const size = block.reduce((sum, one) => addResources(sum, one.size), NO_RESOURCES);
    return Math.min(...types.map((type) => (fitsWithin(size, type.capacity) && block.every(({ hostTypes }) => hostTypes?.includes(type.id) ?? true) ? type.cost : Number.POSITIVE_INFINITY)));
  };
  const place = (at: number, blocks: readonly (readonly PackingItem[])[]): void => {
    if (at === items.length) {
      const cost = blocks.reduce((sum, block) => sum + priceOf(block), 0);
      if (cost < best.cost) best.cost = cost;
      if (Number.isFinite(cost) && blocks.length < best.hosts) best.hosts = blocks.length;
      return;
    }
    for (const [b, block] of blocks.entries()) place(at + 1, blocks.with(b, [...block, items[at]!]));
    place(at + 1, [...blocks, [items[at]!]]);
  };
  place(0, []);
  return best;
}

test('the bound is never above the best that there is, and the packing never below', () => {
  const few = fc.array(fc.record({ size: resources(60), labels: words, apartFrom: words, hostTypes: fc.option(fc.uniqueArray(fc.constantFrom('t0', 't1'), { minLength: 1, maxLength: 2 }), { nil: undefined, freq: 4 }) }), { minLength: 1, maxLength: 6 })
    .map((list) => list.map((one, i): PackingItem => ({ id: `i${i}`, ...one })));
  let optimal = 0;
  let runs = 0;
  fc.assert(fc.property(few, someTypes.map((types) => types.slice(0, 2)), (items, types) => {
    const packing = pack(items, types);
    const placed = items.filter(({ id }) => !packing.unplaced.some((one) => one.id === id));
    if (placed.length === 0) return;
    const best = exact(placed, types);
    assert.ok(packing.bound.hosts <= best.hosts, `${packing.bound.hosts} hosts by ${packing.bound.argument}, but ${best.hosts} do`);
    assert.ok(packing.bound.cost <= best.cost, `bound ${packing.bound.cost}, but ${best.cost} does`);
    assert.ok(packing.cost >= best.cost);
    runs++;
    if (packing.cost === best.cost) optimal++;
  }), { numRuns: 300 });
  assert.ok(optimal >= 0.95 * runs, `${optimal} of ${runs} are the best that there is`);
});

for (const name of Object.keys(SETS)) {
  test(`near the bound: ${name}`, () => {
    // Larger ones are judged by test/bench/packing.test.ts.
    for (const [count, seed] of [[30, 1], [30, 2], [300, 1], [300, 2]] as const) {
      const items = packingSet(name, count, seed);
      const packing = pack(items, [ONE_HOST]);
      check(items, [ONE_HOST], {}, packing);
      assert.ok(isNear(packing.hosts.length, packing.bound.hosts), `${count} (seed ${seed}): ${packing.hosts.length} hosts, bound ${packing.bound.hosts} by ${packing.bound.argument}`);
    }
  });

  test(`near the cheapest mixture: ${name}`, () => {
    for (const [count, seed] of [[60, 1], [200, 1]] as const) {
      const items = packingSet(name, count, seed);
      const packing = pack(items, HOST_TYPES);
      check(items, HOST_TYPES, {}, packing);
      // The bound buys fractions of hosts: with several types it lies lower than with one.
      assert.ok(packing.cost <= Math.max(packing.bound.cost + Math.max(...HOST_TYPES.map(({ cost }) => cost)), 1.08 * packing.bound.cost), `${count}: ${packing.cost}, bound ${packing.bound.cost}`);
    }
  });
}

test('an estate of several parts keeps all rules', () => {
  const items = packingSet('groups of copies apart', 5000);
  const packing = pack(items, [ONE_HOST]);
  assert.equal(packing.hosts.reduce((sum, one) => sum + one.items.length, 0), items.length);
  for (const { items: ids } of packing.hosts) assert.equal(new Set(ids.map((id) => id.split('-')[0])).size, ids.length, 'no two of a group');
  assert.ok(isNear(packing.hosts.length, packing.bound.hosts));
});

test('copies that keep apart get a host each, and the bound says why', () => {
  const copies = Array.from({ length: 5 }, (_, i) => item(`db-${i}`, 1, { labels: ['db'], apartFrom: ['db'] }));
  const packing = pack(copies, [host(1000)]);
  assert.deepEqual(layout(packing), [['db-0'], ['db-1'], ['db-2'], ['db-3'], ['db-4']]);
  assert.deepEqual(packing.bound, { hosts: 5, cost: 50, argument: 'copies that keep apart' });
});

test('what refuses another stays away from it, though the other does not mind', () => {
  const packing = pack([item('tenant', 1, { labels: ['foreign'] }), item('payment', 1, { apartFrom: ['foreign'] })], [host(1000)]);
  assert.equal(packing.hosts.length, 2);
});

test('what belongs together is one load; too large together, it is unplaced and says so', () => {
  assert.deepEqual(layout(pack([item('a', 400, { together: 'pod' }), item('b', 400, { together: 'pod' }), item('c', 400)], [host(1000)])), [['c'], ['a', 'b']]);
  const packing = pack([item('a', 600, { together: 'pod' }), item('b', 600, { together: 'pod' })], [host(1000)]);
  assert.deepEqual(packing.unplaced, ['a', 'b'].map((id) => ({ id, reason: 'it takes more CPU (1200) than any host type has left for use (1000), together with what must lie beside it' })));
  const clash = pack([item('a', 1, { together: 'pod', labels: ['x'] }), item('b', 1, { together: 'pod', apartFrom: ['x'] })], [host(1000)]);
  assert.match(clash.unplaced[0]!.reason, /must lie on one host, but its members keep apart from 'x'/);
});

test('headroom is kept, overcommit is used, counts of instances hold', () => {
  const ten = Array.from({ length: 10 }, (_, i) => item(`w${i}`, 100));
  assert.equal(pack(ten, [host(1000)]).hosts.length, 1);
  assert.equal(pack(ten, [host(1000)], { headroom: { cpuMilli: 0.1 } }).hosts.length, 2);
  assert.equal(pack(ten, [host(500)], { overcommit: { cpuMilli: 2 } }).hosts.length, 1);
  assert.equal(pack(ten, [host(1000, { capacity: { cpuMilli: 1000, memoryMiB: 1000, diskMiB: 0, instances: 4 } })]).hosts.length, 3);
});

test('the cheapest mixture is chosen, not the largest host', () => {
  const types = [host(1000, { id: 'large', cost: 100 }), host(100, { id: 'small', cost: 15 })];
  const packing = pack([item('a', 950), item('b', 90)], types);
  assert.deepEqual(packing.hosts.map(({ type, items }) => [type, ...items]), [['small', 'b'], ['large', 'a']]);
  assert.deepEqual(packing.cost, 115);
});

test('host types that only some may have add up in the bound', () => {
  const types = [host(1000, { id: 'plain' }), host(1000, { id: 'gpu', cost: 90 })];
  const packing = pack([item('a', 900, { hostTypes: ['plain'] }), item('b', 900, { hostTypes: ['gpu'] })], types);
  assert.deepEqual([packing.cost, packing.bound.cost, packing.bound.hosts], [100, 100, 2]);
});

test('wrong input is refused with a sentence', () => {
  assert.throws(() => pack([item('a', 1), item('a', 1)], [host(1)]), /'a' is there twice/);
  assert.throws(() => pack([item('a', 0.5)], [host(1)]), /no whole number/);
  assert.throws(() => pack([item('a', 1)], []), /no host type/);
  assert.throws(() => pack([], [host(1), host(1)]), /listed twice/);
  assert.deepEqual(pack([], [host(1)]).hosts, []);
});
