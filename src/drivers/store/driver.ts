/**
 * The store: ordered keys → bytes, shaped after etcd's data model so that a cluster needs no second design.
 *
 * Vocabulary
 * - Key: a non-empty UTF-8 string of at most 1 KiB without U+0000, compared by bytes. Value: bytes.
 * - Revision: one global counter; every transaction that changes something takes the next one. The first is 1.
 * - A transaction is all or nothing: when every compare holds, all its changes are made at one revision; otherwise
 *   nothing is. A key may be changed once per transaction. Its events come in the order of its changes, those of a
 *   prefix in key order. Deleting what does not exist changes nothing. When `txn` resolves, the change survives power loss.
 * - A watch delivers every change after a revision exactly once, in order, whole transactions at a time.
 * - Compaction forgets what old revisions looked like; asking for one answers the `compacted` error (HTTP 410).
 *   Revision 0 is the empty store; one that is still to come is `invalid` with the reason `futureRevision`.
 * - A lease ends with its deadline unless kept alive; keys put under it are deleted by a transaction of the store's own.
 *   Putting a key again without the lease takes it out. An unknown lease is `notFound`. Leases outlive a restart of the
 *   store, with their whole time to live ahead of them again.
 * - A closed store answers `unavailable`; its watches end.
 *
 * Limits, the same in every implementation: 128 changes + compares and 1 MiB of keys and values a transaction.
 */

import { BerthError } from '../../model/errors.ts';
import { compareUtf8, prefixEnd } from '../../lib/utf8-order.ts';

export const MAX_TXN_ITEMS = 128;
export const MAX_TXN_BYTES = 1024 * 1024;
export const MAX_KEY_BYTES = 1024;
/** Events that may wait for the reader of a watch. */
export const MAX_WAITING_EVENTS = 10_000;
export const MIN_LEASE_MS = 1000;
export const MAX_LEASE_MS = 365 * 24 * 3600 * 1000;

export interface StoredValue {
  readonly key: string;
  readonly value: Uint8Array;
  /** Revision at which the key came to be (since its last deletion). */
  readonly createRevision: number;
  /** Revision of the last change. */
  readonly modRevision: number;
  /** 1 for a fresh key, +1 a change. */
  readonly version: number;
  /** Id of the lease that the key lives under, or undefined. */
  readonly lease?: string | undefined;
}

export type Compare =
  /** The key does not exist. */
  | { readonly key: string; readonly absent: true }
  /** The key exists. */
  | { readonly key: string; readonly present: true }
  | { readonly key: string; readonly modRevision: number };

export type Change =
  | { readonly put: string; readonly value: Uint8Array; readonly lease?: string | undefined }
  | { readonly delete: string }
  /** Deletes every key that starts with the prefix; counts as one change whatever it hits. */
  | { readonly deletePrefix: string };

export interface TxnResult {
  readonly succeeded: boolean;
  /** Revision of this transaction; of the store when nothing was changed. */
  readonly revision: number;
}

export interface RangeRequest {
  readonly prefix: string;
  /** Only keys greater than this one: the way to page. */
  readonly after?: string | undefined;
  readonly limit?: number | undefined;
  /** As of this revision; the newest when missing. */
  readonly revision?: number | undefined;
}

export interface RangeResult {
  readonly values: readonly StoredValue[];
  /** Revision that this answer shows. */
  readonly revision: number;
  readonly more: boolean;
}

export type StoreEvent =
  | { readonly type: 'put'; readonly value: StoredValue }
  | { readonly type: 'delete'; readonly key: string; readonly modRevision: number };

/** All that one transaction changed below the watched prefix. */
export interface WatchBatch {
  readonly revision: number;
  readonly events: readonly StoreEvent[];
}

export interface Store extends AsyncDisposable {
  /** `details.reason` of a BerthError is 'compacted' when the revision is no longer kept. */
  get(key: string, revision?: number): Promise<StoredValue | undefined>;
  range(request: RangeRequest): Promise<RangeResult>;
  txn(compares: readonly Compare[], changes: readonly Change[]): Promise<TxnResult>;
  /**
   * Changes after `afterRevision` (0: everything that is still kept), then live. Ends when the signal aborts or the
   * store closes. Throws `compacted` when the start is no longer kept, and `unavailable` when the reader is so slow
   * that more than 10,000 events wait for it.
   */
  watch(prefix: string, afterRevision: number, signal: AbortSignal): AsyncIterable<WatchBatch>;
  /** The newest revision. */
  revision(): Promise<number>;
  /** Forgets everything older than the state at `revision`; nothing happens when that is already forgotten. */
  compact(revision: number): Promise<void>;
  /** `ttlMs` at least 1000. Returns the lease's id. */
  grantLease(ttlMs: number): Promise<string>;
  keepAlive(lease: string): Promise<void>;
  /** Ends the lease now: its keys are deleted. */
  revokeLease(lease: string): Promise<void>;
}

/** What the conformance suite and the composition root need of an implementation. */
export interface StoreFactory {
  readonly name: string;
  open(): Promise<Store>;
}

function checkText(text: unknown, what: string): void {
  if (typeof text !== 'string' || !text.isWellFormed() || text.includes('\0')) {
    throw new BerthError('invalid', `A ${what} of the store must be UTF-8 text without U+0000.`);
  }
  if (text.length * 3 > MAX_KEY_BYTES && Buffer.byteLength(text) > MAX_KEY_BYTES) {
    throw new BerthError('invalid', `A ${what} of the store may have at most ${MAX_KEY_BYTES} bytes.`);
  }
}

