/**
 * A value of a document with its place, so that what is wrong is said with file, line and field. Reading never throws: a
 * value of another type is reported and counts as missing.
 */
import { isMap as isYamlMap, isSeq, isPair, isScalar, LineCounter, parseAllDocuments, type Document } from 'yaml';
import { JsonError, parseJsonStrict } from '../../lib/json-strict.ts';
import type { ImportProblem } from './import-result.ts';

export type Path = readonly (string | number)[];

export interface SourceDocument {
  readonly file: string;
  readonly root: SourceNode;
}

export interface SourceNode {
  readonly value: unknown;
  readonly path: Path;
  readonly file: string;
  /** undefined and null are missing. */
  readonly missing: boolean;
  at(...path: Path): SourceNode;
  line(): number | undefined;
  /** Adds to the problems of the document. */
  problem(message: string): void;
  text(): string | undefined;
  number(): number | undefined;
  /** Also `yes` and `true` in quotes, as tools write them. */
  flag(): boolean | undefined;
  list(): readonly SourceNode[];
  /** Members of an object, in their order. */
  entries(): readonly (readonly [string, SourceNode])[];
}

interface Reader {
  readonly file: string;
  readonly problems: ImportProblem[];
  lineOf(path: Path): number | undefined;
}

const MAX_PROBLEMS = 1000;
/** A certificate in a variable is some thousands. */
const MAX_TEXT = 64 * 1024;
const MAX_ALIASES = 100;
const MAX_DOCUMENTS = 5000;
const JSON_BOUNDS = { maxBytes: 64 * 1024 * 1024, maxDepth: 64, maxKeys: 5_000_000 };

/** Only small texts are read a second time to find a line: an error in a big one is said without. */
const MAX_LINE_SEARCH = 4 * 1024 * 1024;

export function node(value: unknown, path: Path, reader: Reader): SourceNode {
  const self: SourceNode = {
    value,
    path,
    file: reader.file,
    missing: value === undefined || value === null,
    at: (...more) => node(more.reduce<unknown>(member, value), [...path, ...more], reader),
    line: () => reader.lineOf(path),
    problem(message) {
      if (reader.problems.length < MAX_PROBLEMS) reader.problems.push({ file: reader.file, line: reader.lineOf(path), field: path.join('.'), message });
    },
    text: () => scalar(self, `text of at most ${MAX_TEXT} characters`, (one) => (typeof one === 'string' ? (one.length > MAX_TEXT ? undefined : one) : typeof one === 'number' || typeof one === 'boolean' ? String(one) : undefined)),
    number: () => scalar(self, 'a number', (one) => {
      const number = typeof one === 'string' && /^-?\d+(\.\d+)?$/.test(one.trim()) ? Number(one) : one;
      return typeof number === 'number' && Number.isFinite(number) ? number : undefined;
    }),
    flag: () => scalar(self, 'true or false', (one) => (typeof one === 'boolean' ? one : one === 'true' || one === 'yes' || one === 1 || one === '1' ? true : one === 'false' || one === 'no' || one === 0 || one === '0' ? false : undefined)),
    list() {
      if (self.missing) return [];
      if (Array.isArray(value)) return value.map((one, index) => node(one, [...path, index], reader));
      self.problem(`Here stands ${named(value)}, where a list belongs.`);
      return [];
    },
    entries() {
      if (self.missing) return [];
      if (isMap(value)) return Object.keys(value).map((key) => [key, node(value[key], [...path, key], reader)] as const);
      self.problem(`Here stands ${named(value)}, where an object belongs.`);
      return [];
    },
  };
  return self;
}

export function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function member(value: unknown, key: string | number): unknown {
  if (Array.isArray(value)) return typeof key === 'number' ? value[key] : undefined;
  return isMap(value) && Object.hasOwn(value, key) ? value[key] : undefined;
}

function scalar<T>(self: SourceNode, wanted: string, convert: (value: unknown) => T | undefined): T | undefined {
  if (self.missing) return undefined;
  const result = convert(self.value);
  if (result === undefined) self.problem(`Here stands ${named(self.value)}, where ${wanted} belongs.`);
  return result;
}

function named(value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  if (isMap(value)) return 'an object';
  return JSON.stringify(value)?.slice(0, 80) ?? 'nothing';
}

