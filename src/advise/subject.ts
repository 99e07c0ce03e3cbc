/** What constraints and criteria look at: one workload's facts, the hosts, and the measured figures. */
import { compareUtf8 } from '../lib/utf8-order.ts';
import type { Figures } from '../model/figures.ts';
import { FORMS, type Form } from '../model/forms.ts';
import type { Provenance, WorkloadSpec } from '../model/workload.ts';
import type { Evidence, HostCapabilities } from './decision.ts';

export interface Subject {
  readonly spec: WorkloadSpec;
  readonly provenance: Provenance;
  readonly host: HostCapabilities;
  readonly figures: Figures;
}

export type Scores = Readonly<Record<Form, number>>;

/** Scores in the order app container, OS container, microVM, VM; kept within −1 … 1. */
export function scores(appContainer: number, osContainer: number, microVM: number, vm: number): Scores {
  return { appContainer: clamp(appContainer), osContainer: clamp(osContainer), microVM: clamp(microVM), vm: clamp(vm) };
}

/** For the life style: both app forms, both OS forms. */
export function byMode(app: number, os: number): Scores {
  return scores(app, os, app, os);
}

/** For the boundary: both containers, both VMs. */
export function byIsolation(container: number, vm: number): Scores {
  return scores(container, container, vm, vm);
}

/** Rounded, so that a sum does not depend on the order of its parts. */
function clamp(score: number): number {
  return Math.round(Math.min(1, Math.max(-1, score)) * 1000) / 1000;
}

export const CONTAINERS: readonly Form[] = ['appContainer', 'osContainer'];
export const VMS: readonly Form[] = ['microVM', 'vm'];
export const ALL_BUT_VM: readonly Form[] = FORMS.filter((form) => form !== 'vm');

/** Fields that are no fact of the workload: `host.hardwareVirtualization`, `figures.…`. */
export function factOf(subject: Subject, field: string): unknown {
  const [first, ...rest] = field.split('.') as [string, ...string[]];
  if (first === 'host') return walk(subject.host, rest);
  if (first === 'figures') return walk(subject.figures.forms, rest);
  return walk(subject.spec, [first, ...rest]);
}

export function evidenceFor(subject: Subject, fields: readonly string[]): Evidence[] {
  return fields.map((field) => {
    const fact = factOf(subject, field);
    const value = field.startsWith('figures.') ? (fact as { value?: number } | undefined)?.value : ordered(fact);
    const known = subject.provenance[field];
    const how = value === undefined ? 'unknown' : known?.how === 'inferred' ? 'inferred' : 'knew';
    return { field, value, how, ...(how === 'inferred' && known?.rule !== undefined ? { rule: known.rule } : {}) };
  });
}

function walk(from: unknown, parts: readonly string[]): unknown {
  let at = from;
  for (const part of parts) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, part)) return undefined;
    at = (at as Record<string, unknown>)[part];
  }
  return at;
}

/** Lists are sets here: sorted, so that the order in which a fact was written shows nowhere. */
export function ordered(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(ordered).sort((a, b) => compareUtf8(JSON.stringify(a), JSON.stringify(b)));
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).sort(([a], [b]) => compareUtf8(a, b)).map(([key, one]) => [key, ordered(one)]));
  }
  return value;
}
