/** Whatever is asked of them, in whatever order, the stores in memory, on SQLite and on etcd give the same answers. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, it } from 'node:test';
import fc from 'fast-check';
import type { Change, Compare, Store, StoredValue } from '../../src/drivers/store/driver.ts';
import { etcdStore } from '../../src/drivers/store/etcd/store.ts';
import { memoryStore } from '../../src/drivers/store/memory/store.ts';
import { openSqliteStore } from '../../src/drivers/store/sqlite/store.ts';
import { BerthError } from '../../src/model/errors.ts';
import { startEtcd } from '../lib/etcd-server.ts';

// In memory: what is compared here are answers, and thousands of durable commits would take minutes.
const below = fs.existsSync('/dev/shm') ? '/dev/shm' : os.tmpdir();
const server = await startEtcd({ below });
const dir = fs.mkdtempSync(path.join(below, 'berth-agreement-'));
after(async () => {
  await server[Symbol.asyncDispose]();
  fs.rmSync(dir, { recursive: true });
});

type Step =
  | { readonly do: 'txn'; readonly compares: readonly { readonly key: string; readonly kind: 'absent' | 'present' | 'revision'; readonly back: number }[]; readonly changes: readonly ModelChange[] }
  | { readonly do: 'range'; readonly prefix: string; readonly after: string | undefined; readonly limit: number | undefined; readonly back: number | undefined }
  | { readonly do: 'get'; readonly key: string; readonly back: number | undefined }
  | { readonly do: 'watch'; readonly prefix: string; readonly back: number }
  | { readonly do: 'compact'; readonly back: number }
  | { readonly do: 'grant' } | { readonly do: 'revoke'; readonly lease: number } | { readonly do: 'keepAlive'; readonly lease: number }
  | { readonly do: 'reopen' };

type ModelChange =
  | { readonly kind: 'put'; readonly key: string; readonly value: Uint8Array; readonly lease: number | undefined }
  | { readonly kind: 'delete' | 'deletePrefix'; readonly key: string };

const key = fc.string({ unit: fc.constantFrom('a', 'b', '/', '\u{ffff}', '\u{10000}', '\u{10ffff}'), maxLength: 3 });
const back = fc.integer({ min: -1, max: 12 });
const change: fc.Arbitrary<ModelChange> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('put' as const), key, value: fc.uint8Array({ maxLength: 4 }), lease: fc.option(fc.nat(2), { nil: undefined, freq: 4 }) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('delete' as const), key }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('deletePrefix' as const), key }) },
);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 10, arbitrary: fc.record({ do: fc.constant('txn' as const), compares: fc.array(fc.record({ key, kind: fc.constantFrom('absent' as const, 'present' as const, 'revision' as const), back }), { maxLength: 2 }), changes: fc.array(change, { maxLength: 4 }) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('range' as const), prefix: key, after: fc.option(key, { nil: undefined }), limit: fc.option(fc.integer({ min: 0, max: 4 }), { nil: undefined }), back: fc.option(back, { nil: undefined }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('get' as const), key, back: fc.option(back, { nil: undefined }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('watch' as const), prefix: key, back: fc.nat(12) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('compact' as const), back }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('grant' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('revoke' as const), lease: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('keepAlive' as const), lease: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('reopen' as const) }) },
);

/** Plays steps against one store and writes the answers down, free of what may differ: lease ids and the first revision. */
class Player {
  #store: Store;
  readonly #reopen: (() => Promise<Store>) | undefined;
  readonly #base: number;
  readonly #leases: string[] = [];

  constructor(store: Store, base: number, reopen?: () => Promise<Store>) {
    this.#store = store;
    this.#base = base;
    this.#reopen = reopen;
  }

  async play(step: Step): Promise<unknown> {
    try {
      return await this.#play(step);
    } catch (error) {
      if (!(error instanceof BerthError)) throw error;
      return { error: error.code, reason: error.details?.['reason'] };
    }
  }

