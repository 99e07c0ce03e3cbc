/**
 * What every store must do, as node:test cases. The store that a factory opens may be shared with earlier cases: each
 * case writes below a prefix of its own and counts revisions from the one that it finds.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, it } from 'node:test';
import { BerthError, type ErrorCode } from '../../model/errors.ts';
import {
  MAX_KEY_BYTES, MAX_TXN_BYTES, MAX_TXN_ITEMS, MAX_WAITING_EVENTS, type Change, type Compare, type Store, type StoreFactory,
  type StoreEvent, type WatchBatch,
} from './driver.ts';

const DEADLINE_MS = 20_000;

export function storeContract(factory: StoreFactory): void {
  /** Opens a store, hands it over with a prefix that nobody used, and closes it. */
  function check(name: string, body: (store: Store, at: string) => Promise<void>): void {
    it(name, async () => {
      await using store = await factory.open();
      await body(store, `${randomUUID()}/`);
    });
  }

  describe(`store contract: ${factory.name}`, () => {
    check('a put is read back with its revisions, version and bytes', async (store, at) => {
      const before = await store.revision();
      assert.equal(await store.get(`${at}a`), undefined);
      assert.deepEqual(await put(store, `${at}a`, 'one'), { succeeded: true, revision: before + 1 });
      assert.deepEqual(await put(store, `${at}a`, Uint8Array.of(0, 255, 128)), { succeeded: true, revision: before + 2 });
      const found = await store.get(`${at}a`);
      assert.deepEqual({ ...found, value: [...found!.value] }, {
        key: `${at}a`, value: [0, 255, 128], createRevision: before + 1, modRevision: before + 2, version: 2,
      });
      assert.equal(await store.revision(), before + 2);
    });

    check('an empty value is a value', async (store, at) => {
      await put(store, `${at}a`, '');
      assert.equal((await store.get(`${at}a`))!.value.length, 0);
    });

    check('what is read and what was put share no memory with the store', async (store, at) => {
      const value = Buffer.from('keep');
      const done = put(store, `${at}a`, value);
      value.fill(0);
      await done;
      (await store.get(`${at}a`))!.value.fill(1);
      assert.equal(text((await store.get(`${at}a`))!.value), 'keep');
    });

    check('a deleted key is gone and begins anew', async (store, at) => {
      const before = await store.revision();
      await put(store, `${at}a`, 'one');
      await put(store, `${at}a`, 'two');
      await store.txn([], [{ delete: `${at}a` }]);
      assert.equal(await store.get(`${at}a`), undefined);
      await put(store, `${at}a`, 'three');
      const found = (await store.get(`${at}a`))!;
      assert.deepEqual([found.createRevision, found.modRevision, found.version], [before + 4, before + 4, 1]);
    });

    check('what changes nothing takes no revision', async (store, at) => {
      const before = await store.revision();
      assert.deepEqual(await store.txn([], []), { succeeded: true, revision: before });
      assert.deepEqual(await store.txn([], [{ delete: `${at}a` }]), { succeeded: true, revision: before });
      assert.deepEqual(await store.txn([], [{ deletePrefix: at }]), { succeeded: true, revision: before });
      assert.equal(await store.revision(), before);
    });

    check('every compare must hold', async (store, at) => {
      const { revision } = await put(store, `${at}a`, 'one');
      const cases: [Compare, boolean][] = [
        [{ key: `${at}a`, present: true }, true],
        [{ key: `${at}a`, absent: true }, false],
        [{ key: `${at}a`, modRevision: revision }, true],
        [{ key: `${at}a`, modRevision: revision + 1 }, false],
        [{ key: `${at}b`, present: true }, false],
        [{ key: `${at}b`, absent: true }, true],
        [{ key: `${at}b`, modRevision: revision }, false],
      ];
      for (const [compare, holds] of cases) {
        assert.equal((await store.txn([compare], [])).succeeded, holds, JSON.stringify(compare));
        assert.equal((await store.txn([{ key: `${at}a`, present: true }, compare], [])).succeeded, holds, JSON.stringify(compare));
      }
    });

    check('a transaction is all or nothing, at one revision', async (store, at) => {
      await put(store, `${at}a`, 'one');
      const before = await store.revision();
      const changes: Change[] = [putting(`${at}b`, 'b'), { delete: `${at}a` }, putting(`${at}c`, 'c')];
      assert.deepEqual(await store.txn([{ key: `${at}b`, present: true }], changes), { succeeded: false, revision: before });
      assert.deepEqual(await keys(store, at), ['a']);
      assert.deepEqual(await store.txn([{ key: `${at}b`, absent: true }], changes), { succeeded: true, revision: before + 1 });
      assert.deepEqual(await keys(store, at), ['b', 'c']);
      const { values } = await store.range({ prefix: at });
      assert.ok(values.every((value) => value.createRevision === before + 1 && value.modRevision === before + 1));
    });

    check('of concurrent claims to one key exactly one wins, and the others stand', async (store, at) => {
      const before = await store.revision();
      const claims = Array.from({ length: 20 }, (_, i) => store.txn([{ key: `${at}name`, absent: true }], [putting(`${at}name`, String(i))]));
      const others = Array.from({ length: 20 }, (_, i) => put(store, `${at}other/${i}`, 'x'));
      const won = (await Promise.all(claims)).filter((result) => result.succeeded);
      const revisions = (await Promise.all(others)).map((result) => result.revision);
      assert.equal(won.length, 1);
      assert.equal(new Set([...revisions, won[0]!.revision]).size, 21);
      assert.equal(await store.revision(), before + 21);
      assert.equal((await keys(store, at)).length, 21);
    });

    check('deletePrefix takes exactly the keys that start with it', async (store, at) => {
      const names = ['a', 'a/1', 'a/2', 'a/\u{10ffff}x', 'a0', 'ab', 'b'];
      await store.txn([], names.map((name) => putting(at + name, name)));
      const before = await store.revision();
      const events = collect(store, at, before, 3);
      assert.equal((await store.txn([], [{ deletePrefix: `${at}a/` }, { delete: `${at}b` }])).revision, before + 1);
      assert.deepEqual(await keys(store, at), ['a', 'a0', 'ab']);
      assert.deepEqual((await events).map((event) => [event.type, keyOf(event).slice(at.length)]), [
        ['delete', 'a/1'], ['delete', 'a/2'], ['delete', 'a/\u{10ffff}x'], ['delete', 'b'],
      ]);
    });

    check('keys are ordered by their bytes, not by UTF-16 units', async (store, at) => {
      const names = ['z', '\u{e000}', '\u{ffff}', '\u{10000}', '\u{10ffff}', 'é', '~', 'A', '\u{d7ff}'];
      await store.txn([], names.map((name) => putting(at + name, name)));
      const sorted = names.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
      assert.deepEqual(await keys(store, at), sorted);
      for (const name of sorted) {
        const { values } = await store.range({ prefix: at, after: at + name });
        assert.deepEqual(values.map((value) => value.key.slice(at.length)), sorted.slice(sorted.indexOf(name) + 1));
        assert.deepEqual(await keys(store, at + name), ['']);
      }
    });

    check('a range is paged at one revision while writers go on', async (store, at) => {
      for (let i = 0; i < 7; i++) await put(store, `${at}${i}`, 'old');
      const first = await store.range({ prefix: at, limit: 3 });
      assert.deepEqual([first.values.length, first.more], [3, true]);
      await store.txn([], [{ delete: `${at}3` }, putting(`${at}4`, 'new'), putting(`${at}5x`, 'new')]);
      const second = await store.range({ prefix: at, limit: 3, after: first.values.at(-1)!.key, revision: first.revision });
      assert.deepEqual(second.values.map((value) => [value.key.slice(at.length), text(value.value)]), [['3', 'old'], ['4', 'old'], ['5', 'old']]);
      assert.deepEqual([second.more, second.revision], [true, first.revision]);
      const last = await store.range({ prefix: at, limit: 3, after: second.values.at(-1)!.key, revision: first.revision });
      assert.deepEqual([last.values.length, last.more], [1, false]);
      const exact = await store.range({ prefix: at, limit: 7 });
      assert.deepEqual([exact.values.length, exact.more], [7, false]);
      assert.deepEqual((await store.range({ prefix: `${at}5`, after: `${at}1` })).values.length, 2);
      assert.deepEqual((await store.range({ prefix: `${at}1`, after: `${at}9` })).values.length, 0);
    });

    check('the past is read as it was', async (store, at) => {
      const start = await store.revision();
      await put(store, `${at}a`, 'one');
      await put(store, `${at}b`, 'two');
      await store.txn([], [{ delete: `${at}a` }, putting(`${at}b`, 'three')]);
      await put(store, `${at}a`, 'four');
      const past: unknown[] = [];
      for (let i = 0; i <= 4; i++) {
        const { values, revision } = await store.range({ prefix: at, revision: start + i });
        assert.equal(revision, start + i);
        past.push(values.map((value) => `${value.key.slice(at.length)}=${text(value.value)}@${value.createRevision - start}.${value.modRevision - start}.${value.version}`));
        const single = await store.get(`${at}a`, start + i);
        assert.deepEqual(single, values.find((value) => value.key === `${at}a`));
      }
      assert.deepEqual(past, [[], ['a=one@1.1.1'], ['a=one@1.1.1', 'b=two@2.2.1'], ['b=three@2.3.2'], ['a=four@4.4.1', 'b=three@2.3.2']]);
      await rejects(store.range({ prefix: at, revision: start + 5 }), 'invalid', 'futureRevision');
      await rejects(store.get(`${at}a`, start + 5), 'invalid', 'futureRevision');
    });

    check('a watch replays and then follows, whole transactions in order, each once', async (store, at) => {
      const start = await store.revision();
      await put(store, `${at}a`, '1');
      await put(store, `elsewhere-${at}`, 'x');
      const stop = new AbortController();
      const seen: WatchBatch[] = [];
      const watching = (async () => {
        for await (const batch of store.watch(at, start, stop.signal)) {
          seen.push(batch);
          if (seen.length === 4) stop.abort();
        }
      })();
      await store.txn([], [putting(`${at}b`, '2'), { delete: `${at}a` }, putting(`elsewhere-${at}`, 'y')]);
      await put(store, `elsewhere-${at}`, 'z');
      await put(store, `${at}b`, '3');
      await store.txn([], [{ deletePrefix: at }]);
      await within(watching, 'the watch');
      assert.deepEqual(seen.map((batch) => [batch.revision - start, batch.events.map((event) => shape(event, at, start))]), [
        [1, ['put a=1@1.1.1']],
        [3, ['put b=2@3.3.1', 'delete a@3']],
        [5, ['put b=3@3.5.2']],
        [6, ['delete b@6']],
      ]);
    });

    check('a watch from now sees nothing old', async (store, at) => {
      await put(store, `${at}a`, 'old');
      const events = collect(store, at, await store.revision(), 1);
      await put(store, `${at}a`, 'new');
      assert.deepEqual((await events).map((event) => event.type === 'put' && text(event.value.value)), ['new']);
    });

    check('a watch under constant writes misses nothing and repeats nothing', async (store, at) => {
      const start = await store.revision();
      const total = 300;
      const readers = [0, 1, 2].map(() => collect(store, at, start, total));
      for (let i = 0; i < total; i += 10) {
        await Promise.all(Array.from({ length: 10 }, (_, j) => put(store, `${at}${i + j}`, 'x')));
        if (i === 100) readers.push(collect(store, at, start, total));
      }
      for (const events of await Promise.all(readers)) {
        const revisions = events.map((event) => (event.type === 'put' ? event.value.modRevision : 0) - start);
        assert.deepEqual(revisions, Array.from({ length: total }, (_, i) => i + 1));
      }
    });

    check('a watch ends when its signal aborts, when its reader leaves and when the store closes', async (store, at) => {
      const stop = new AbortController();
      const start = await store.revision();
      const aborted = drain(store.watch(at, start, stop.signal));
      const closed = drain(store.watch(at, start, new AbortController().signal));
      await put(store, `${at}a`, 'x');
      for await (const batch of store.watch(at, start, stop.signal)) {
        assert.equal(batch.events.length, 1);
        break;
      }
      stop.abort();
      assert.equal(await within(aborted, 'the aborted watch') <= 1, true);
      assert.equal(await within(drain(store.watch(at, start, AbortSignal.abort())), 'the watch aborted before'), 0);
      await store[Symbol.asyncDispose]();
      assert.equal(await within(closed, 'the watch of the closed store') <= 1, true);
      await rejects(store.get(`${at}a`), 'unavailable', 'closed');
      await rejects(store.txn([], []), 'unavailable', 'closed');
      await rejects(drain(store.watch(at, start, stop.signal)), 'unavailable', 'closed');
    });

    check('a reader that is too slow is told so, and others are not slowed', async (store, at) => {
      const start = await store.revision();
      const slow = store.watch(at, start, new AbortController().signal)[Symbol.asyncIterator]();
      const first = slow.next();
      await put(store, `${at}first`, 'x');
      assert.equal((await first).done, false);
      const live = slow.next();
      await put(store, `${at}live`, 'x');
      await live;
      const quick = collect(store, at, start, MAX_WAITING_EVENTS + 203);
      for (let i = 0; i <= MAX_WAITING_EVENTS + 100; i += 100) {
        await store.txn([], Array.from({ length: 100 }, (_, j) => putting(`${at}${i + j}`, '')));
      }
      await put(store, `${at}last`, 'x');
      assert.ok((await quick).length >= MAX_WAITING_EVENTS);
      await rejects((async () => {
        for (let step = await slow.next(); step.done !== true; step = await slow.next());
      })(), 'unavailable', 'slowReader');
    });

    check('compaction forgets the past and keeps the present', async (store, at) => {
      const start = await store.revision();
      await put(store, `${at}a`, 'one');
      await put(store, `${at}b`, 'gone');
      await put(store, `${at}a`, 'two');
      await store.txn([], [{ delete: `${at}b` }]);
      await put(store, `${at}c`, 'three');
      await put(store, `${at}a`, 'four');
      await store.compact(start + 4);
      await rejects(store.range({ prefix: at, revision: start + 3 }), 'notFound', 'compacted');
      await rejects(store.get(`${at}a`, start + 3), 'notFound', 'compacted');
      await rejects(drain(store.watch(at, start + 3, AbortSignal.timeout(DEADLINE_MS))), 'notFound', 'compacted');
      const kept = await store.range({ prefix: at, revision: start + 4 });
      assert.deepEqual(kept.values.map((value) => [value.key.slice(at.length), text(value.value), value.version]), [['a', 'two', 2]]);
      assert.deepEqual((await collect(store, at, start + 4, 2)).map((event) => shape(event, at, start)), ['put c=three@5.5.1', 'put a=four@1.6.3']);
      assert.deepEqual(await keys(store, at), ['a', 'c']);
      assert.equal(await store.revision(), start + 6);
      await store.compact(start + 2);
      await store.compact(start + 6);
      assert.deepEqual(await keys(store, at), ['a', 'c']);
      await rejects(store.compact(start + 7), 'invalid', 'futureRevision');
    });

    check('compacting away the last deletion does not take the revision back', async (store, at) => {
      await put(store, `${at}a`, 'one');
      const { revision } = await store.txn([], [{ delete: `${at}a` }]);
      await store.compact(revision);
      assert.equal(await store.revision(), revision);
      assert.equal((await put(store, `${at}a`, 'two')).revision, revision + 1);
    });

    check('a watch from the future is refused', async (store, at) => {
      await rejects(drain(store.watch(at, (await store.revision()) + 1, AbortSignal.timeout(DEADLINE_MS))), 'invalid', 'futureRevision');
    });

    check('what is out of bounds is refused and changes nothing', async (store, at) => {
      const before = await store.revision();
      const long = at + 'k'.repeat(MAX_KEY_BYTES - at.length);
      const bad: [readonly Compare[], readonly Change[]][] = [
        [[], [putting('', 'x')]],
        [[], [putting(`${long}k`, 'x')]],
        [[], [putting(`${long.slice(1)}é`, 'x')]],
        [[], [putting(`${at}\ud800`, 'x')]],
        [[], [putting(`${at}\0`, 'x')]],
        [[], [putting(`${at}a`, Buffer.alloc(MAX_TXN_BYTES - at.length))]],
        [[], Array.from({ length: MAX_TXN_ITEMS + 1 }, (_, i) => putting(`${at}${i}`, ''))],
        [[{ key: `${at}a`, absent: true }], Array.from({ length: MAX_TXN_ITEMS }, (_, i) => putting(`${at}${i}`, ''))],
        [[], [putting(`${at}a`, '1'), putting(`${at}a`, '2')]],
        [[], [putting(`${at}a`, '1'), { delete: `${at}a` }]],
        [[], [putting(`${at}a`, '1'), { deletePrefix: at }]],
        [[], [{ deletePrefix: `${at}a` }, { deletePrefix: at }]],
        [[{ key: `${at}a`, modRevision: 0 }], []],
        [[{ key: `${at}a`, modRevision: 1.5 }], []],
        [[{ key: '', absent: true }], []],
      ];
      for (const [compares, changes] of bad) await rejects(store.txn(compares, changes), 'invalid');
      await rejects(store.range({ prefix: at, limit: 0 }), 'invalid');
      await rejects(store.range({ prefix: at, revision: -1 }), 'invalid');
      await rejects(store.range({ prefix: at, revision: 0.5 }), 'invalid');
      await rejects(store.get(''), 'invalid');
      assert.equal(await store.revision(), before);
      await put(store, long, 'x');
      await store.txn([], Array.from({ length: MAX_TXN_ITEMS }, (_, i) => putting(`${at}${i}`, '')));
      await put(store, `${at}big`, Buffer.alloc(MAX_TXN_BYTES - at.length - 3, 7));
      assert.equal((await store.get(`${at}big`))!.value.length, MAX_TXN_BYTES - at.length - 3);
    });

    check('the keys of a revoked lease go in one transaction', async (store, at) => {
      const lease = await store.grantLease(60_000);
      await store.txn([], [{ ...putting(`${at}b`, 'x'), lease }, { ...putting(`${at}a`, 'x'), lease }, putting(`${at}c`, 'x')]);
      await store.txn([], [{ ...putting(`${at}out`, 'x'), lease }]);
      await put(store, `${at}out`, 'again, without the lease');
      assert.equal((await store.get(`${at}a`))!.lease, lease);
      assert.equal((await store.get(`${at}out`))!.lease, undefined);
      const start = await store.revision();
      const events = collect(store, at, start, 2);
      await store.revokeLease(lease);
      assert.deepEqual((await events).map((event) => shape(event, at, start)), ['delete a@1', 'delete b@1']);
      assert.deepEqual(await keys(store, at), ['c', 'out']);
      await rejects(store.revokeLease(lease), 'notFound');
      await rejects(store.keepAlive(lease), 'notFound');
      await rejects(store.txn([], [{ ...putting(`${at}d`, 'x'), lease }, putting(`${at}e`, 'x')]), 'notFound');
      assert.equal((await store.txn([{ key: `${at}c`, absent: true }], [{ ...putting(`${at}d`, 'x'), lease }])).succeeded, false);
      assert.deepEqual(await keys(store, at), ['c', 'out']);
    });

    check('a lease that nobody keeps alive ends, one that is kept alive does not', async (store, at) => {
      await rejects(store.grantLease(999), 'invalid');
      await rejects(store.keepAlive('no-such-lease'), 'notFound');
      const kept = await store.grantLease(2000);
      const lost = await store.grantLease(1000);
      await store.txn([], [{ ...putting(`${at}kept`, 'x'), lease: kept }, { ...putting(`${at}lost`, 'x'), lease: lost }]);
      const start = await store.revision();
      const timer = setInterval(() => void store.keepAlive(kept), 250);
      try {
        const events = await collect(store, at, start, 1);
        assert.deepEqual(events.map((event) => shape(event, at, start)), ['delete lost@1']);
        const long = performance.now() + 2500;
        await collect(store, at, await store.revision(), 1, async () => {
          while (performance.now() < long) await store.get(`${at}kept`).then(() => new Promise((resolve) => setTimeout(resolve, 100)));
          assert.ok(await store.get(`${at}kept`));
          await put(store, `${at}done`, 'x');
        });
      } finally {
        clearInterval(timer);
      }
      const events = await collect(store, at, await store.revision(), 1);
      assert.equal(keyOf(events[0]!), `${at}kept`);
    });
  });
}

