/**
 * Keeps this root's two nft tables as they should be. The chains never change while it runs; what changes is who is
 * in the sets. Changes of one turn of the event loop go to the kernel together.
 */
import { canonicalAddress } from '../../../lib/ip-address.ts';
import { Nft } from '../../../host/nft.ts';
import type { NftObject } from '../../../host/nft.ts';
import { NftElements } from '../../../host/nft-elements.ts';
import type { ElementChange, ElementField } from '../../../host/nft-elements.ts';
import { commandsOf } from './expressions.ts';
import type { TablePlan } from './expressions.ts';
import { factKey, factValue } from './facts.ts';
import type { Fact } from './facts.ts';
import { hostTable } from './host-rules.ts';
import type { HostNames } from './names.ts';
import { portTable, rawPortRules } from './port-rules.ts';
import type { GuardsLeftOut } from './port-rules.ts';

interface Counted {
  readonly fact: Fact;
  users: number;
}

interface Change {
  readonly owner: string;
  readonly facts: readonly Fact[];
  /** Taken out of the kernel unless somebody claims them: what an earlier daemon put there for this owner. */
  readonly gone: readonly Fact[];
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** So many owners at once, that the event loop is not held. */
const CHANGES_PER_TURN = 50;
/** As many fit one message to the kernel. */
const SWEPT_TOGETHER = 1000;

export class RuleKeeper implements Disposable {
  readonly #names: HostNames;
  readonly #without: GuardsLeftOut;
  readonly #nft: Nft;
  readonly #elements = new NftElements();
  readonly #tables: readonly TablePlan[];
  /** What each owner wants to hold. */
  readonly #owners = new Map<string, readonly Fact[]>();
  readonly #wanted = new Map<string, Counted>();
  /** What the kernel holds, as far as we know: text of the key → text of the value. */
  readonly #held = new Map<string, string>();
  /** Elements of an earlier daemon that nobody asked for yet. */
  readonly #inherited = new Map<string, Fact>();
  #queue: Change[] = [];
  #turn: Promise<unknown> = Promise.resolve();
  #opened: Promise<void> | undefined;
  #fingerprint = '';
  #generation = -1;

  constructor(names: HostNames, nft: Nft, without: GuardsLeftOut) {
    this.#names = names;
    this.#nft = nft;
    this.#without = without;
    this.#tables = [portTable(names, without), hostTable(names, without)];
  }

