/**
 * The objects: the store is the truth on disk, this is its index in memory, rebuilt at start. Reads never touch the
 * disk; every write is one transaction of the store, and the index follows when it is durable.
 *
 * Keys: o/KIND/PROJECT/NAME → the object as JSON with its schema version; u/WHAT/… → id of the owner of something that
 * may exist once (an address, a host port).
 */
import { BerthError } from '../model/errors.ts';
import { KINDS, type KindName } from '../model/kinds.ts';
import { API_VERSION, SCHEMA_VERSION, type BerthObject } from '../model/meta.ts';
import type { Change, Compare, Store } from '../drivers/store/driver.ts';

export interface Entry<T extends BerthObject = BerthObject> {
  readonly object: T;
  /** The object as it goes over the wire, made once. */
  json(): string;
}

export function objectKey(kind: string, project: string, name: string): string {
  return `o/${kind}/${project}/${name}`;
}

function keyOf(object: BerthObject): string {
  return objectKey(object.kind, object.meta.project, object.meta.name);
}

interface StoredForm {
  readonly schema: number;
  readonly object: BerthObject;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });

const isMap = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);

/** What everybody who reads an object relies on, so that a damaged one is found here and not by who stumbles over it. */
function isWhole(object: unknown): object is BerthObject {
  if (!isMap(object) || typeof object['kind'] !== 'string') return false;
  const { kind, meta, spec, status } = object;
  if (!isMap(meta) || !isMap(spec) || !isMap(status)) return false;
  if (![meta['id'], meta['name'], meta['project'], meta['createdAt']].every((text) => typeof text === 'string')) return false;
  if (kind === 'Event' || kind === 'AuditRecord') return typeof spec['time'] === 'string' && isMap(spec['target']);
  if (kind !== 'Instance') return true;
  return typeof status['state'] === 'string' && typeof status['form'] === 'string' && Array.isArray(status['ports']) && Array.isArray(status['published']) && isMap(status['volumes']);
}

/** Decodes a stored value; the revision is the store's. */
export function decodeObject(value: Uint8Array, revision: number): BerthObject {
  const stored = JSON.parse(decoder.decode(value)) as StoredForm;
  // Before its shape is looked at: a newer version may have another one.
  if (typeof stored?.schema !== 'number') throw new Error('not an object');
  if (stored.schema > SCHEMA_VERSION) throw new BerthError('unsupported', `An object has schema ${stored.schema}; this version knows up to ${SCHEMA_VERSION}.`, { hint: 'Install the newer version again.' });
  if (!isWhole(stored.object)) throw new Error('not a whole object');
  return { ...stored.object, meta: { ...stored.object.meta, revision } };
}

/** What one commit changes. Filled by whoever takes part, sent once. */
export class Transaction {
  readonly compares: Compare[] = [];
  readonly changes: Change[] = [];
  readonly puts = new Map<string, BerthObject>();
  readonly deletes = new Set<string>();
  readonly claims: { key: string; owner: string; taken: string }[] = [];
  /** Set when a record that only grows takes part. */
  sequence: string | undefined;

  /** `absent` for a new object, else the revision that was read; undefined: whatever is there. */
  put(object: BerthObject, expect?: 'absent' | number): this {
    const key = keyOf(object);
    if (!this.puts.has(key)) {
      if (expect === 'absent') this.compares.push({ key, absent: true });
      else if (expect !== undefined) this.compares.push({ key, modRevision: expect });
    }
    this.puts.set(key, object);
    return this;
  }

  /** Fails the whole when somebody wrote or deleted it since it was read. */
  unchanged(object: BerthObject): this {
    this.compares.push({ key: keyOf(object), modRevision: object.meta.revision });
    return this;
  }

  delete(object: BerthObject): this {
    this.deletes.add(keyOf(object));
    return this;
  }

  /** Takes something that may exist once. `taken` is the sentence for who comes second. */
  claim(key: string, owner: string, taken: string): this {
    this.compares.push({ key: `u/${key}`, absent: true });
    this.claims.push({ key: `u/${key}`, owner, taken });
    return this;
  }

