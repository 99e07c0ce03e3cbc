/** The store in one SQLite file: what a single host runs on. A write costs one fsync, shared by all of the same turn. */
import { randomUUID } from 'node:crypto';
import { BerthError } from '../../../model/errors.ts';
import {
  checkKey, checkLeaseMs, checkPrefix, checkRevision, checkTxn, compacted, noSuchLease, rangeBounds,
  storeClosed, type Change, type Compare, type RangeRequest, type RangeResult, type Store, type StoredValue,
  type StoreEvent, type StoreFactory, type TxnResult, type WatchBatch,
} from '../driver.ts';
import { Watchers } from '../watchers.ts';
import { applyTxn } from './apply.ts';
import { corruptStore, isDiskBroken, sqliteError } from './errors.ts';
import { groupCommit, type GroupCommit } from './group-commit.ts';
import { leaseClock, type LeaseClock } from './lease-clock.ts';
import { openFile, type OpenedFile } from './open.ts';
import { giveUpReserve, keepReserve } from './reserve.ts';
import { storedValue, storeEvent, type HistoryRow } from './row.ts';
import { prepareTables, type Tables } from './tables.ts';

/** Revisions that a catching-up watch reads, and rows that a compaction deletes, in one go. */
const REPLAY_REVISIONS = 64;
const SWEEP_ROWS = 500;
const RETRY_EXPIRY_MS = 1000;

/** `file` is the database; its log (`-wal`) and its marker (`.exists`) lie beside it. The directory must exist. */
export function sqliteStore(file: string): StoreFactory {
  return { name: 'sqlite', open: () => openSqliteStore(file) };
}

/**
 * Throws `unavailable` (reason `corrupt`) when the file is damaged, empty or gone although there was one, `unsupported`
 * (reason `newerSchema`) when a newer Berth wrote it, `busy` (reason `locked`) when another process has it open.
 */
export async function openSqliteStore(file: string): Promise<Store> {
  const opened = await openFile(file).catch((error: unknown) => {
    if (!(error instanceof BerthError) || error.code !== 'exhausted' || !giveUpReserve(file)) throw error;
    return openFile(file);
  });
  keepReserve(file);
  try {
    return new SqliteStore(opened, file);
  } catch (error) {
    await opened.close();
    throw sqliteError(error, file);
  }
}

class SqliteStore implements Store {
  readonly #file: string;
  readonly #opened: OpenedFile;
  readonly #tables: Tables;
  readonly #group: GroupCommit;
  readonly #leases: LeaseClock;
  readonly #watchers = new Watchers();
  #revision: number;
  #compacted: number;
  #sweeping: Promise<void> = Promise.resolve();
  /** Why nothing is answered any more. */
  #ended: Error | undefined;
  #closing: Promise<void> | undefined;

