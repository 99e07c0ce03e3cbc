/** The store on an etcd cluster, through the v3 JSON gateway. Keys live below a namespace, so that an etcd may be shared. */
import { BerthError } from '../../../model/errors.ts';
import { prefixEnd } from '../../../lib/utf8-order.ts';
import {
  checkKey, checkLeaseMs, checkPrefix, checkRevision, checkTxn, compacted, futureRevision, noSuchLease, rangeBounds,
  storeClosed, type Change, type Compare, type RangeRequest, type RangeResult, type Store, type StoredValue,
  type StoreFactory, type TxnResult, type WatchBatch,
} from '../driver.ts';
import { EtcdError, etcdGateway, type EtcdEndpoints, type Gateway } from './gateway.ts';
import { watchEtcd } from './watch.ts';
import { fromWireValue, headerRevision, toWireBytes, toWireChange, toWireCompare, toWireRevision, type WireKeyValue } from './wire.ts';

export interface EtcdOptions extends EtcdEndpoints {
  /** Not empty; `berth/` when missing. */
  readonly namespace?: string | undefined;
}

const OUT_OF_RANGE = 11;
const NOT_FOUND = 5;
const RESOURCE_EXHAUSTED = 8;
const UNKNOWN = 2;

/** Revisions count every change of the etcd, also those of others beside the namespace. */
export function etcdStore(options: EtcdOptions): StoreFactory {
  return {
    name: 'etcd',
    async open() {
      const store = new EtcdStore(options);
      try {
        await store.revision();
        return store;
      } catch (error) {
        await store[Symbol.asyncDispose]();
        throw error;
      }
    },
  };
}

class EtcdStore implements Store {
  readonly #gateway: Gateway;
  readonly #namespace: string;
  readonly #closed = new AbortController();

  constructor({ namespace = 'berth/', ...endpoints }: EtcdOptions) {
    checkKey(namespace);
    this.#namespace = namespace;
    this.#gateway = etcdGateway(endpoints);
  }