/** Every implementation calls it for every key that it is given. Throws `invalid`. */
export function checkKey(key: unknown): void {
  checkText(key, 'key');
  if (key === '') throw new BerthError('invalid', 'A key of the store must not be empty.');
}

/** Throws `invalid` for a prefix that no key could have. The empty prefix means every key. */
export function checkPrefix(prefix: unknown): void {
  checkText(prefix, 'prefix');
}

/** Throws `invalid` for what is no revision, or one that is still to come. */
export function checkRevision(revision: number, newest: number): void {
  if (!Number.isSafeInteger(revision) || revision < 0) throw new BerthError('invalid', 'A revision is a whole number, at least 0.');
  if (revision > newest) throw futureRevision(revision);
}

export function futureRevision(revision: number): BerthError {
  return new BerthError('invalid', `Revision ${revision} is still to come.`, {
    hint: 'The store was replaced by an older copy, or the revision comes from another store: list again.',
    details: { reason: 'futureRevision' },
  });
}

export function compacted(revision: number): BerthError {
  return new BerthError('notFound', `Revision ${revision} is no longer kept.`, {
    hint: 'List again and watch from the revision of that answer.',
    details: { reason: 'compacted' },
  });
}

export function noSuchLease(lease: string): BerthError {
  return new BerthError('notFound', `There is no lease ${lease}; it may have run out.`, { details: { reason: 'lease' } });
}

export function slowReader(): BerthError {
  return new BerthError('unavailable', `More than ${MAX_WAITING_EVENTS} events waited for the reader of a watch.`, {
    hint: 'List again and watch from the revision of that answer.',
    details: { reason: 'slowReader' },
  });
}

export function storeClosed(): BerthError {
  return new BerthError('unavailable', 'The store is closed.', { details: { reason: 'closed' } });
}

export function checkLeaseMs(ttlMs: number): void {
  if (!Number.isSafeInteger(ttlMs) || ttlMs < MIN_LEASE_MS || ttlMs > MAX_LEASE_MS) {
    throw new BerthError('invalid', `The time to live of a lease is a whole number of milliseconds from ${MIN_LEASE_MS} to ${MAX_LEASE_MS}.`);
  }
}

/** Keys from `low` (included) up to `high` (excluded; `undefined`: to the end). */
export interface KeyBounds {
  readonly low: string;
  readonly high: string | undefined;
}

/** Checks a range request and turns its prefix and `after` into bounds. Throws `invalid`. */
export function rangeBounds({ prefix, after, limit }: RangeRequest): KeyBounds {
  checkPrefix(prefix);
  if (after !== undefined) checkText(after, 'key');
  if (limit !== undefined && (!Number.isSafeInteger(limit) || limit < 1)) {
    throw new BerthError('invalid', 'The limit of a range is a whole number, at least 1.');
  }
  const high = prefixEnd(prefix);
  if (after === undefined || compareUtf8(after, prefix) < 0) return { low: prefix, high };
  // The smallest string after another one is that string and a zero byte.
  return { low: `${after}\0`, high };
}

/** Checks the bounds of a transaction and answers its changes with copied values, safe from a caller that goes on writing. */
export function checkTxn(compares: readonly Compare[], changes: readonly Change[]): readonly Change[] {
  if (compares.length + changes.length > MAX_TXN_ITEMS) {
    throw new BerthError('invalid', `A transaction may have at most ${MAX_TXN_ITEMS} compares and changes.`);
  }
  let bytes = 0;
  for (const compare of compares) {
    checkKey(compare.key);
    bytes += Buffer.byteLength(compare.key);
    if ('modRevision' in compare && (!Number.isSafeInteger(compare.modRevision) || compare.modRevision < 1)) {
      throw new BerthError('invalid', 'A revision to compare with is a whole number, at least 1.', { hint: 'Use `absent: true` for a key that must not exist.' });
    }
  }
  const copies: Change[] = [];
  for (const change of changes) {
    if ('put' in change) {
      checkKey(change.put);
      if (!(change.value instanceof Uint8Array)) throw new BerthError('invalid', 'A value of the store must be bytes.');
      bytes += Buffer.byteLength(change.put) + change.value.length;
      copies.push({ ...change, value: new Uint8Array(change.value) });
    } else if ('delete' in change) {
      checkKey(change.delete);
      bytes += Buffer.byteLength(change.delete);
      copies.push(change);
    } else {
      checkPrefix(change.deletePrefix);
      bytes += Buffer.byteLength(change.deletePrefix);
      copies.push(change);
    }
  }
  if (bytes > MAX_TXN_BYTES) throw new BerthError('invalid', `A transaction may have at most ${MAX_TXN_BYTES} bytes of keys and values.`);
  checkOncePerKey(copies);
  return copies;
}

function checkOncePerKey(changes: readonly Change[]): void {
  const keys = new Set<string>();
  const prefixes: string[] = [];
  const twice = (key: string): BerthError => new BerthError('invalid', `A transaction may change the key ${JSON.stringify(key)} only once.`);
  for (const change of changes) {
    if ('deletePrefix' in change) {
      const { deletePrefix } = change;
      if (prefixes.some((prefix) => prefix.startsWith(deletePrefix) || deletePrefix.startsWith(prefix))) throw twice(deletePrefix);
      prefixes.push(deletePrefix);
      continue;
    }
    const key = 'put' in change ? change.put : change.delete;
    if (keys.has(key)) throw twice(key);
    keys.add(key);
  }
  for (const prefix of prefixes) for (const key of keys) if (key.startsWith(prefix)) throw twice(key);
}