  /** Gives it back; taken and given back in one transaction is nothing at all. */
  release(key: string): this {
    const full = `u/${key}`;
    const own = this.claims.findIndex((claim) => claim.key === full);
    if (own < 0) this.changes.push({ delete: full });
    else {
      this.claims.splice(own, 1);
      this.compares.splice(this.compares.findIndex((compare) => compare.key === full), 1);
    }
    return this;
  }
}

/** Records that only grow: read from the store when asked for, never held in memory. */
const UNINDEXED: ReadonlySet<string> = new Set(['Event', 'AuditRecord']);
const SEQUENCE_KEY = 'u/sequence';
const SEQUENCE_DIGITS = 14;

export type RegistryListener = (change: { readonly kind: string; readonly project: string; readonly name: string; readonly object: BerthObject | undefined; readonly revision: number }) => void;

export class Registry {
  readonly #store: Store;
  readonly #byKind = new Map<string, Map<string, Entry>>();
  readonly #byId = new Map<string, Entry>();
  readonly #claims = new Map<string, string>();
  readonly #listeners = new Set<RegistryListener>();
  #revision = 0;
  #sequence = 0;
  /** Keys whose value could not be read: shown, never overwritten. */
  readonly quarantined: { readonly key: string; readonly reason: string }[] = [];

  readonly #decode: typeof decodeObject;

  private constructor(store: Store, decode: typeof decodeObject) {
    this.#store = store;
    this.#decode = decode;
  }

  static async open(store: Store, decode = decodeObject): Promise<Registry> {
    const registry = new Registry(store, decode);
    for (const prefix of [...Object.values(KINDS).filter((rule) => !UNINDEXED.has(rule.kind)).map((rule) => `o/${rule.kind}/`), 'u/']) {
      let after: string | undefined;
      for (;;) {
        const page = await store.range({ prefix, limit: 1000, ...(after === undefined ? {} : { after }) });
        for (const found of page.values) registry.#load(found.key, found.value, found.modRevision);
        registry.#revision = Math.max(registry.#revision, page.revision);
        if (!page.more) break;
        after = page.values.at(-1)!.key;
      }
    }
    registry.#sortByAge();
    await registry.#assertSequence();
    return registry;
  }

  /** The store has them by name; lists show the oldest first, before and after a start of the daemon. */
  #sortByAge(): void {
    for (const [kind, entries] of this.#byKind) this.#byKind.set(kind, new Map([...entries].sort(([, a], [, b]) => (a.object.meta.createdAt < b.object.meta.createdAt ? -1 : a.object.meta.createdAt > b.object.meta.createdAt ? 1 : 0))));
  }

  /** A sequence that is behind its records, or no number, would have new records take the place of old ones. */
  async #assertSequence(): Promise<void> {
    const isNumber = Number.isSafeInteger(this.#sequence) && this.#sequence >= 0;
    if (!isNumber) this.quarantined.push({ key: SEQUENCE_KEY, reason: 'not a number; it goes on after the last record' });
    if (!isNumber) this.#sequence = 0;
    for (const kind of UNINDEXED) {
      for (;;) {
        const prefix = `o/${kind}/`;
        const { values, more } = await this.#store.range({ prefix, limit: 1000, after: `${prefix}/${sequenceName(this.#sequence)}` });
        const last = values.at(-1);
        if (last === undefined) break;
        this.#sequence = Number(last.key.slice(prefix.length + 1));
        if (!more) break;
      }
    }
  }

