/** Audit records and events: written in the same transaction as the change that they speak of. */
import type { AuditRecord } from '../model/audit-record.ts';
import { asBerthError, type ErrorCode } from '../model/errors.ts';
import type { Event, EventSpec } from '../model/event.ts';
import { API_VERSION, type BerthObject } from '../model/meta.ts';
import type { VerbName } from '../model/verbs.ts';
import { timestamp, type Clock } from './clock.ts';
import { decodeObject, Transaction, type Registry } from './registry.ts';
import type { Caller } from './services.ts';

export interface Target {
  readonly kind: string;
  readonly project: string;
  readonly name: string;
  readonly id: string;
}

export function targetOf(object: BerthObject): Target {
  return { kind: object.kind, project: object.meta.project, name: object.meta.name, id: object.meta.id };
}

/** Counted with the audit records between them. */
const KEPT_EVENTS = 5000;
const TRIM_EVERY = 50;

export class Records {
  readonly #registry: Registry;
  readonly #clock: Clock;
  #untrimmed = 0;

  constructor(registry: Registry, clock: Clock) {
    this.#registry = registry;
    this.#clock = clock;
  }

  #grown<K extends 'Event' | 'AuditRecord', S, T>(transaction: Transaction, kind: K, spec: S, status: T): BerthObject<S, T, K> {
    const name = this.#registry.nextSequence(transaction);
    const object: BerthObject<S, T, K> = { apiVersion: API_VERSION, kind, meta: { id: name, name, project: '', createdAt: timestamp(this.#clock), generation: 1, revision: 0 }, spec, status };
    transaction.put(object);
    return object;
  }

  event(transaction: Transaction, type: string, target: Target, message: string, severity: EventSpec['severity'] = 'info', details?: EventSpec['details']): void {
    this.#grown(transaction, 'Event', { type, target, message, severity, time: timestamp(this.#clock), ...(details === undefined ? {} : { details }) }, {});
    if (++this.#untrimmed < TRIM_EVERY) return;
    this.#untrimmed = 0;
    // Beside the caller's work: a store that refuses this refuses the caller too, who says so.
    this.trimEvents().catch(() => undefined);
  }

  /** Old events go a few at a time, so that no transaction grows large. Resolves to how many went. */
  async trimEvents(): Promise<number> {
    const newest = this.#registry.sequence - KEPT_EVENTS;
    const { items } = await this.#registry.records<Event>('Event', undefined, TRIM_EVERY * 2);
    const old = items.filter((event) => Number(event.meta.name) <= newest);
    if (old.length === 0) return 0;
    const transaction = new Transaction();
    for (const event of old) transaction.delete(event);
    await this.#registry.commit(transaction);
    return old.length;
  }

  /** The intent: durable before the effect, because the caller commits this transaction first. */
  intent(transaction: Transaction, caller: Caller, verb: VerbName | string, target: Target, details?: Readonly<Record<string, unknown>>): AuditRecord {
    const record = this.#grown(transaction, 'AuditRecord', { time: timestamp(this.#clock), actor: caller.actor, verb, target, requestId: caller.requestId, ...(details === undefined ? {} : { details }) }, { result: 'pending' as const }) as AuditRecord;
    transaction.claim(`pending-audit/${record.meta.name}`, record.meta.name, 'Two audit records have one number.');
    return record;
  }

  outcome(transaction: Transaction, record: AuditRecord, result: 'ok' | 'failed' | 'unknown', errorCode?: ErrorCode): void {
    transaction.put({ ...record, status: { result, completedAt: timestamp(this.#clock), ...(errorCode === undefined ? {} : { errorCode }) } });
    transaction.release(`pending-audit/${record.meta.name}`);
  }

  /** Intents of an earlier daemon whose outcome nobody saw. */
  async settlePending(): Promise<number> {
    const names = this.#registry.claimKeys('pending-audit/').map((key) => key.slice('pending-audit/'.length));
    for (const name of names) {
      const page = await this.#registry.store.get(`o/AuditRecord//${name}`);
      const transaction = new Transaction();
      const record = page === undefined ? undefined : readable(page.value, page.modRevision);
      // One that cannot be read stays as it is, and says so in every list.
      if (record === undefined) transaction.release(`pending-audit/${name}`);
      else this.outcome(transaction, record, 'unknown');
      await this.#registry.commit(transaction);
    }
    return names.length;
  }

  /** A verb without steps: intent, effect, outcome. */
  async audited<T>(caller: Caller, verb: VerbName, target: Target, details: Readonly<Record<string, unknown>> | undefined, effect: () => Promise<T>): Promise<T> {
    const before = new Transaction();
    const record = this.intent(before, caller, verb, target, details);
    await this.#registry.commit(before);
    const after = new Transaction();
    try {
      const result = await effect();
      this.outcome(after, record, 'ok');
      return result;
    } catch (error) {
      const known = asBerthError(error, `finish ${verb}`);
      this.outcome(after, record, 'failed', known.code);
      throw known.code === 'internal' ? error : known; // a bug keeps its own face for the log
    } finally {
      await this.#registry.commit(after);
    }
  }
}

function readable(value: Uint8Array, revision: number): AuditRecord | undefined {
  try {
    return decodeObject(value, revision) as AuditRecord;
  } catch {
    return undefined;
  }
}
