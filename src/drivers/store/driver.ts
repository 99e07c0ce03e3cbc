/**
 * The store: ordered keys → bytes, shaped after etcd's data model so that a cluster needs no second design.
 *
 * Vocabulary
 * - Key: a non-empty UTF-8 string of at most 1 KiB, compared by bytes. Value: bytes.
 * - Revision: one global counter; every transaction that changes something takes the next one. The first is 1.
 * - A transaction is all or nothing: when every compare holds, all its changes are made at one revision; otherwise
 *   nothing is. A key may be changed once per transaction. When `txn` resolves, the change survives power loss.
 * - A watch delivers every change after a revision exactly once, in order, whole transactions at a time.
 * - Compaction forgets what old revisions looked like; asking for one answers the `compacted` error (HTTP 410).
 * - A lease ends with its deadline unless kept alive; keys put under it are deleted by a transaction of the store's own.
 *
 * Limits, the same in every implementation: 128 changes + compares and 1 MiB of keys and values a transaction.
 */

export const MAX_TXN_ITEMS = 128;
export const MAX_TXN_BYTES = 1024 * 1024;
export const MAX_KEY_BYTES = 1024;

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
  /** Forgets everything older than the state at `revision`. */
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
