/**
 * Every place of a zod schema that takes a text, each with a document that is right but for what a test puts there. Made
 * from the schema itself: a field that is added later comes in by itself.
 */
import * as z from 'zod';

export interface TextPlace {
  /** Dotted, lists and maps without their indexes: `spec.volumes.target`, `spec.env (name)`. */
  readonly path: string;
  /** The document with this text in this place. */
  readonly put: (text: string) => unknown;
  /** The document is accepted with a harmless text; otherwise a refusal would say nothing about the text. */
  readonly isReachable: boolean;
}

/** Texts that some field takes; the first that the schema accepts stands for it. */
const HARMLESS = ['busybox', 'a1', '/data', 'SIGTERM', 'NET_BIND_SERVICE', '10.77.0.0/24', '127.0.0.1', '1', '0644', 'A', 'TERM', 'default', 'no', 'EUR', '12.50', '2g', 'sha256:0000000000000000000000000000000000000000000000000000000000000000'];

// JSON Schema of any shape.
type Schema = any; // eslint-disable-line
type Step = { readonly property: string } | { readonly item: true } | { readonly member: true } | { readonly branch: number };

export function textPlaces(schema: z.ZodType): TextPlace[] {
  const root: Schema = z.toJSONSchema(schema, { unrepresentable: 'any', io: 'input' });
  return found(root, []).map(({ steps, isKey }) => placeOf(schema, root, steps, isKey));
}

interface Found {
  readonly steps: readonly Step[];
  readonly isKey: boolean;
}

function found(schema: Schema, steps: readonly Step[]): Found[] {
  const all: Found[] = [];
  if ([schema.type].flat().includes('string') && schema.const === undefined) all.push({ steps, isKey: false });
  if (schema.items !== undefined) all.push(...found(schema.items, [...steps, { item: true }]));
  for (const [property, inner] of Object.entries(schema.properties ?? {})) all.push(...found(inner, [...steps, { property }]));
  if (typeof schema.additionalProperties === 'object' && Object.keys(schema.additionalProperties).length > 0) {
    all.push({ steps: [...steps, { member: true }], isKey: true }, ...found(schema.additionalProperties, [...steps, { member: true }]));
  }
  for (const [branch, inner] of (schema.anyOf ?? []).entries()) all.push(...found(inner, [...steps, { branch }]));
  return all;
}

type Trail = readonly (string | number)[];

/** A document along the steps, with what is required beside them; `more`: properties that are put in besides. */
function build(schema: Schema, steps: readonly Step[], trail: Trail, texts: ReadonlyMap<string, string>, more: ReadonlySet<string>): unknown {
  const [step, ...rest] = steps;
  if (schema.anyOf !== undefined) {
    const branch = step !== undefined && 'branch' in step ? step.branch : 0;
    return build(schema.anyOf[branch], step !== undefined && 'branch' in step ? rest : steps, trail, texts, more);
  }
  if (schema.const !== undefined) return schema.const;
  if (schema.enum !== undefined) return texts.get(trail.join('.')) ?? schema.enum[0];
  // A union of plain types is written as a list of them.
  const type = Array.isArray(schema.type) ? (texts.has(trail.join('.')) ? 'string' : schema.type[0]) : schema.type;
  switch (type) {
    case 'string': return texts.get(trail.join('.')) ?? fitting(schema);
    case 'integer': case 'number': return Math.max(schema.minimum ?? 0, schema.exclusiveMinimum === undefined ? 0 : schema.exclusiveMinimum + 1, 0);
    case 'boolean': return false;
    case 'array': return step !== undefined && 'item' in step ? [build(schema.items, rest, [...trail, 0], texts, more)] : Array.from({ length: schema.minItems ?? 0 }, (_, at) => build(schema.items, [], [...trail, at], texts, more));
    case 'object': break;
    default: return {};
  }
  if (step !== undefined && 'member' in step) {
    const name = texts.get(`${trail.join('.')}{}`) ?? schema.propertyNames?.enum?.[0] ?? 'A';
    return { [name]: build(schema.additionalProperties, rest, [...trail, name], texts, more) };
  }
  const wanted = step !== undefined && 'property' in step ? step.property : undefined;
  return Object.fromEntries(Object.entries<Schema>(schema.properties ?? {})
    .filter(([name]) => name === wanted || schema.required?.includes(name) === true && schema.properties[name].default === undefined || more.has([...trail, name].join('.')))
    .map(([name, inner]) => [name, build(inner, name === wanted ? rest : [], [...trail, name], texts, more)]));
}

