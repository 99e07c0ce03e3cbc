/** What packing takes and gives. Sizes are what an instance really takes: its request and the overhead of its form. */
import type { CapacityRules, Resources } from './resources.ts';

export interface PackingItem {
  /** Unique among the items. */
  readonly id: string;
  readonly size: Resources;
  /** Words that others may refuse. */
  readonly labels?: readonly string[] | undefined;
  /** Never on one host with an item that has one of these labels; its own label here keeps copies apart. */
  readonly apartFrom?: readonly string[] | undefined;
  /** Items of one key lie on one host. */
  readonly together?: string | undefined;
  /** Host types that may have it; all when missing. */
  readonly hostTypes?: readonly string[] | undefined;
}

export interface PackingHostType {
  readonly id: string;
  readonly capacity: Resources;
  /** Any unit, as long as it is one; a whole number. */
  readonly cost: number;
}

export interface PackingOptions extends CapacityRules {
  /** Hosts that may fail at once without a workload losing its place; 0 when missing. */
  readonly spareHosts?: number | undefined;
}

export interface PackedHost {
  readonly type: string;
  /** Sorted. */
  readonly items: readonly string[];
  readonly used: Resources;
  /** After headroom and overcommit. */
  readonly usable: Resources;
}

export interface PackingBound {
  /** No packing needs fewer hosts. */
  readonly hosts: number;
  /** No packing costs less. */
  readonly cost: number;
  /** Which argument gave the bound on hosts: 'memory, by volume'. */
  readonly argument: string;
}

export interface Packing {
  readonly hosts: readonly PackedHost[];
  /** Empty hosts for the failure of others, by type. */
  readonly spares: readonly string[];
  /** What fits nowhere, with the reason: nothing is ever lost without a word. */
  readonly unplaced: readonly { readonly id: string; readonly reason: string }[];
  /** Cost of the hosts, without the spares. */
  readonly cost: number;
  readonly spareCost: number;
  /** Of the hosts, without the spares. */
  readonly bound: PackingBound;
}
