/**
 * Between etcd's messages and the store's contract. etcd's empty store has revision 1 and its first change makes 2;
 * the contract's has 0 and 1: every revision is shifted by one.
 */
import type { Change, Compare, StoredValue, StoreEvent, WatchBatch } from '../driver.ts';
import { prefixEnd } from '../../../lib/utf8-order.ts';

/** A KeyValue or the header of an answer; fields that are 0 or empty are left out by the gateway. */
export interface WireKeyValue {
  readonly key?: string;
  readonly value?: string;
  readonly create_revision?: string;
  readonly mod_revision?: string;
  readonly version?: string;
  readonly lease?: string;
}

export interface WireEvent {
  readonly type?: string;
  readonly kv: WireKeyValue;
}

export function toWireRevision(revision: number): string {
  return String(revision + 1);
}

export function fromWireRevision(revision: unknown): number {
  return Number(revision ?? 0) - 1;
}

export function headerRevision(answer: Record<string, unknown>): number {
  return fromWireRevision((answer['header'] as { revision?: string } | undefined)?.revision);
}

export function toWireBytes(data: string | Uint8Array): string {
  return (typeof data === 'string' ? Buffer.from(data) : Buffer.from(data.buffer, data.byteOffset, data.length)).toString('base64');
}

function keyOf(kv: WireKeyValue, namespace: string): string {
  return Buffer.from(kv.key ?? '', 'base64').toString('utf8').slice(namespace.length);
}

export function fromWireValue(kv: WireKeyValue, namespace: string): StoredValue {
  return {
    key: keyOf(kv, namespace),
    value: new Uint8Array(Buffer.from(kv.value ?? '', 'base64')),
    createRevision: fromWireRevision(kv.create_revision),
    modRevision: fromWireRevision(kv.mod_revision),
    version: Number(kv.version),
    ...(kv.lease === undefined || kv.lease === '0' ? {} : { lease: kv.lease }),
  };
}

/** etcd answers whole transactions, one after the other, in one message. */
export function fromWireEvents(events: readonly WireEvent[], namespace: string): WatchBatch[] {
  const batches: { revision: number; events: StoreEvent[] }[] = [];
  for (const { type, kv } of events) {
    const revision = fromWireRevision(kv.mod_revision);
    const event: StoreEvent = type === 'DELETE'
      ? { type: 'delete', key: keyOf(kv, namespace), modRevision: revision }
      : { type: 'put', value: fromWireValue(kv, namespace) };
    const last = batches.at(-1);
    if (last?.revision === revision) last.events.push(event);
    else batches.push({ revision, events: [event] });
  }
  return batches;
}

export function toWireCompare(compare: Compare, namespace: string): object {
  const key = toWireBytes(namespace + compare.key);
  if ('absent' in compare) return { key, target: 'CREATE', result: 'EQUAL', create_revision: '0' };
  if ('present' in compare) return { key, target: 'CREATE', result: 'GREATER', create_revision: '0' };
  return { key, target: 'MOD', result: 'EQUAL', mod_revision: toWireRevision(compare.modRevision) };
}

export function toWireChange(change: Change, namespace: string): object {
  if ('put' in change) {
    return { request_put: { key: toWireBytes(namespace + change.put), value: toWireBytes(change.value), lease: change.lease ?? '0' } };
  }
  if ('delete' in change) return { request_delete_range: { key: toWireBytes(namespace + change.delete) } };
  return { request_delete_range: toWireRange(namespace + change.deletePrefix) };
}

export function toWireRange(prefix: string): { key: string; range_end: string } {
  // A zero byte as the end means "no end".
  return { key: toWireBytes(prefix), range_end: toWireBytes(prefixEnd(prefix) ?? '\0') };
}
