/** The words of nftables' JSON (libnftables-json(5)) that our rules use. Pure: data in, data out. */
import type { NftFamily, NftObject } from '../../../host/nft.ts';

export type Expression = NftObject;

export const payload = (protocol: string, field: string): Expression => ({ payload: { protocol, field } });
export const bytesAt = (base: 'th' | 'nh' | 'll', offsetBits: number, lengthBits: number): Expression => ({ payload: { base, offset: offsetBits, len: lengthBits } });
export const meta = (key: string): Expression => ({ meta: { key } });
export const concat = (...parts: readonly Expression[]): Expression => ({ concat: parts });
export const set = (...values: readonly unknown[]): Expression => ({ set: values });
export const prefix = (addr: string, len: number): Expression => ({ prefix: { addr, len } });

export const is = (left: Expression, right: unknown): Expression => ({ match: { op: '==', left, right } });
export const isNot = (left: Expression, right: unknown): Expression => ({ match: { op: '!=', left, right } });
export const hasBits = (left: Expression, right: unknown): Expression => ({ match: { op: 'in', left, right } });

export const incoming = meta('iifname');
export const outgoing = meta('oifname');
export const transportProtocol = meta('l4proto');
export const destinationPort = payload('th', 'dport');
export const localDestination = is({ fib: { result: 'type', flags: ['daddr'] } }, 'local');

export const counter: Expression = { counter: null };
export const accept: Expression = { accept: null };
export const drop: Expression = { drop: null };
/** Counted, so that an attempt can be seen: `nft list chain …`. */
export const refuse: readonly Expression[] = [counter, drop];
export const goto = (target: string): Expression => ({ goto: { target } });
export const jump = (target: string): Expression => ({ jump: { target } });

export interface ChainPlan {
  readonly name: string;
  readonly base?: { readonly type: 'filter' | 'nat'; readonly hook: string; readonly priority: number } | undefined;
  readonly rules: readonly (readonly Expression[])[];
}

export interface SetPlan {
  readonly name: string;
  readonly type: readonly string[];
  /** Maps: what a key leads to. */
  readonly map?: string | undefined;
}

export interface TablePlan {
  readonly family: NftFamily & ('inet' | 'bridge');
  readonly name: string;
  readonly sets: readonly SetPlan[];
  readonly chains: readonly ChainPlan[];
}

/** Commands that make the table be as planned in one transaction; what its sets hold stays. */
export function commandsOf({ family, name: table, sets, chains }: TablePlan): readonly NftObject[] {
  return [
    { add: { table: { family, name: table } } },
    ...sets.map(({ name, type, map }) => (map === undefined
      ? { add: { set: { family, table, name, type: type.length === 1 ? type[0] : type } } }
      : { add: { map: { family, table, name, type: type.length === 1 ? type[0] : type, map } } })),
    ...chains.map(({ name, base }) => ({ add: { chain: { family, table, name, ...(base === undefined ? {} : { type: base.type, hook: base.hook, prio: base.priority, policy: 'accept' }) } } })),
    ...chains.map(({ name }) => ({ flush: { chain: { family, table, name } } })),
    ...chains.flatMap(({ name: chain, rules }) => rules.map((expr) => ({ add: { rule: { family, table, chain, expr } } }))),
  ];
}