function fitting(schema: Schema): string {
  return HARMLESS.find((text) => schema.pattern === undefined || new RegExp(schema.pattern, 'u').test(text)) ?? HARMLESS[0]!;
}

function placeOf(whole: z.ZodType, root: Schema, steps: readonly Step[], isKey: boolean): TextPlace {
  const { texts, more, isReachable } = harmlessTexts(whole, root, steps);
  const trail = trailOf(root, steps, texts);
  const path = trail.filter((part) => typeof part === 'string').join('.').replace(/\.[^.]*$/, (last) => (steps.at(-1) !== undefined && 'member' in steps.at(-1)! ? ` (${isKey ? 'name' : 'value'})` : last));
  const key = isKey ? `${trail.slice(0, -1).join('.')}{}` : trail.join('.');
  return { path, isReachable, put: (text) => build(root, steps, [], new Map([...texts].filter(([at]) => !isKey || !at.startsWith(trail.join('.'))).concat([[key, text]])), more) };
}

function trailOf(schema: Schema, steps: readonly Step[], texts: ReadonlyMap<string, string>): (string | number)[] {
  const trail: (string | number)[] = [];
  let inner = schema;
  for (const step of steps) {
    if ('branch' in step) inner = inner.anyOf[step.branch];
    else if ('item' in step) { trail.push(0); inner = inner.items; }
    else if ('member' in step) { trail.push(texts.get(`${trail.join('.')}{}`) ?? inner.propertyNames?.enum?.[0] ?? 'A'); inner = inner.additionalProperties; }
    else { trail.push(step.property); inner = inner.properties[step.property]; }
  }
  return trail;
}

/** Tries texts, and members that are optional, until the schema takes the whole. */
function harmlessTexts(whole: z.ZodType, root: Schema, steps: readonly Step[]): { readonly texts: Map<string, string>; readonly more: Set<string>; readonly isReachable: boolean } {
  const texts = new Map<string, string>();
  const more = new Set<string>();
  const tried = new Map<string, number>();
  for (let attempt = 0; attempt < 200; attempt++) {
    const issue = whole.safeParse(build(root, steps, [], texts, more)).error?.issues[0];
    if (issue === undefined) return { texts, more, isReachable: true };
    const at = issue.path.join('.');
    const schema = schemaAt(root, issue.path as Trail);
    const next = tried.get(at) ?? 0;
    tried.set(at, next + 1);
    if (schema?.type === 'object' && schema.properties !== undefined) {
      const optional = Object.keys(schema.properties).filter((name) => schema.required?.includes(name) !== true);
      for (const name of optional) more.delete(at === '' ? name : `${at}.${name}`);
      if (next >= optional.length) break;
      more.add(at === '' ? optional[next]! : `${at}.${optional[next]}`);
    } else if (issue.code === 'invalid_key') {
      if (next >= HARMLESS.length) break;
      texts.set(`${issue.path.slice(0, -1).join('.')}{}`, HARMLESS[next]!);
    } else {
      if (next >= HARMLESS.length) break;
      texts.set(at, HARMLESS[next]!);
    }
  }
  return { texts, more, isReachable: false };
}

function schemaAt(schema: Schema, path: Trail): Schema {
  let inner = schema;
  for (const part of path) {
    inner = inner?.anyOf?.[0] ?? inner;
    inner = typeof part === 'number' ? inner?.items : (inner?.properties?.[part] ?? inner?.additionalProperties);
  }
  return inner;
}