  /** The tables are there. What an earlier daemon put into the sets stays until `sweep`. */
  open(): Promise<void> {
    this.#opened ??= this.#exclusive(() => this.#open()).catch((error: unknown) => {
      this.#opened = undefined;
      throw error;
    });
    return this.#opened;
  }

  /** Makes these the owner's facts; in force when it resolves. An empty list takes all away. */
  async set(owner: string, facts: readonly Fact[], gone: readonly Fact[] = []): Promise<void> {
    await this.open();
    await new Promise<void>((resolve, reject) => {
      this.#queue.push({ owner, facts, gone, resolve, reject });
      if (this.#queue.length === 1) setImmediate(() => void this.#exclusive(() => this.#flush()));
    });
  }

  has(owner: string): boolean {
    return this.#owners.has(owner);
  }

  /** Compares tables, chains and sets with the kernel's; true when they had to be made again. */
  async repair(): Promise<boolean> {
    await this.open();
    return this.#exclusive(async () => {
      const generation = await this.#elements.generation();
      if (generation === this.#generation) return false;
      const listing = await this.#list();
      if (listing !== undefined && fingerprint(listing) === this.#fingerprint && this.#sameElements(listing)) {
        this.#generation = generation;
        return false;
      }
      await this.#applyAll();
      return true;
    });
  }

  /** Takes away what an earlier daemon left in the sets and nobody claimed since; answers how many. */
  async sweep(stillUsed: (fact: Fact) => boolean): Promise<number> {
    await this.open();
    return this.#exclusive(async () => {
      const gone = [...this.#inherited].filter(([, fact]) => !stillUsed(fact));
      for (let at = 0; at < gone.length; at += SWEPT_TOGETHER) await this.#send(gone.slice(at, at + SWEPT_TOGETHER).map(([, fact]) => this.#change('delete', fact)));
      for (const [key] of gone) {
        this.#inherited.delete(key);
        this.#held.delete(key);
      }
      return gone.length;
    });
  }

  /** Both tables go. */
  async remove(): Promise<void> {
    await this.#exclusive(async () => {
      await this.#nft.apply(this.#tables.flatMap(({ family, name }) => [{ add: { table: { family, name } } }, { delete: { table: { family, name } } }]));
      for (const map of [this.#owners, this.#wanted, this.#held, this.#inherited]) map.clear();
      this.#opened = undefined;
    });
  }

  [Symbol.dispose](): void {
    this.#elements[Symbol.dispose]();
  }

  async #open(): Promise<void> {
    const before = await this.#list();
    if (before !== undefined) {
      for (const fact of factsOf(before, this.#names.table)) {
        this.#held.set(factKey(fact), factValue(fact));
        this.#inherited.set(factKey(fact), fact);
      }
    }
    try {
      await this.#applyStatic();
    } catch (error) {
      if (before === undefined) throw error;
      // Sets of another version cannot be changed in place: begin anew, with what they held as far as it still fits.
      await this.#applyAll();
    }
  }

  async #applyStatic(): Promise<void> {
    await this.#nft.apply(this.#tables.flatMap(commandsOf));
    await this.#afterApply();
  }

  async #applyAll(): Promise<void> {
    const facts = new Map<string, Fact>(this.#inherited);
    for (const [key, { fact }] of this.#wanted) facts.set(key, fact);
    await this.#nft.apply([
      ...this.#tables.flatMap(({ family, name }) => [{ add: { table: { family, name } } }, { delete: { table: { family, name } } }]),
      ...this.#tables.flatMap(commandsOf),
      ...elementCommands([...facts.values()], this.#names.table),
    ]);
    this.#held.clear();
    for (const [key, fact] of facts) this.#held.set(key, factValue(fact));
    await this.#afterApply();
  }

  async #afterApply(): Promise<void> {
    const raw = rawPortRules(this.#names, this.#without);
    if (raw.length > 0) await this.#elements.appendRules(raw);
    this.#generation = await this.#elements.generation();
    const listing = await this.#list();
    this.#fingerprint = listing === undefined ? '' : fingerprint(listing);
  }

  async #flush(): Promise<void> {
    const queue = this.#queue.splice(0, CHANGES_PER_TURN);
    if (this.#queue.length > 0) setImmediate(() => void this.#exclusive(() => this.#flush()));
    const touched = new Map<string, Fact>();
    for (const { owner, facts, gone } of queue) {
      for (const fact of gone) {
        touched.set(factKey(fact), fact);
        this.#inherited.delete(factKey(fact));
      }
      for (const fact of this.#owners.get(owner) ?? []) {
        const counted = this.#wanted.get(factKey(fact))!;
        if (--counted.users === 0) this.#wanted.delete(factKey(fact));
        touched.set(factKey(fact), fact);
      }
      for (const fact of facts) {
        const counted = this.#wanted.get(factKey(fact));
        if (counted !== undefined && factValue(counted.fact) === factValue(fact)) counted.users++;
        else this.#wanted.set(factKey(fact), { fact, users: (counted?.users ?? 0) + 1 });
        touched.set(factKey(fact), fact);
        this.#inherited.delete(factKey(fact));
      }
      if (facts.length === 0) this.#owners.delete(owner);
      else this.#owners.set(owner, facts);
    }
    try {
      await this.#bring([...touched.keys()], touched);
      for (const change of queue) change.resolve();
    } catch (error) {
      for (const change of queue) change.reject(error);
    }
  }

  /** Makes the kernel's elements under these keys as wanted. When it objects, something else changed them: all anew. */
  async #bring(keys: readonly string[], known: ReadonlyMap<string, Fact>): Promise<void> {
    const deletes: ElementChange[] = [];
    const adds: ElementChange[] = [];
    for (const key of keys) {
      const fact = this.#wanted.get(key)?.fact;
      const held = this.#held.get(key);
      if (fact !== undefined && held === factValue(fact)) continue;
      if (held !== undefined) deletes.push(this.#change('delete', known.get(key)!));
      if (fact !== undefined) adds.push(this.#change('add', fact));
    }
    const bySet = (a: ElementChange, b: ElementChange): number => (a.family + a.set < b.family + b.set ? -1 : 1);
    const changes = [...deletes.toSorted(bySet), ...adds.toSorted(bySet)];
    if (changes.length === 0) return;
    try {
      await this.#send(changes);
    } catch {
      await this.#applyAll();
      return;
    }
    for (const key of keys) {
      const fact = this.#wanted.get(key)?.fact;
      if (fact === undefined) this.#held.delete(key);
      else this.#held.set(key, factValue(fact));
    }
  }

  async #send(changes: readonly ElementChange[]): Promise<void> {
    if (changes.length === 0) return;
    await this.#elements.apply(changes);
    this.#generation++; // one transaction; somebody else's in between shows as a difference and costs one listing
  }

  #change(verb: 'add' | 'delete', fact: Fact): ElementChange {
    return { verb, family: fact.family, table: this.#names.table, set: fact.set, key: fact.key, ...(verb === 'delete' || fact.value === undefined ? {} : { value: fact.value }) };
  }

  async #list(): Promise<readonly NftObject[] | undefined> {
    const listings = await Promise.all(this.#tables.map(({ family, name }) => this.#nft.table(family, name)));
    return listings.some((listing) => listing === undefined) ? undefined : listings.flatMap((listing) => listing!);
  }

  #sameElements(listing: readonly NftObject[]): boolean {
    const there = new Map(factsOf(listing, this.#names.table).map((fact) => [factKey(fact), factValue(fact)]));
    return there.size === this.#held.size && [...this.#held].every(([key, value]) => there.get(key) === value);
  }

  #exclusive<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => undefined);
    return result;
  }
}