export interface ReadDocuments {
  readonly documents: readonly SourceDocument[];
  /** Filled on while the documents are read. */
  readonly problems: ImportProblem[];
}

/** JSON of one document. Lines are found when a problem asks for them. */
export function readJson(file: string, text: string): ReadDocuments {
  const problems: ImportProblem[] = [];
  let lines: ((path: Path) => number | undefined) | undefined;
  try {
    const value = parseJsonStrict(text, JSON_BOUNDS);
    const reader: Reader = { file, problems, lineOf: (path) => (lines ??= text.length > MAX_LINE_SEARCH ? () => undefined : yamlLines(text))(path) };
    return { documents: [{ file, root: node(value, [], reader) }], problems };
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    problems.push({ file, ...(error.path === '' ? {} : { field: error.path }), ...jsonErrorLine(text), message: error.message });
    return { documents: [], problems };
  }
}

/** The YAML reader knows places where JSON.parse has only a position in some of its messages. */
function jsonErrorLine(text: string): { readonly line?: number } {
  if (text.length > MAX_LINE_SEARCH) return {};
  const lines = new LineCounter();
  const [document] = parseAllDocuments(text, { lineCounter: lines, uniqueKeys: false });
  const error = document !== undefined && 'errors' in document ? document.errors[0] : undefined;
  return error === undefined ? {} : { line: lines.linePos(error.pos[0]).line };
}

function yamlLines(text: string): (path: Path) => number | undefined {
  const lines = new LineCounter();
  const document = [...parseAllDocuments(text, { lineCounter: lines, uniqueKeys: false })][0];
  return (path) => (document === undefined || !('contents' in document) ? undefined : lineIn(document as Document, path, lines));
}

/** A document that is broken is reported with its line; the others are read. */
export function readYaml(file: string, text: string, { merge = false }: { readonly merge?: boolean } = {}): ReadDocuments {
  const problems: ImportProblem[] = [];
  const lines = new LineCounter();
  const documents: SourceDocument[] = [];
  let parsed: Document[];
  try {
    parsed = [...parseAllDocuments(text, { lineCounter: lines, merge, uniqueKeys: true, strict: true, logLevel: 'silent' })] as Document[];
  } catch (thrown) {
    // Lists within lists within lists: the reader calls itself.
    return { documents, problems: [{ file, message: `This is no YAML that can be read: ${(thrown as Error).message}.` }] };
  }
  for (const [index, document] of parsed.entries()) {
    if (index >= MAX_DOCUMENTS) {
      problems.push({ file, message: `Only the first ${MAX_DOCUMENTS} documents are read.` });
      break;
    }
    const [error] = document.errors;
    const start = lines.linePos(document.range?.[0] ?? 0).line;
    if (error !== undefined) {
      problems.push({ file, line: lines.linePos(error.pos[0]).line, message: `Document ${index + 1} is not YAML: ${error.message.split('\n')[0]!.replace(/ at line \d+, column \d+:?$/, '').replace(/:$/, '')}.` });
      continue;
    }
    try {
      const value: unknown = document.toJS({ maxAliasCount: MAX_ALIASES });
      if (value === null || value === undefined) continue;
      documents.push({ file, root: node(value, [], { file, problems, lineOf: (path) => lineIn(document, path, lines) ?? start }) });
    } catch (thrown) {
      problems.push({ file, line: start, message: `Document ${index + 1} cannot be read: ${(thrown as Error).message}.` });
    }
  }
  return { documents, problems };
}

/** Of the key where there is one, else of the value; of the nearest parent that stands in the text. */
function lineIn(document: Document, path: Path, lines: LineCounter): number | undefined {
  let at: unknown = document.contents;
  let found = rangeStart(at);
  for (const part of path) {
    if (isYamlMap(at)) {
      const pair = at.items.find((one) => isPair(one) && isScalar(one.key) && String(one.key.value) === String(part));
      if (pair === undefined) break;
      found = rangeStart(pair.key) ?? found;
      at = pair.value;
    } else if (isSeq(at)) {
      at = at.items[Number(part)];
      found = rangeStart(at) ?? found;
    } else break;
  }
  return found === undefined ? undefined : lines.linePos(found).line;
}

function rangeStart(value: unknown): number | undefined {
  return (value as { range?: readonly number[] | null } | null)?.range?.[0];
}
