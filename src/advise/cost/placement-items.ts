/** A scenario as items for packing: each instance with its size, what it keeps apart from, and where it may lie. */
import type { Figures } from '../../model/figures.ts';
import { FORMS, type Form } from '../../model/forms.ts';
import type { PriceFile } from '../../model/prices.ts';
import type { Workload } from '../../model/workload.ts';
import type { PlacementRule } from '../decision.ts';
import type { PackingItem } from '../packing/packing.ts';
import { order } from '../packing/prepared.ts';
import { addResources, fitsWithin, NO_RESOURCES, usableCapacity, type Resources } from '../packing/resources.ts';
import { demandOf, type Demand } from './demand.ts';
import { capacityOf, overcommitOf } from './host-cost.ts';
import type { Placed } from './scenarios.ts';

export interface PlacedWorkload {
  readonly workload: Workload;
  readonly placed: Exclude<Placed, undefined>;
  /** undefined for `host` and `physical`: no overhead. */
  readonly form: Form | undefined;
  readonly instances: number;
  readonly demand: Demand;
  readonly items: readonly PackingItem[];
}

/** Replicas counted as 1 when nobody said how many. */
export function placedWorkload(workload: Workload, placed: Exclude<Placed, undefined>, figures: Figures): Omit<PlacedWorkload, 'items'> {
  const form = FORMS.find((one) => one === placed);
  return { workload, placed, form, instances: Math.max(1, workload.spec.replicas ?? 1), demand: demandOf(workload, form, figures) };
}

export interface ScenarioItems {
  readonly placed: readonly PlacedWorkload[];
  readonly notes: readonly string[];
}

/** @param today lie where they lie now: one host for each name of a host, and none of these hosts together */
export function itemsOf(all: readonly Omit<PlacedWorkload, 'items'>[], rules: readonly PlacementRule[], prices: PriceFile, { today }: { readonly today: boolean }): ScenarioItems {
  const labels = ruleLabels(all, rules);
  const groups = togetherKeys(rules);
  const virtual = prices.hostTypes.filter((type) => type.hardwareVirtualization).map(({ name }) => name);
  const tooFull = today ? overfullHosts(all, prices) : new Set<string>();
  const named = new Set<string>();
  const placed = all.map((one) => {
    const { name } = one.workload.meta;
    const own = today ? undefined : labels.get(name);
    const together = today ? undefined : groups.get(name);
    const lies = today ? hostToday(one) : undefined;
    const host = lies !== undefined && tooFull.has(lies) ? undefined : lies;
    const onFirst = host !== undefined && !named.has(host);
    if (host !== undefined) named.add(host);
    const isVm = one.form === 'vm' || one.form === 'microVM';
    const spread = together === undefined && !today && one.instances > 1 && (one.workload.spec.environment === 'prod' || one.workload.spec.environment === 'dr');
    const items = Array.from({ length: one.instances }, (_, copy): PackingItem => {
      // The first two copies of what is in production keep apart, so that no single host takes all of it away.
      const apart = spread && copy < 2 ? [`copy ${name}`] : [];
      const alone = onFirst ? ['a host of today'] : [];
      return {
        id: `${name}\0${copy}`, size: one.demand.size,
        labels: [...(own?.labels ?? []), ...apart, ...alone], apartFrom: [...(own?.apart ?? []), ...apart, ...alone],
        together: host === undefined ? together : `host ${host}`,
        hostTypes: isVm ? virtual : undefined,
      };
    });
    return { ...one, items };
  });
  const listed = [...tooFull].toSorted(order);
  return { placed, notes: listed.length === 0 ? [] : [`What lies on ${listed.slice(0, 5).join(', ')}${listed.length > 5 ? ` and ${listed.length - 5} more` : ''} today fits no host type of the price file together: it was counted on as many hosts as it takes.`] };
}

/** The host that one lies on, or the machine that it is; several copies do not all lie on the one host that was named. */
function hostToday({ workload, placed, instances }: Omit<PlacedWorkload, 'items'>): string | undefined {
  if (instances !== 1) return undefined;
  return workload.spec.change?.currentHost ?? (placed === 'physical' ? `the machine of ${workload.meta.name}` : undefined);
}

/** Hosts of today whose load fits no host type. */
function overfullHosts(all: readonly Omit<PlacedWorkload, 'items'>[], prices: PriceFile): ReadonlySet<string> {
  const loads = new Map<string, Resources>();
  for (const one of all) {
    const host = hostToday(one);
    if (host !== undefined) loads.set(host, addResources(loads.get(host) ?? NO_RESOURCES, one.demand.size));
  }
  const rooms = prices.hostTypes.map((type) => usableCapacity(capacityOf(type), { overcommit: overcommitOf(prices) }));
  return new Set([...loads].filter(([, load]) => !rooms.some((room) => fitsWithin(load, room))).map(([host]) => host));
}

export function workloadOfItem(id: string): string {
  return id.slice(0, id.lastIndexOf('\0'));
}

interface Labels {
  readonly labels: string[];
  readonly apart: string[];
}

function ruleLabels(all: readonly Omit<PlacedWorkload, 'items'>[], rules: readonly PlacementRule[]): Map<string, Labels> {
  // A VM has a kernel of its own: rules about kernels touch only those that share the host's.
  const sharesKernel = new Set(all.filter(({ form }) => form === undefined || form === 'appContainer' || form === 'osContainer').map(({ workload }) => workload.meta.name));
  const found = new Map<string, Labels>();
  for (const [at, rule] of rules.entries()) {
    if (rule.kind !== 'apart') continue;
    for (const [g, group] of rule.groups.entries()) {
      const others = rule.groups.flatMap((_, other) => (other === g ? [] : [`rule ${at} group ${other}`]));
      for (const name of group) {
        if (rule.scope === 'kernel' && !sharesKernel.has(name)) continue;
        const own = found.get(name) ?? { labels: [], apart: [] };
        own.labels.push(`rule ${at} group ${g}`);
        own.apart.push(...others);
        found.set(name, own);
      }
    }
  }
  return found;
}

/** One key for all that are bound to each other, directly or by others. */
function togetherKeys(rules: readonly PlacementRule[]): Map<string, string> {
  const root = new Map<string, string>();
  const find = (name: string): string => {
    const above = root.get(name);
    return above === undefined || above === name ? name : find(above);
  };
  for (const rule of rules) {
    if (rule.kind !== 'together') continue;
    for (const [first, ...others] of rule.groups) for (const other of others) root.set(find(other), find(first!));
  }
  const names = rules.flatMap((rule) => (rule.kind === 'together' ? rule.groups.flat() : []));
  return new Map(names.map((name) => [name, `together ${find(name)}`]));
}
