/** The decisions for many workloads, and what they demand of each other. Independent of the order they are given in. */
import { compareUtf8 } from '../lib/utf8-order.ts';
import type { Workload } from '../model/workload.ts';
import { decide, subjectOf } from './decide.ts';
import type { AdviseOptions, Estate, EstateAdvice, PlacementRule } from './decision.ts';
import { evidenceFor } from './subject.ts';
import { hardwareDemand } from './trust-need.ts';

export function adviseEstate(estate: Estate, options: AdviseOptions = {}): EstateAdvice {
  const sorted = inOrder(estate);
  return { decisions: sorted.map((one) => decide(one, options)), placement: placementRules(sorted), redFlags: sharedFlags(sorted) };
}

/** By name; equal names by their content, so that the order of the input shows nowhere. */
function inOrder(estate: Estate): Workload[] {
  const keyed = estate.map((one) => ({ one, content: canonical(one) }));
  return keyed.sort((a, b) => compareUtf8(a.one.meta.name, b.one.meta.name) || compareUtf8(a.content, b.content)).map(({ one }) => one);
}

function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) => (typeof inner === 'object' && inner !== null && !Array.isArray(inner)
    ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => compareUtf8(a, b))) : inner));
}

/** What a packer must keep apart or together, from all that the workloads ask of each other. */
export function placementRules(estate: Estate): PlacementRule[] {
  const sorted = inOrder(estate);
  const names = new Set(sorted.map((one) => one.meta.name));
  const rules: PlacementRule[] = [];
  const pair = (kind: PlacementRule['kind'], scope: PlacementRule['scope'], a: string, b: readonly string[], reason: string): void => {
    const others = b.filter((name) => name !== a && names.has(name)).sort(compareUtf8);
    if (others.length > 0) rules.push({ kind, scope, groups: kind === 'together' ? [[a, ...others]] : [[a], others], reason });
  };
  for (const { meta: { name }, spec } of sorted) {
    if (spec.disasterRecoveryOf !== undefined) pair('apart', 'host', name, [spec.disasterRecoveryOf], `${name} replaces ${spec.disasterRecoveryOf} in a disaster.`);
    pair('apart', 'host', name, spec.placement?.notOnHostWith ?? [], `${name} asks not to share a host with them.`);
    pair('together', 'host', name, spec.placement?.onHostWith ?? [], `${name} asks for the same host.`);
    const apart = spec.trust?.noSharedKernelWith ?? [];
    if (apart.length > 0) pair('apart', 'kernel', name, sorted.filter((other) => meantBy(apart, other)).map((other) => other.meta.name), `${name} may not share a kernel with ${[...apart].sort(compareUtf8).join(', ')}.`);
  }
  const tenants = tenantGroups(sorted);
  if (tenants.length > 1) rules.push({ kind: 'apart', scope: 'kernel', groups: tenants, reason: 'Tenants do not share a kernel with each other, nor with us.' });
  return unique(rules);
}

/** `*`: everybody; `tenants`: everything of a tenant or with a tenant's code or people in it; else a name. */
function meantBy(words: readonly string[], { meta, spec }: Workload): boolean {
  const ofTenant = spec.trust?.tenant !== undefined || spec.trust?.code === 'tenant' || spec.inside?.administrators === 'tenant';
  return words.includes('*') || words.includes(meta.name) || (ofTenant && words.includes('tenants'));
}

/**
 * One group for each named tenant, and one for all that is ours. Only those that could be containers at all: who needs
 * hardware has a kernel of its own anyway, and an owner who lowered the demand accepts the company.
 */
function tenantGroups(sorted: readonly Workload[]): string[][] {
  const groups = new Map<string, string[]>();
  for (const one of sorted) {
    if (one.spec.trust?.demand === 'lowered' || hardwareDemand(subjectOf(one)) !== undefined) continue;
    const tenant = one.spec.trust?.tenant ?? '';
    groups.set(tenant, [...(groups.get(tenant) ?? []), one.meta.name]);
  }
  return [...groups.keys()].some((tenant) => tenant !== '') ? [...groups.entries()].sort(([a], [b]) => compareUtf8(a, b)).map(([, members]) => members) : [];
}

/** A pair asked for by both sides is one rule. */
function unique(rules: readonly PlacementRule[]): PlacementRule[] {
  const seen = new Set<string>();
  return rules.filter((rule) => {
    const key = `${rule.kind} ${rule.scope} ${rule.groups.map((group) => [...group].sort(compareUtf8).join('\0')).sort(compareUtf8).join('\n')}`;
    return !seen.has(key) && seen.add(key);
  });
}

function sharedFlags(sorted: readonly Workload[]): EstateAdvice['redFlags'][number][] {
  const byName = new Map(sorted.map((one) => [one.meta.name, one]));
  return sorted.flatMap((copy) => {
    const original = copy.spec.disasterRecoveryOf === undefined ? undefined : byName.get(copy.spec.disasterRecoveryOf);
    const host = copy.spec.change?.currentHost;
    if (original === undefined || host === undefined || original.spec.change?.currentHost !== host) return [];
    return [{
      flag: 'production and DR on one host', sentence: `${copy.meta.name} is there for the day on which ${host} fails, and lies on ${host} itself.`,
      evidence: evidenceFor(subjectOf(copy), ['disasterRecoveryOf', 'change.currentHost']), workloads: [copy.meta.name, original.meta.name].sort(compareUtf8),
    }];
  });
}