  close(): Promise<void> {
    return Promise.resolve(this.#store[Symbol.asyncDispose]());
  }

  async #play(step: Step): Promise<unknown> {
    const store = this.#store;
    const newest = (await store.revision()) - this.#base;
    // `back` counts from the newest revision; below the first one means the first one.
    const at = (back: number): number => Math.max(0, newest - back) + this.#base;
    switch (step.do) {
      case 'txn': {
        const compares = step.compares.map(({ key, kind, back }): Compare => (kind === 'revision' ? { key, modRevision: Math.max(1, at(back)) } : kind === 'absent' ? { key, absent: true } : { key, present: true }));
        const result = await store.txn(compares, step.changes.map((one) => this.#change(one)));
        return { ...result, revision: result.revision - this.#base };
      }
      case 'range': {
        const { values, revision, more } = await store.range({ prefix: step.prefix, after: step.after, limit: step.limit, revision: step.back === undefined ? undefined : at(step.back) });
        return { values: values.map((value) => this.#value(value)), revision: revision - this.#base, more };
      }
      case 'get': {
        const value = await store.get(step.key, step.back === undefined ? undefined : at(step.back));
        return value === undefined ? 'none' : this.#value(value);
      }
      case 'watch': {
        const from = at(step.back);
        const seen: unknown[] = [];
        // Something below the prefix that ends the watch.
        const last = await store.txn([], [{ put: `${step.prefix}~end`, value: new Uint8Array(0) }]);
        for await (const batch of store.watch(step.prefix, from, AbortSignal.timeout(20_000))) {
          seen.push([batch.revision - this.#base, batch.events.map((event) => (event.type === 'put' ? this.#value(event.value) : [event.key, event.modRevision - this.#base]))]);
          if (batch.revision === last.revision) break;
        }
        return seen;
      }
      case 'compact':
        return store.compact(at(step.back));
      case 'grant':
        this.#leases.push(await store.grantLease(600_000));
        return 'granted';
      case 'revoke':
        return store.revokeLease(this.#lease(step.lease));
      case 'keepAlive':
        return store.keepAlive(this.#lease(step.lease));
      case 'reopen':
        if (this.#reopen === undefined) return undefined;
        await store[Symbol.asyncDispose]();
        this.#store = await this.#reopen();
        return undefined;
    }
  }

  #lease(index: number): string {
    return this.#leases[index] ?? '404';
  }

  #change(change: ModelChange): Change {
    if (change.kind === 'put') return { put: change.key, value: change.value, lease: change.lease === undefined ? undefined : this.#lease(change.lease) };
    return change.kind === 'delete' ? { delete: change.key } : { deletePrefix: change.key };
  }

  #value(value: StoredValue): unknown {
    return [value.key, Buffer.from(value.value).toString('hex'), value.createRevision - this.#base, value.modRevision - this.#base, value.version, value.lease === undefined ? undefined : this.#leases.indexOf(value.lease)];
  }
}

async function agree(steps: readonly Step[], players: readonly Player[]): Promise<void> {
  try {
    for (const [index, one] of steps.entries()) {
      const [expected, ...others] = await Promise.all(players.map((player) => player.play(one)));
      for (const answer of others) assert.deepEqual(answer, expected, `step ${index}: ${JSON.stringify(one)}`);
    }
  } finally {
    await Promise.all(players.map((player) => player.close()));
  }
}

let count = 0;

it('memory and SQLite agree, also when SQLite is opened again in between', async () => {
  await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
    const file = path.join(dir, `${count++}.db`);
    await agree(steps, [new Player(await memoryStore.open(), 0), new Player(await openSqliteStore(file), 0, () => openSqliteStore(file))]);
  }), { numRuns: 400 });
});

it('memory and etcd agree', async () => {
  await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
    const store = await etcdStore({ endpoints: [server.endpoint], namespace: `run-${count++}/` }).open();
    await agree(steps, [new Player(await memoryStore.open(), 0), new Player(store, await store.revision())]);
  }), { numRuns: 40 });
});