function putting(key: string, value: string | Uint8Array): Extract<Change, { put: string }> {
  return { put: key, value: typeof value === 'string' ? Buffer.from(value) : value };
}

function put(store: Store, key: string, value: string | Uint8Array): ReturnType<Store['txn']> {
  return store.txn([], [putting(key, value)]);
}

function text(value: Uint8Array): string {
  return Buffer.from(value).toString('utf8');
}

function keyOf(event: StoreEvent): string {
  return event.type === 'put' ? event.value.key : event.key;
}

function shape(event: StoreEvent, at: string, start: number): string {
  if (event.type === 'delete') return `delete ${event.key.slice(at.length)}@${event.modRevision - start}`;
  const { key, value, createRevision, modRevision, version } = event.value;
  return `put ${key.slice(at.length)}=${text(value)}@${createRevision - start}.${modRevision - start}.${version}`;
}

async function keys(store: Store, prefix: string): Promise<string[]> {
  return (await store.range({ prefix })).values.map((value) => value.key.slice(prefix.length));
}

async function drain(batches: AsyncIterable<WatchBatch>): Promise<number> {
  let count = 0;
  for await (const batch of batches) count += batch.events.length;
  return count;
}

/** The first events after a revision: whole transactions until there are at least `count`. */
async function collect(store: Store, prefix: string, after: number, count: number, meanwhile?: () => Promise<void>): Promise<StoreEvent[]> {
  const stop = new AbortController();
  const events: StoreEvent[] = [];
  const reading = (async () => {
    for await (const batch of store.watch(prefix, after, stop.signal)) {
      events.push(...batch.events);
      if (events.length >= count) return;
    }
  })();
  try {
    await Promise.all([within(reading, `${count} events`), meanwhile?.()]);
    return events;
  } finally {
    stop.abort();
  }
}

async function within<T>(promise: Promise<T>, what: string): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`${what} did not come within ${DEADLINE_MS} ms`)), DEADLINE_MS);
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

async function rejects(promise: Promise<unknown>, code: ErrorCode, reason?: string): Promise<void> {
  const error = await promise.then(() => undefined, (thrown: unknown) => thrown);
  assert.ok(error instanceof BerthError, `expected ${code}, got ${String(error)}`);
  assert.deepEqual([error.code, reason === undefined ? undefined : error.details?.['reason']], [code, reason], error.message);
}