  constructor(opened: OpenedFile, file: string) {
    this.#file = file;
    this.#opened = opened;
    this.#tables = prepareTables(opened.db);
    this.#revision = this.#tables.newest();
    this.#compacted = this.#tables.mark('compacted');
    this.#group = groupCommit({
      tables: this.#tables,
      newest: () => this.#revision,
      committed: (batches, newest) => {
        this.#opened.acknowledge(newest);
        this.#publish(batches, newest);
      },
      failed: (error) => this.#failed(error),
    });
    this.#leases = leaseClock((lease) => void this.#expire(lease));
    for (const { id, ttlMs } of this.#tables.leases()) this.#leases.start(id, ttlMs);
    // A compaction that was cut short goes on.
    this.#sweepSoon();
  }

  async get(key: string, revision?: number): Promise<StoredValue | undefined> {
    this.#checkOpen();
    checkKey(key);
    const at = this.#readable(revision);
    return this.#reading(() => {
      const row = at === this.#revision ? this.#tables.get(key) : this.#tables.getAt(key, at);
      return row === undefined || row.version === 0 ? undefined : storedValue(row, this.#file);
    });
  }

  async range(request: RangeRequest): Promise<RangeResult> {
    this.#checkOpen();
    const bounds = rangeBounds(request);
    const revision = this.#readable(request.revision);
    return this.#reading(() => {
      const limit = request.limit === undefined ? -1 : request.limit + 1;
      const rows = revision === this.#revision ? this.#tables.range(bounds, limit) : this.#tables.rangeAt(bounds, limit, revision);
      const more = request.limit !== undefined && rows.length > request.limit;
      if (more) rows.pop();
      return { values: rows.map((row) => this.#value(row)), revision, more };
    });
  }

  async txn(compares: readonly Compare[], changes: readonly Change[]): Promise<TxnResult> {
    this.#checkOpen();
    const checked = checkTxn(compares, changes);
    const bytes = checked.reduce((sum, change) => sum + ('put' in change ? change.value.length : 0), 0);
    return this.#group.write({
      bytes,
      run: (newest) => {
        const done = applyTxn(this.#tables, compares, checked, newest + 1, (lease) => this.#leases.has(lease));
        return { batch: done.batch, answer: { succeeded: done.succeeded, revision: done.batch?.revision ?? newest } };
      },
    });
  }

  async *watch(prefix: string, afterRevision: number, signal: AbortSignal): AsyncGenerator<WatchBatch, void, undefined> {
    this.#checkOpen();
    checkPrefix(prefix);
    checkRevision(afterRevision, this.#revision);
    const bounds = rangeBounds({ prefix });
    let cursor = afterRevision;
    for (;;) {
      if (signal.aborted || this.#ended !== undefined) return;
      if (cursor < this.#compacted) throw compacted(cursor);
      if (cursor === this.#revision) break;
      const to = Math.min(cursor + REPLAY_REVISIONS, this.#revision);
      const batches = this.#reading(() => asBatches(this.#tables.changes(bounds, cursor, to), this.#file));
      cursor = to;
      for (const batch of batches) {
        yield batch;
        if (signal.aborted || this.#ended !== undefined) return;
      }
      if (batches.length === 0) await new Promise((resolve) => setImmediate(resolve));
    }
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
    await this.#group.write({
      bytes: 0,
      run: (newest) => {
        // The newest rows may be deletions that the sweep takes away: the counter must not follow them.
        this.#tables.setMark('floor', newest);
        this.#tables.setMark('compacted', Math.max(revision, this.#tables.mark('compacted')));
        return { answer: undefined };
      },
    });
    this.#compacted = Math.max(this.#compacted, revision);
    this.#sweepSoon();
  }

  async grantLease(ttlMs: number): Promise<string> {
    this.#checkOpen();
    checkLeaseMs(ttlMs);
    const id = randomUUID();
    await this.#group.write({
      bytes: 0,
      run: () => {
        this.#tables.addLease(id, ttlMs);
        return { answer: undefined };
      },
    });
    this.#leases.start(id, ttlMs);
    return id;
  }

  async keepAlive(lease: string): Promise<void> {
    this.#checkOpen();
    if (!this.#leases.keepAlive(lease)) throw noSuchLease(lease);
  }

  async revokeLease(lease: string): Promise<void> {
    this.#checkOpen();
    // Over before the commit, so that nothing is put under it any more.
    const ttlMs = this.#leases.end(lease);
    if (ttlMs === undefined) throw noSuchLease(lease);
    try {
      await this.#removeLease(lease);
    } catch (error) {
      if (this.#ended === undefined) this.#leases.start(lease, ttlMs);
      throw error;
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    if (this.#ended === undefined) this.#group.flush();
    this.#end(storeClosed());
    await this.#sweeping;
    await this.#opened.close();
  }

  #end(error: Error): void {
    this.#ended ??= error;
    this.#leases[Symbol.dispose]();
    this.#group.fail(this.#ended);
    this.#watchers[Symbol.dispose]();
  }

  #checkOpen(): void {
    if (this.#ended !== undefined) throw this.#ended;
  }

  #readable(revision = this.#revision): number {
    checkRevision(revision, this.#revision);
    if (revision < this.#compacted) throw compacted(revision);
    return revision;
  }

  #reading<T>(read: () => T): T {
    try {
      return read();
    } catch (error) {
      throw sqliteError(error, this.#file);
    }
  }

  #value(row: HistoryRow & { readonly live_key?: string }): StoredValue {
    if (row.live_key !== undefined && row.key !== row.live_key) {
      throw corruptStore(this.#file, `the index and the history differ about ${JSON.stringify(row.live_key)}`);
    }
    return storedValue(row, this.#file);
  }

  #publish(batches: readonly WatchBatch[], newest: number): void {
    this.#revision = newest;
    for (const batch of batches) this.#watchers.publish(batch);
  }

  #failed(error: unknown): Error {
    const told = sqliteError(error, this.#file);
    if (isDiskBroken(error)) this.#end(told);
    return told;
  }

  /** The lease's row and its keys, at one revision. */
  #removeLease(lease: string): Promise<void> {
    return this.#group.write({
      bytes: 0,
      run: (newest) => {
        const changes = this.#tables.leasedKeys(lease).map((key) => ({ delete: key }));
        const { batch } = applyTxn(this.#tables, [], changes, newest + 1, () => false);
        this.#tables.dropLease(lease);
        return { batch, answer: undefined };
      },
    });
  }

  async #expire(lease: string): Promise<void> {
    try {
      await this.#removeLease(lease);
    } catch {
      // A full disk: the keys stay until there is room, the lease is over all the same.
      if (this.#ended === undefined) setTimeout(() => void this.#expire(lease), RETRY_EXPIRY_MS).unref();
    }
  }

  #sweepSoon(): void {
    this.#sweeping = this.#sweeping.then(() => this.#sweep());
  }

  /** Deletes what compaction made invisible, a few rows a turn. A failure leaves rows that the next sweep takes. */
  async #sweep(): Promise<void> {
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve));
      if (this.#ended !== undefined) return;
      try {
        const from = this.#tables.mark('swept');
        if (from >= this.#compacted) return;
        await this.#group.write({
          bytes: 0,
          run: () => {
            const to = this.#tables.sweepEnd(from, this.#compacted, SWEEP_ROWS);
            this.#tables.sweep(from, to);
            this.#tables.setMark('swept', to);
            return { answer: undefined };
          },
        });
      } catch {
        return;
      }
    }
  }
}

function asBatches(rows: readonly HistoryRow[], file: string): WatchBatch[] {
  const batches: { revision: number; events: StoreEvent[] }[] = [];
  for (const row of rows) {
    const event = storeEvent(row, file);
    const last = batches.at(-1);
    if (last?.revision === row.revision) last.events.push(event);
    else batches.push({ revision: row.revision, events: [event] });
  }
  return batches;
}
