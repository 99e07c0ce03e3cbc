import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Arrivals } from './arrivals.ts';

describe('arrivals', () => {
  it('what several hold goes when the last lets go, however long that takes', () => {
    let now = 0;
    const arrivals = new Arrivals(() => now);
    const first = arrivals.lease();
    const second = arrivals.lease();
    first.hold('a', 'b', 'a');
    second.hold('a');
    now = 10_000_000;
    assert.deepEqual(['a', 'b', 'c'].map((key) => arrivals.isUnderWay(key)), [true, true, false]);
    first[Symbol.dispose]();
    first[Symbol.dispose]();
    assert.deepEqual(['a', 'b'].map((key) => arrivals.isHeld(key)), [true, false]);
    second[Symbol.dispose]();
    assert.equal(arrivals.isHeld('a'), false);
  });

  it('who left holds nothing any more', () => {
    const arrivals = new Arrivals();
    const lease = arrivals.lease();
    lease[Symbol.dispose]();
    lease.hold('a');
    assert.equal(arrivals.isHeld('a'), false);
  });

  it('what came in is kept for a while, unless it was settled', () => {
    let now = 0;
    const arrivals = new Arrivals(() => now);
    arrivals.add('a');
    arrivals.add('b');
    arrivals.settle(['b']);
    assert.deepEqual([arrivals.isUnderWay('a'), arrivals.isHeld('a'), arrivals.isUnderWay('b')], [true, false, false]);
    now = 600_000;
    assert.equal(arrivals.isUnderWay('a'), false);
  });

  it('nobody finds what is on its way out', async () => {
    const arrivals = new Arrivals();
    const gate = Promise.withResolvers<undefined>();
    const order: string[] = [];
    const removal = arrivals.removing('a', () => gate.promise.then(() => order.push('removed')));
    const look = arrivals.removed('a').then(() => order.push('looked'));
    await arrivals.removed('b');
    gate.resolve(undefined);
    await Promise.all([removal, look]);
    assert.deepEqual(order, ['removed', 'looked']);
    await assert.rejects(arrivals.removing('c', () => Promise.reject(new Error('EIO'))), /EIO/);
    await arrivals.removed('c');
  });
});
