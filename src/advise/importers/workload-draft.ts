/**
 * A workload while an importer writes it: each fact with how the importer came to it. Facts that the model does not
 * accept are left out and reported, so that one bad value does not cost the workload.
 */
import { workload, type Provenance, type Workload } from '../../model/workload.ts';
import type { ImportProblem } from './import-result.ts';

/** Where a workload stands in its file. */
export interface Origin {
  readonly file: string;
  readonly line: number | undefined;
}

export interface WorkloadDraft {
  readonly name: string;
  readonly origin: Origin;
  /** The file says so. `undefined` says nothing and changes nothing. */
  knew(path: string, value: unknown, from: string): void;
  /** Follows from something that the file says, by a rule in one sentence. Never overwrites what is known. */
  inferred(path: string, value: unknown, rule: string, from?: string): void;
  /** The format has a place for it and the file leaves it open. */
  unknown(path: string, from: string): void;
  has(path: string): boolean;
  get(path: string): unknown;
  meta(key: 'owner' | 'purpose' | 'project', value: string | undefined): void;
  label(name: string, value: string | undefined): void;
  finish(): ImportResultOfOne;
}

export interface ImportResultOfOne {
  readonly workload: Workload | undefined;
  readonly problems: readonly ImportProblem[];
}

const MAX_ROUNDS = 32;
const MAX_LABELS = 32;
const LABEL_NAME = /^[A-Za-z0-9]([A-Za-z0-9._/-]{0,126}[A-Za-z0-9])?$/;

export function openDraft(name: string, origin: Origin): WorkloadDraft {
  const spec = new Map<string, unknown>();
  const provenance = new Map<string, Provenance[string]>();
  const meta: Record<string, string> = {};
  const labels = new Map<string, string>();
  return {
    name,
    origin,
    knew(path, value, from) {
      if (value === undefined) return;
      spec.set(path, value);
      provenance.set(path, { how: 'knew', from: clean(from, 512) });
    },
    inferred(path, value, rule, from) {
      if (value === undefined || provenance.get(path)?.how === 'knew') return;
      spec.set(path, value);
      provenance.set(path, { how: 'inferred', rule: clean(rule, 512), ...(from === undefined ? {} : { from: clean(from, 512) }) });
    },
    unknown(path, from) {
      if (!spec.has(path)) provenance.set(path, { how: 'unknown', from: clean(from, 512) });
    },
    has: (path) => spec.has(path),
    get: (path) => spec.get(path),
    meta(key, value) {
      const text = clean(value ?? '', key === 'purpose' ? 256 : key === 'owner' ? 128 : 63);
      if (text !== '') meta[key] = text;
    },
    label(label, value) {
      if (value !== undefined && value !== '' && labels.size < MAX_LABELS && LABEL_NAME.test(label)) labels.set(label, clean(value, 1024));
    },
    finish() {
      const raw = {
        kind: 'Workload',
        meta: { name, ...meta, ...(labels.size === 0 ? {} : { labels: Object.fromEntries(labels) }) },
        spec: nested(spec),
        provenance: Object.fromEntries([...provenance].toSorted(([a], [b]) => (a < b ? -1 : 1))),
      };
      return accepted(raw, origin);
    },
  };
}

/** Takes out what the model refuses, field by field, until the rest is a workload. */
export function accepted(raw: unknown, origin: Origin, lineOf: (path: readonly (string | number)[]) => number | undefined = () => undefined): ImportResultOfOne {
  const whole = workload.safeParse(raw);
  if (whole.success) return { workload: whole.data, problems: [] };
  const problems: ImportProblem[] = [];
  const value = structuredClone(raw);
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const result = workload.safeParse(value);
    if (result.success) return { workload: result.data, problems };
    for (const issue of result.error.issues) {
      const path = issue.path.map((part) => (typeof part === 'symbol' ? String(part) : part));
      const bad = issue.code === 'unrecognized_keys' ? issue.keys.map((key) => [...path, key]) : [path];
      for (const one of bad) {
        const field = one.join('.');
        problems.push({ file: origin.file, line: lineOf(one) ?? origin.line, field, message: issue.code === 'unrecognized_keys' ? `There is no field ${field}.` : sentence(issue.message) });
        // Without a name, or not an object at all: nothing that could be decided about.
        if (one.length < 2 || (one[0] === 'meta' && one[1] === 'name')) {
          if (issue.code !== 'unrecognized_keys') return { workload: undefined, problems };
        }
        const removed = remove(value, one);
        if (one[0] === 'spec' && isMap(value) && isMap(value['provenance'])) delete value['provenance'][removed.slice(1).join('.')];
      }
    }
  }
  return { workload: undefined, problems: [...problems, { file: origin.file, line: origin.line, message: 'There is too much wrong with this workload.' }] };
}

function sentence(message: string): string {
  const text = message.slice(0, 1).toUpperCase() + message.slice(1);
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

/** An element of a list takes the whole list: a shorter one would say something else. Answers the path that was removed. */
function remove(root: unknown, path: readonly (string | number)[]): readonly (string | number)[] {
  const firstIndex = path.findIndex((part) => typeof part === 'number');
  const to = firstIndex > 0 ? path.slice(0, firstIndex) : path;
  let at: unknown = root;
  for (const part of to.slice(0, -1)) {
    if (!isMap(at)) return to;
    at = at[part];
  }
  if (isMap(at)) delete at[to.at(-1)!];
  return to;
}

function isMap(value: unknown): value is Record<string | number, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function nested(flat: ReadonlyMap<string, unknown>): Record<string, unknown> {
  const root: Record<string, unknown> = {};
  for (const [path, value] of flat) {
    const parts = path.split('.');
    let at = root;
    for (const part of parts.slice(0, -1)) at = (at[part] ??= {}) as Record<string, unknown>;
    at[parts.at(-1)!] = value;
  }
  return root;
}

// eslint-disable-next-line no-control-regex -- control characters are exactly what is taken out
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/gu;

/** One line, no control characters, no longer than may be. */
export function clean(text: string, maxLength: number): string {
  return text.toWellFormed().replaceAll(CONTROL, ' ').trim().slice(0, maxLength).toWellFormed();
}
