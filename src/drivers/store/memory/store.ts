/** The store in memory: nothing survives the process. For unit tests, and the plainest reading of the contract. */
import { randomUUID } from 'node:crypto';
import { compareUtf8 } from '../../../lib/utf8-order.ts';
import {
  checkKey, checkLeaseMs, checkPrefix, checkRevision, checkTxn, compacted, noSuchLease, rangeBounds,
  storeClosed, type Change, type Compare, type RangeRequest, type RangeResult, type Store, type StoredValue,
  type StoreEvent, type StoreFactory, type TxnResult, type WatchBatch,
} from '../driver.ts';
import { batchWithin, Watchers } from '../watchers.ts';

/** A key at one of its revisions; `value` is missing where it was deleted. */
interface Version {
  readonly revision: number;
  readonly value: StoredValue | undefined;
}

interface Lease {
  readonly ttlMs: number;
  timer: NodeJS.Timeout;
}

export const memoryStore: StoreFactory = { name: 'memory', open: () => Promise.resolve(new MemoryStore()) };

export class MemoryStore implements Store {
  #revision = 0;
  #compacted = 0;
  #closed = false;
  /** Oldest first. A key without versions has no entry. */
  readonly #keys = new Map<string, Version[]>();
  #log: WatchBatch[] = [];
  readonly #watchers = new Watchers();
  readonly #leases = new Map<string, Lease>();

