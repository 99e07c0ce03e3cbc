/**
 * How a kind is spelled: a zod object whose fields carry traits. From it come the type, run-time validation with
 * per-field errors, the OpenAPI schema, command-line flags, `explain`, and the field × form table.
 */
import * as z from 'zod';
import { BerthError, type FieldError } from './errors.ts';
import { FORMS, type Form } from './forms.ts';
import { issueSentence } from './issue-sentence.ts';

/** What a field means in one form: a sentence, or a refusal with its reason. */
export type Meaning = string | { readonly refused: string };

export interface FieldTraits {
  /** Does a change reach a running instance at once, with its next start, or never? */
  readonly change: 'live' | 'restart' | 'never';
  readonly means: Readonly<Record<Form, Meaning>>;
  /** Never shown in logs, audit records or lists. */
  readonly secret?: boolean;
  /** The long flag without dashes; fields without one are set by manifests only. */
  readonly flag?: string;
  /** One letter. */
  readonly short?: string;
  /** How the flag's value is written, for help: `BYTES`, `NAME=VALUE`. */
  readonly value?: string;
  /** May the flag be given several times? */
  readonly repeat?: boolean;
}

const traitsBySchema = new WeakMap<z.ZodType, FieldTraits>();

export function field<T extends z.ZodType>(schema: T, describe: string, traits: FieldTraits): T {
  const described = schema.describe(describe) as T;
  traitsBySchema.set(described, traits);
  return described;
}

export function traitsOf(schema: z.ZodType): FieldTraits | undefined {
  return traitsBySchema.get(schema);
}

/** The same sentence for all four forms. */
export function everyForm(sentence: string): Record<Form, Meaning> {
  return Object.fromEntries(FORMS.map((form) => [form, sentence])) as Record<Form, Meaning>;
}

/** One sentence for containers, one for VMs. */
export function byBoundary(container: Meaning, vm: Meaning): Record<Form, Meaning> {
  return { appContainer: container, osContainer: container, microVM: vm, vm };
}

/** For fields that mean something else, or nothing, where an init runs the system. */
export function byForm(appContainer: Meaning, osContainer: Meaning, microVM: Meaning, vm: Meaning): Record<Form, Meaning> {
  return { appContainer, osContainer, microVM, vm };
}

export interface FieldRow {
  readonly path: string;
  readonly describe: string;
  readonly traits: FieldTraits;
  readonly schema: z.ZodType;
}

/** All fields of an object schema that carry traits, nested objects included, in the order of their spelling. */
export function fieldRows(schema: z.ZodObject, prefix = ''): FieldRow[] {
  const rows: FieldRow[] = [];
  for (const [name, child] of Object.entries(schema.shape) as [string, z.ZodType][]) {
    const traits = traitsOf(child);
    const path = prefix === '' ? name : `${prefix}.${name}`;
    if (traits !== undefined) rows.push({ path, describe: child.description ?? '', traits, schema: child });
    else {
      const inner = unwrap(child);
      if (inner instanceof z.ZodObject) rows.push(...fieldRows(inner, path));
    }
  }
  return rows;
}

/** Takes away optional, default and nullable wrappers. */
export function unwrap(schema: z.ZodType): z.ZodType {
  let inner: z.ZodType = schema;
  while (inner instanceof z.ZodOptional || inner instanceof z.ZodDefault || inner instanceof z.ZodNullable) inner = inner.unwrap() as z.ZodType;
  return inner;
}

/** Validates input of unknown origin. Unknown fields are errors; every problem is named by its path. `kind` is what its `spec` is of, for the hint. */
export function parseInput<T>(schema: z.ZodType<T>, input: unknown, what: string, prefix = '', kind?: string): T {
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  throw invalidInput(result.error, what, prefix, kind);
}

const MAX_FIELD_ERRORS = 20;
const NO_SUCH_FIELD = 'no such field';

function invalidInput(error: z.ZodError, what: string, prefix: string, kind: string | undefined): BerthError {
  const fields: FieldError[] = error.issues.slice(0, MAX_FIELD_ERRORS).flatMap((issue) => {
    const base = [...(prefix === '' ? [] : [prefix]), ...issue.path.map(String)].join('.');
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.slice(0, MAX_FIELD_ERRORS).map((key) => ({ path: base === '' ? key : `${base}.${key}`, message: NO_SUCH_FIELD }));
    }
    return [{ path: base, message: issueSentence(issue, String(issue.path.at(-1) ?? '')) }];
  });
  const first = fields[0];
  const detail = first === undefined ? '' : `: ${first.path === '' ? '' : `${first.path}: `}${first.message}`;
  return new BerthError('invalid', `The ${what} is not valid${detail}.`, { fields, hint: kind === undefined || first === undefined ? undefined : explained(kind, first) });
}

/** Where more is said about a field of a spec. */
function explained(kind: string, { path, message }: FieldError): string | undefined {
  const [room, field] = path.split('.');
  if (room !== 'spec') return undefined;
  return field === undefined || message === NO_SUCH_FIELD ? `\`berth explain ${kind}\` lists the fields.` : `\`berth explain ${kind}.${field}\` says what it takes.`;
}
