/** One name, one workload: two views of the same guest become one, and two guests of the same name get longer names. */
import { compareUtf8 } from '../../lib/utf8-order.ts';
import type { Workload } from '../../model/workload.ts';
import type { EstateFormat, ImportProblem } from './import-result.ts';

export interface FoundWorkload {
  readonly workload: Workload;
  readonly file: string;
  readonly format: EstateFormat | undefined;
}

/** Labels that tell namesakes apart, as the tools do themselves. */
const QUALIFIERS = ['compose.project', 'kubernetes.namespace', 'incus.project', 'proxmox.node'];

export function mergeByName(found: readonly FoundWorkload[], problems: ImportProblem[]): readonly Workload[] {
  const groups = new Map<string, FoundWorkload[]>();
  for (const one of found) {
    const group = groups.get(one.workload.meta.name);
    if (group === undefined) groups.set(one.workload.meta.name, [one]);
    else group.push(one);
  }
  const taken = new Set(groups.keys());
  const result: Workload[] = [];
  for (const group of groups.values()) {
    const distinct = joinViews(group);
    if (distinct.length === 1) result.push(distinct[0]!.workload);
    else result.push(...apart(distinct, taken, problems));
  }
  return result.toSorted((a, b) => compareUtf8(a.meta.name, b.meta.name));
}

/** `pvesh` knows the use, `qm config` the settings, of the same guest. */
function joinViews(group: readonly FoundWorkload[]): readonly FoundWorkload[] {
  const config = group.filter((one) => one.format === 'proxmoxConfig');
  const view = group.filter((one) => one.format === 'proxmoxJson');
  if (config.length !== 1 || view.length !== 1) return group;
  const joined = { ...config[0]!, workload: merged(view[0]!.workload, config[0]!.workload) };
  return [joined, ...group.filter((one) => one !== config[0] && one !== view[0])];
}

/** `over` wins, but what it inferred gives way to what `under` knew. */
function merged(under: Workload, over: Workload): Workload {
  const spec = structuredClone(under.spec) as Record<string, unknown>;
  const provenance = { ...under.provenance };
  for (const [path, value] of facts(over)) {
    const how = over.provenance?.[path];
    const there = provenance[path]?.how;
    if (how?.how !== 'knew' && there === 'knew') continue;
    put(spec, path, value);
    if (how !== undefined) provenance[path] = how;
  }
  for (const [path, how] of Object.entries(over.provenance ?? {})) provenance[path] ??= how;
  const sorted = Object.fromEntries(Object.entries(provenance).toSorted(([a], [b]) => (a < b ? -1 : 1)));
  return { ...under, meta: { ...under.meta, ...over.meta, labels: { ...under.meta.labels, ...over.meta.labels } }, spec, provenance: sorted } as Workload;
}

function facts(workload: Workload): readonly (readonly [string, unknown])[] {
  return Object.keys(workload.provenance ?? {}).flatMap((path) => {
    const value = path.split('.').reduce<unknown>((at, part) => (typeof at === 'object' && at !== null ? (at as Record<string, unknown>)[part] : undefined), workload.spec);
    return value === undefined ? [] : [[path, value] as const];
  });
}

function put(root: Record<string, unknown>, path: string, value: unknown): void {
  const parts = path.split('.');
  let at = root;
  for (const part of parts.slice(0, -1)) at = (at[part] ??= {}) as Record<string, unknown>;
  at[parts.at(-1)!] = value;
}

function apart(group: readonly FoundWorkload[], taken: Set<string>, problems: ImportProblem[]): readonly Workload[] {
  const next = new Map<string, number>();
  const inOrder = group.toSorted((a, b) => compareUtf8(a.file, b.file));
  return inOrder.flatMap((one, index) => {
    if (index > 0 && one.format === 'berth') {
      problems.push({ file: one.file, field: 'meta.name', message: `The workload ${JSON.stringify(one.workload.meta.name)} is described twice; the first is weighed.` });
      return [];
    }
    const labels = one.workload.meta.labels ?? {};
    const qualifier = QUALIFIERS.map((label) => labels[label]).find((value) => value !== undefined);
    const wished = qualifier === undefined ? one.workload.meta.name : `${qualifier}/${one.workload.meta.name}`;
    return [{ ...one.workload, meta: { ...one.workload.meta, name: index === 0 && qualifier === undefined ? wished : free(wished.slice(0, 240), taken, next) } }];
  });
}

/** `next` remembers how far the numbers of a name have come: a table may hold one name a hundred thousand times. */
function free(wished: string, taken: Set<string>, next: Map<string, number>): string {
  for (let number = next.get(wished) ?? 1; ; number++) {
    const name = number === 1 ? wished : `${wished} (${number})`;
    if (taken.has(name)) continue;
    taken.add(name);
    next.set(wished, number + 1);
    return name;
  }
}