/** The rules without what changes by itself: handles, counters, elements. */
function fingerprint(listing: readonly NftObject[]): string {
  return JSON.stringify(listing, (key, value: unknown) => (['handle', 'packets', 'bytes', 'elem', 'position'].includes(key) ? undefined : value));
}

const fieldJson = (field: ElementField): unknown => Object.values(field)[0];
const concatJson = (fields: readonly ElementField[]): unknown => (fields.length === 1 ? fieldJson(fields[0]!) : { concat: fields.map(fieldJson) });

function elementCommands(facts: readonly Fact[], table: string): readonly NftObject[] {
  const bySet = Map.groupBy(facts, (fact) => `${fact.family} ${fact.set}`);
  return [...bySet.values()].map((group) => ({
    add: { element: { family: group[0]!.family, table, name: group[0]!.set, elem: group.map(({ key, value }) => (value === undefined ? concatJson(key) : [concatJson(key), concatJson(value)])) } },
  }));
}

/** The elements of a listing as facts; what has no type of ours is left out. */
function factsOf(listing: readonly NftObject[], table: string): readonly Fact[] {
  return listing.flatMap((object) => {
    const body = (object['set'] ?? object['map']) as { family: 'inet' | 'bridge'; name: string; table: string; type: string | string[]; map?: string; elem?: unknown[] } | undefined;
    if (body?.elem === undefined || body.table !== table) return [];
    const types = [body.type].flat();
    return body.elem.flatMap((element) => {
      const isMap = body.map !== undefined;
      const [rawKey, rawValue] = isMap ? (element as [unknown, unknown]) : [element, undefined];
      const key = fieldsOf(rawKey, types);
      const value = isMap ? fieldsOf(rawValue, [body.map!]) : undefined;
      return key === undefined ? [] : [{ family: body.family, set: body.name, key, ...(value === undefined ? {} : { value }) }];
    });
  });
}

function fieldsOf(raw: unknown, types: readonly string[]): ElementField[] | undefined {
  const values = types.length === 1 ? [raw] : (raw as { concat?: unknown[] } | null)?.concat;
  if (values === undefined || values.length !== types.length) return undefined;
  return values.map((value, i): ElementField => {
    switch (types[i]) {
      case 'ifname': return { interface: String(value) };
      case 'ether_addr': return { mac: String(value) };
      case 'inet_service': return { port: Number(value) };
      case 'inet_proto': return { protocol: value === 'udp' || value === 17 ? 'udp' : 'tcp' };
      default: return { address: canonicalAddress(String(value)) };
    }
  });
}