  #load(key: string, value: Uint8Array, revision: number): void {
    if (key === SEQUENCE_KEY) {
      const text = new TextDecoder().decode(value);
      this.#sequence = /^\d+$/.test(text) ? Number(text) : Number.NaN;
      return;
    }
    if (key.startsWith('u/')) {
      // Whoever it belonged to: it stays taken, and is given back by its key.
      this.#claims.set(key, new TextDecoder().decode(value));
      return;
    }
    try {
      const object = this.#decode(value, revision);
      if (keyOf(object) !== key) throw new Error('the key and the object disagree');
      this.#index(key, object);
    } catch (error) {
      if (error instanceof BerthError) throw error;
      this.quarantined.push({ key, reason: (error as Error).message });
    }
  }

  get revision(): number {
    return this.#revision;
  }

  get store(): Store {
    return this.#store;
  }

  find<T extends BerthObject>(kind: KindName, project: string, name: string): T | undefined {
    return this.#byKind.get(kind)?.get(objectKey(kind, project, name))?.object as T | undefined;
  }

  get<T extends BerthObject>(kind: KindName, project: string, name: string): T {
    const object = this.find<T>(kind, project, name);
    if (object === undefined) throw this.notFound(kind, project, name);
    return object;
  }

  notFound(kind: KindName, project: string, name: string): BerthError {
    const word = kind === 'AuditRecord' ? 'audit record' : kind.toLowerCase();
    if (this.isQuarantined(kind, project, name)) return new BerthError('notFound', `The ${word} '${name}' is in the store and cannot be read.`, { hint: 'The log and `berth events` say what is wrong with it; a backup of the store has it whole.', details: { kind, name, project } });
    return new BerthError('notFound', `There is no ${word} '${name}'${project === '' ? '' : ` in project '${project}'`}.`, { hint: `\`berth ${kind === 'Instance' ? 'list -a' : `${word} list`}\` shows what there is.`, details: { kind, name, project } });
  }

  /** It is there and could not be read: nothing may take its place. */
  isQuarantined(kind: KindName, project: string, name: string): boolean {
    return this.quarantined.some(({ key }) => key === objectKey(kind, project, name));
  }

  byId<T extends BerthObject>(id: string): T | undefined {
    return this.#byId.get(id)?.object as T | undefined;
  }

  entries<T extends BerthObject>(kind: KindName, project?: string): Entry<T>[] {
    const all = [...(this.#byKind.get(kind)?.values() ?? [])] as Entry<T>[];
    return project === undefined ? all : all.filter((entry) => entry.object.meta.project === project);
  }

  list<T extends BerthObject>(kind: KindName, project?: string): T[] {
    return this.entries<T>(kind, project).map((entry) => entry.object);
  }

  count(kind: KindName): number {
    return this.#byKind.get(kind)?.size ?? 0;
  }

  claimOwner(key: string): string | undefined {
    return this.#claims.get(`u/${key}`);
  }

  claimKeys(prefix: string): string[] {
    return [...this.#claims.keys()].filter((key) => key.startsWith(`u/${prefix}`)).map((key) => key.slice(2));
  }

  /** Name for the next record that only grows: sorts in the order of writing. */
  nextSequence(transaction: Transaction): string {
    const name = sequenceName(++this.#sequence);
    transaction.sequence = name;
    return name;
  }

  /** A page of records that only grow, oldest first. */
  async records<T extends BerthObject>(kind: KindName, after?: string, limit = 1000): Promise<{ readonly items: readonly T[]; readonly revision: number; readonly more: boolean }> {
    const prefix = `o/${kind}/`;
    const page = await this.#store.range({ prefix, limit, ...(after === undefined ? {} : { after: `${prefix}/${after}` }) });
    return { items: page.values.map((found) => readRecord(kind, found.key, found.value, found.modRevision) as T), revision: page.revision, more: page.more };
  }

  get sequence(): number {
    return this.#sequence;
  }

  /** Makes all of it durable, or throws and changes nothing. */
  async commit(transaction: Transaction): Promise<number> {
    const changes: Change[] = [...transaction.changes];
    for (const key of transaction.deletes) if (!transaction.puts.has(key)) changes.push({ delete: key });
    for (const [key, object] of transaction.puts) changes.push({ put: key, value: encode(object) });
    for (const claim of transaction.claims) changes.push({ put: claim.key, value: encoder.encode(claim.owner) });
    if (transaction.sequence !== undefined) changes.push({ put: SEQUENCE_KEY, value: encoder.encode(String(this.#sequence)) });
    const result = await this.#store.txn(transaction.compares, changes);
    if (!result.succeeded) throw this.#conflict(transaction);
    this.#apply(transaction, result.revision);
    return result.revision;
  }

  #conflict(transaction: Transaction): BerthError {
    const claim = transaction.claims.find((wanted) => this.#claims.has(wanted.key));
    if (claim !== undefined) return new BerthError('alreadyExists', claim.taken);
    for (const compare of transaction.compares) {
      const object = transaction.puts.get(compare.key);
      if (object === undefined) continue;
      if ('absent' in compare) return new BerthError('alreadyExists', `There is already ${article(object.kind)} '${object.meta.name}'.`, { hint: 'Choose another name, or delete the other one first.', details: { kind: object.kind, name: object.meta.name } });
      return new BerthError('changed', `${object.kind} '${object.meta.name}' changed meanwhile.`, { hint: 'Read it again and repeat.' });
    }
    return new BerthError('changed', 'Something changed meanwhile.', { hint: 'Repeat.' });
  }

  #apply(transaction: Transaction, revision: number): void {
    this.#revision = Math.max(this.#revision, revision);
    for (const change of transaction.changes) if ('delete' in change) this.#claims.delete(change.delete);
    for (const key of transaction.deletes) {
      if (transaction.puts.has(key)) continue;
      const [, kind, project, name] = key.split('/') as [string, string, string, string];
      const entry = this.#byKind.get(kind)?.get(key);
      this.#byKind.get(kind)?.delete(key);
      if (entry !== undefined && this.#byId.get(entry.object.meta.id) === entry) this.#byId.delete(entry.object.meta.id);
      this.#tell({ kind, project, name, object: undefined, revision });
    }
    for (const [key, object] of transaction.puts) {
      const current = { ...object, meta: { ...object.meta, revision } };
      if (!UNINDEXED.has(object.kind)) this.#index(key, current);
      this.#tell({ kind: object.kind, project: object.meta.project, name: object.meta.name, object: current, revision });
    }
    for (const claim of transaction.claims) this.#claims.set(claim.key, claim.owner);
  }

  #index(key: string, object: BerthObject): void {
    let json: string | undefined;
    const entry: Entry = { object, json: () => (json ??= JSON.stringify(object)) };
    const kind = this.#byKind.get(object.kind) ?? new Map<string, Entry>();
    this.#byKind.set(object.kind, kind);
    kind.set(key, entry);
    this.#byId.set(object.meta.id, entry);
  }

  #tell(change: Parameters<RegistryListener>[0]): void {
    for (const listener of this.#listeners) listener(change);
  }

  onChange(listener: RegistryListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

function sequenceName(sequence: number): string {
  return String(sequence).padStart(SEQUENCE_DIGITS, '0');
}

/** One that cannot be read has its place in the list, too: a gap in it would be a record that nobody misses. */
function readRecord(kind: KindName, key: string, value: Uint8Array, revision: number): BerthObject {
  try {
    const object = decodeObject(value, revision);
    if (keyOf(object) !== key) throw new Error('the key and the record disagree');
    return object;
  } catch (error) {
    if (error instanceof BerthError) throw error;
    const name = key.slice(key.lastIndexOf('/') + 1);
    const time = new Date(0).toISOString();
    const target = { kind, project: '', name, id: '' };
    const message = `This record cannot be read in the store (${key}): ${(error as Error).message}.`;
    return {
      apiVersion: API_VERSION, kind, meta: { id: name, name, project: '', createdAt: time, generation: 1, revision },
      spec: kind === 'Event' ? { type: 'record.unreadable', target, message, severity: 'error', time } : { time, actor: 'unknown', verb: 'unknown', target, requestId: '', details: { unreadable: message } },
      status: kind === 'Event' ? {} : { result: 'unknown' },
    };
  }
}

function encode(object: BerthObject): Uint8Array {
  const { revision: _revision, ...meta } = object.meta;
  return encoder.encode(JSON.stringify({ schema: SCHEMA_VERSION, object: { ...object, meta } }));
}

function article(kind: string): string {
  return `${/^[AEIOU]/.test(kind) ? 'an' : 'a'} ${kind.toLowerCase()}`;
}