  async get(key: string, revision?: number): Promise<StoredValue | undefined> {
    this.#checkOpen();
    checkKey(key);
    return copy(this.#at(key, this.#readable(revision)));
  }

  async range(request: RangeRequest): Promise<RangeResult> {
    this.#checkOpen();
    const { low, high } = rangeBounds(request);
    const revision = this.#readable(request.revision);
    const values: StoredValue[] = [];
    for (const key of this.#keysWithin(low, high)) {
      const value = copy(this.#at(key, revision));
      if (value === undefined) continue;
      if (values.length === request.limit) return { values, revision, more: true };
      values.push(value);
    }
    return { values, revision, more: false };
  }

  async txn(compares: readonly Compare[], changes: readonly Change[]): Promise<TxnResult> {
    this.#checkOpen();
    const checked = checkTxn(compares, changes);
    if (!compares.every((compare) => this.#holds(compare))) return { succeeded: false, revision: this.#revision };
    for (const change of checked) {
      if ('put' in change && change.lease !== undefined && !this.#leases.has(change.lease)) throw noSuchLease(change.lease);
    }
    this.#apply(checked);
    return { succeeded: true, revision: this.#revision };
  }

  async *watch(prefix: string, afterRevision: number, signal: AbortSignal): AsyncGenerator<WatchBatch, void, undefined> {
    this.#checkOpen();
    checkPrefix(prefix);
    let cursor = afterRevision;
    checkRevision(cursor, this.#revision);
    if (cursor < this.#compacted) throw compacted(cursor);
    while (cursor < this.#revision) {
      if (signal.aborted || this.#closed) return;
      if (cursor < this.#compacted) throw compacted(cursor);
      // Revisions have no gaps, and the log begins after the compacted one.
      const batch = batchWithin(this.#log[cursor - this.#compacted]!, prefix);
      cursor++;
      if (batch !== undefined) yield batch;
    }
    if (signal.aborted || this.#closed) return;
    yield* this.#watchers.follow(prefix, signal);
  }

  async revision(): Promise<number> {
    this.#checkOpen();
    return this.#revision;
  }

  async compact(revision: number): Promise<void> {
    this.#checkOpen();
    checkRevision(revision, this.#revision);
    if (revision <= this.#compacted) return;
    this.#compacted = revision;
    this.#log = this.#log.filter((batch) => batch.revision > revision);
    for (const [key, versions] of this.#keys) {
      const seen = versions.findLastIndex((version) => version.revision <= revision);
      const kept = versions.slice(seen >= 0 && versions[seen]!.value === undefined ? seen + 1 : Math.max(seen, 0));
      if (kept.length === 0) this.#keys.delete(key);
      else this.#keys.set(key, kept);
    }
  }

  async grantLease(ttlMs: number): Promise<string> {
    this.#checkOpen();
    checkLeaseMs(ttlMs);
    const id = randomUUID();
    this.#leases.set(id, { ttlMs, timer: this.#expire(id, ttlMs) });
    return id;
  }

  async keepAlive(lease: string): Promise<void> {
    this.#checkOpen();
    const known = this.#leases.get(lease);
    if (known === undefined) throw noSuchLease(lease);
    clearTimeout(known.timer);
    known.timer = this.#expire(lease, known.ttlMs);
  }

  async revokeLease(lease: string): Promise<void> {
    this.#checkOpen();
    if (!this.#leases.has(lease)) throw noSuchLease(lease);
    this.#endLease(lease);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    for (const { timer } of this.#leases.values()) clearTimeout(timer);
    this.#watchers[Symbol.dispose]();
  }

  #checkOpen(): void {
    if (this.#closed) throw storeClosed();
  }

  #readable(revision = this.#revision): number {
    checkRevision(revision, this.#revision);
    if (revision < this.#compacted) throw compacted(revision);
    return revision;
  }

  #at(key: string, revision: number): StoredValue | undefined {
    return this.#keys.get(key)?.findLast((version) => version.revision <= revision)?.value;
  }

  #keysWithin(low: string, high: string | undefined): string[] {
    return [...this.#keys.keys()]
      .filter((key) => compareUtf8(key, low) >= 0 && (high === undefined || compareUtf8(key, high) < 0))
      .sort(compareUtf8);
  }

  #holds(compare: Compare): boolean {
    const current = this.#at(compare.key, this.#revision);
    if ('absent' in compare) return current === undefined;
    if ('present' in compare) return current !== undefined;
    return current?.modRevision === compare.modRevision;
  }

  #apply(changes: readonly Change[]): void {
    const revision = this.#revision + 1;
    const events: StoreEvent[] = [];
    const remove = (key: string): void => {
      if (this.#at(key, this.#revision) === undefined) return;
      this.#keys.get(key)!.push({ revision, value: undefined });
      events.push({ type: 'delete', key, modRevision: revision });
    };
    for (const change of changes) {
      if ('put' in change) {
        const key = change.put;
        const before = this.#at(key, this.#revision);
        const value: StoredValue = {
          key, value: change.value, createRevision: before?.createRevision ?? revision, modRevision: revision,
          version: (before?.version ?? 0) + 1, ...(change.lease === undefined ? {} : { lease: change.lease }),
        };
        const versions = this.#keys.get(key);
        if (versions === undefined) this.#keys.set(key, [{ revision, value }]);
        else versions.push({ revision, value });
        events.push({ type: 'put', value });
      } else if ('delete' in change) {
        remove(change.delete);
      } else {
        const { low, high } = rangeBounds({ prefix: change.deletePrefix });
        for (const key of this.#keysWithin(low, high)) remove(key);
      }
    }
    if (events.length === 0) return;
    this.#revision = revision;
    const batch: WatchBatch = { revision, events };
    this.#log.push(batch);
    this.#watchers.publish(batch);
  }

  #expire(lease: string, ttlMs: number): NodeJS.Timeout {
    // setTimeout counts to 2^31 − 1 ms; what is longer is armed again.
    const stepMs = Math.min(ttlMs, 2 ** 31 - 1);
    return setTimeout(() => {
      if (ttlMs > stepMs) this.#leases.get(lease)!.timer = this.#expire(lease, ttlMs - stepMs);
      else this.#endLease(lease);
    }, stepMs).unref();
  }

  #endLease(lease: string): void {
    clearTimeout(this.#leases.get(lease)?.timer);
    this.#leases.delete(lease);
    const keys = this.#keysWithin('', undefined).filter((key) => this.#at(key, this.#revision)?.lease === lease);
    this.#apply(keys.map((key) => ({ delete: key })));
  }
}

function copy(value: StoredValue | undefined): StoredValue | undefined {
  return value === undefined ? undefined : { ...value, value: new Uint8Array(value.value) };
}