  async get(key: string, revision?: number): Promise<StoredValue | undefined> {
    checkKey(key);
    const answer = await this.#read({ key: toWireBytes(this.#namespace + key) }, revision);
    const kv = (answer['kvs'] as WireKeyValue[] | undefined)?.[0];
    return kv === undefined ? undefined : fromWireValue(kv, this.#namespace);
  }

  async range(request: RangeRequest): Promise<RangeResult> {
    const { low, high } = rangeBounds(request);
    const end = high === undefined ? prefixEnd(this.#namespace) : this.#namespace + high;
    const answer = await this.#read({
      key: toWireBytes(this.#namespace + low), range_end: toWireBytes(end ?? '\0'),
      ...(request.limit === undefined ? {} : { limit: String(request.limit) }),
    }, request.revision);
    return {
      values: ((answer['kvs'] ?? []) as WireKeyValue[]).map((kv) => fromWireValue(kv, this.#namespace)),
      revision: request.revision ?? headerRevision(answer),
      more: answer['more'] === true,
    };
  }

  async txn(compares: readonly Compare[], changes: readonly Change[]): Promise<TxnResult> {
    const checked = checkTxn(compares, changes);
    for (const change of checked) {
      if ('put' in change && change.lease !== undefined && !isLeaseId(change.lease)) throw noSuchLease(change.lease);
    }
    const answer = await this.#call('/v3/kv/txn', {
      compare: compares.map((compare) => toWireCompare(compare, this.#namespace)),
      success: checked.map((change) => toWireChange(change, this.#namespace)),
    }, false).catch((error: unknown) => {
      throw translate(error, { lease: 'of a change' });
    });
    return { succeeded: answer['succeeded'] === true, revision: headerRevision(answer) };
  }

  async *watch(prefix: string, afterRevision: number, signal: AbortSignal): AsyncGenerator<WatchBatch, void, undefined> {
    this.#checkOpen();
    checkPrefix(prefix);
    const checkKept = async (revision: number): Promise<void> => void await this.#read({ key: toWireBytes(this.#namespace) }, revision);
    await checkKept(afterRevision);
    yield* watchEtcd({
      gateway: this.#gateway, namespace: this.#namespace, prefix, afterRevision, checkKept,
      signal: AbortSignal.any([signal, this.#closed.signal]),
    });
  }

  async revision(): Promise<number> {
    return headerRevision(await this.#read({ key: toWireBytes(this.#namespace) }));
  }

  async compact(revision: number): Promise<void> {
    checkRevision(revision, Infinity);
    if (revision === 0) return this.#checkOpen();
    try {
      await this.#call('/v3/kv/compaction', { revision: toWireRevision(revision) }, true);
    } catch (error) {
      const told = translate(error, { revision });
      if (told.details?.['reason'] !== 'compacted') throw told;
    }
  }

  async grantLease(ttlMs: number): Promise<string> {
    checkLeaseMs(ttlMs);
    // etcd counts whole seconds; a lease may live longer than asked, never shorter.
    const answer = await this.#call('/v3/lease/grant', { TTL: String(Math.ceil(ttlMs / 1000)) }, false).catch((error: unknown) => {
      throw translate(error, {});
    });
    return String(answer['ID']);
  }

  async keepAlive(lease: string): Promise<void> {
    if (!isLeaseId(lease)) throw noSuchLease(lease);
    const answer = await this.#call('/v3/lease/keepalive', { ID: lease }, true).catch((error: unknown) => {
      throw translate(error, { lease });
    });
    const { TTL } = (answer['result'] ?? answer) as { TTL?: string };
    if (TTL === undefined || TTL === '0') throw noSuchLease(lease);
  }

  async revokeLease(lease: string): Promise<void> {
    if (!isLeaseId(lease)) throw noSuchLease(lease);
    await this.#call('/v3/lease/revoke', { ID: lease }, false).catch((error: unknown) => {
      throw translate(error, { lease });
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort();
    this.#gateway[Symbol.dispose]();
  }

  #checkOpen(): void {
    if (this.#closed.signal.aborted) throw storeClosed();
  }

  #call(path: string, body: object, repeatable: boolean): Promise<Record<string, unknown>> {
    if (this.#closed.signal.aborted) return Promise.reject(storeClosed());
    return this.#gateway.call(path, body, { repeatable });
  }

  async #read(range: object, revision?: number): Promise<Record<string, unknown>> {
    if (revision !== undefined) checkRevision(revision, Infinity);
    try {
      return await this.#call('/v3/kv/range', { ...range, ...(revision === undefined ? {} : { revision: toWireRevision(revision) }) }, true);
    } catch (error) {
      throw translate(error, { revision });
    }
  }
}

function isLeaseId(lease: string): boolean {
  return /^[1-9]\d{0,18}$/.test(lease);
}

function translate(error: unknown, about: { readonly revision?: number | undefined; readonly lease?: string | undefined }): BerthError {
  if (error instanceof BerthError) return error;
  if (!(error instanceof EtcdError)) return new BerthError('internal', `etcd failed: ${String(error)}`, { cause: error });
  if (error.grpcCode === OUT_OF_RANGE && about.revision !== undefined) {
    return error.message.includes('compacted') ? compacted(about.revision) : futureRevision(about.revision);
  }
  if (error.grpcCode === NOT_FOUND && about.lease !== undefined) return noSuchLease(about.lease);
  // Some refusals of the apply step lose their code on the way.
  if (error.grpcCode === UNKNOWN && error.message.includes('lease not found')) return noSuchLease(about.lease ?? 'of a change');
  if (error.grpcCode === RESOURCE_EXHAUSTED) {
    return new BerthError('exhausted', `etcd has no room: ${error.message}.`, { hint: 'Compact and defragment etcd, or raise its quota.', cause: error });
  }
  return new BerthError('unavailable', `etcd refused: ${error.message}.`, { details: { reason: 'etcd', grpcCode: error.grpcCode }, cause: error });
}
