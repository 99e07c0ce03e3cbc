/** Manifests: YAML or JSON documents, each one object. What is wrong with one is said with its file and its place in it. */
import { BerthError } from '../model/errors.ts';
import { printable } from '../model/ids.ts';
import type { Context } from './command.ts';
import { readTextFile } from './input-file.ts';
import { kindOf } from './kind-words.ts';

export interface Manifest {
  readonly kind: string;
  readonly singular: string;
  readonly name: string;
  /** undefined: the one of the command line. */
  readonly project: string | undefined;
  readonly meta: Readonly<Record<string, unknown>>;
  readonly spec: Readonly<Record<string, unknown>>;
}

const API_VERSION = 'berth/v1';
/** In this order they are made, and in the opposite one deleted. */
const ORDER = ['Project', 'Network', 'Volume', 'Instance'];
const MAX_ALIASES = 100;

export async function readManifests(context: Context, files: readonly string[]): Promise<readonly Manifest[]> {
  if (files.length === 0) throw new BerthError('invalid', 'Say which manifest: -f FILE.', { hint: '-f - reads standard input.' });
  const all: Manifest[] = [];
  for (const file of files) all.push(...(await parseManifests(await readTextFile(file, context.stdio), file)));
  if (all.length === 0) throw new BerthError('invalid', `There is no object in ${files.map(printable).join(', ')}.`);
  const seen = new Set<string>();
  for (const one of all) {
    const key = `${one.kind} ${one.project ?? ''}/${one.name}`;
    if (seen.has(key)) throw new BerthError('invalid', `${one.singular} '${one.name}' is described twice.`);
    seen.add(key);
  }
  return all.toSorted((a, b) => ORDER.indexOf(a.kind) - ORDER.indexOf(b.kind));
}

/** @throws BerthError `invalid`, with file and line for what is no YAML. */
export async function parseManifests(text: string, file: string): Promise<Manifest[]> {
  const { parseAllDocuments } = await import('yaml');
  const documents = parseAllDocuments(text, { strict: true, uniqueKeys: true, merge: false });
  const manifests: Manifest[] = [];
  for (const [at, document] of ('empty' in documents ? [] : documents).entries()) {
    const problem = document.errors[0];
    if (problem !== undefined) throw new BerthError('invalid', `${printable(file)} is no manifest: ${problem.message.split('\n')[0]!.replace(/:$/, '')}.`);
    let value: unknown;
    try {
      value = document.toJS({ maxAliasCount: MAX_ALIASES });
    } catch (error) {
      throw new BerthError('invalid', `${printable(file)}: document ${at + 1} cannot be read: ${(error as Error).message}.`);
    }
    for (const one of listed(value)) manifests.push(manifestOf(one, `${printable(file)}, document ${at + 1}`));
  }
  return manifests;
}

/** A document may be a list: of `get -o yaml`, or {kind: …List, items}. An empty one is nothing. */
function listed(value: unknown): unknown[] {
  if (value === null || value === undefined) return [];
  if (Array.isArray(value)) return value;
  return isMap(value) && Array.isArray(value['items']) && typeof value['kind'] === 'string' && value['kind'].endsWith('List') ? value['items'] : [value];
}

const MEMBERS = ['apiVersion', 'kind', 'meta', 'spec', 'status'];
/** What the daemon writes into meta, as `get -o yaml` shows it. */
const OBSERVED_META = ['id', 'createdAt', 'generation', 'revision'];

function manifestOf(value: unknown, where: string): Manifest {
  if (!isMap(value)) throw new BerthError('invalid', `${where} is not an object with kind, meta and spec.`);
  const unknown = Object.keys(value).find((key) => !MEMBERS.includes(key));
  if (unknown !== undefined) throw new BerthError('invalid', `${where} has the unknown member '${printable(unknown)}'.`, { hint: unknown === 'metadata' ? 'It is called meta here.' : `There are ${MEMBERS.join(', ')}.` });
  if (value['apiVersion'] !== undefined && value['apiVersion'] !== API_VERSION) throw new BerthError('unsupported', `${where} is of version '${printable(value['apiVersion'])}'; this is ${API_VERSION}.`);
  if (typeof value['kind'] !== 'string') throw new BerthError('invalid', `${where} has no kind.`, { hint: `One of ${ORDER.join(', ')}.` });
  const { kind, singular } = kindOf(value['kind']);
  if (!ORDER.includes(kind)) throw new BerthError('unsupported', `${where}: a manifest cannot describe ${singular}s.`, { hint: `It can describe ${ORDER.join(', ')}.` });
  const { meta = {}, spec = {} } = value;
  if (!isMap(meta) || !isMap(spec)) throw new BerthError('invalid', `${where}: meta and spec must be objects.`);
  if (typeof meta['name'] !== 'string' || meta['name'] === '') throw new BerthError('invalid', `${where} has no meta.name.`, { hint: 'Names may be left out on the command line only: a manifest is applied again and again.' });
  const project = meta['project'];
  if (project !== undefined && typeof project !== 'string') throw new BerthError('invalid', `${where}: meta.project must be a name.`);
  return {
    kind, singular, name: meta['name'], project: project === '' ? undefined : project, spec,
    meta: Object.fromEntries(Object.entries(meta).filter(([key]) => !OBSERVED_META.includes(key) && key !== 'project')),
  };
}

export function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
