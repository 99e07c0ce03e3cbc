/** `apply -f` and `delete -f`: object by object, each reported when it is done. */
import type { Client } from '../client/client.ts';
import { terminalSafeLine } from '../lib/terminal-safe.ts';
import { BerthError } from '../model/errors.ts';
import type { BerthObject } from '../model/meta.ts';
import type { Context } from './command.ts';
import { daemonClient } from './daemon-client.ts';
import { FIELD_TABLE } from './generated/field-table.ts';
import { withImage } from './image-first.ts';
import { metaPatch, specPatch } from './manifest-difference.ts';
import { readManifests, type Manifest } from './manifest.ts';
import { idempotencyKey, longVerb } from './operation.ts';
import type { Words } from './words.ts';

type Outcome = 'created' | 'updated' | 'unchanged' | 'deleted' | 'absent';

interface Applied {
  readonly outcome: Outcome;
  /** What the daemon says about it, such as a change that waits for the next start. */
  readonly warnings: readonly string[];
}

export async function applyManifests(context: Context, words: Words): Promise<number> {
  const manifests = await readManifests(context, words.all('file'));
  const client = daemonClient(context);
  for (const manifest of manifests) {
    const { outcome, warnings } = await applyOne(context, client, manifest, words);
    await report(context, manifest, outcome);
    for (const warning of warnings) await context.tell(`berth: ${manifest.singular}/${manifest.name}: ${terminalSafeLine(warning)}`);
  }
  return 0;
}

export async function deleteManifests(context: Context, words: Words): Promise<number> {
  const manifests = await readManifests(context, words.all('file'));
  const client = daemonClient(context);
  for (const manifest of manifests.toReversed()) await report(context, manifest, await deleteOne(context, client, manifest, words));
  return 0;
}

async function report(context: Context, manifest: Manifest, outcome: Outcome): Promise<void> {
  await context.stdio.out(`${manifest.singular}/${manifest.name} ${outcome}\n`);
}

async function applyOne(context: Context, client: Client, manifest: Manifest, words: Words): Promise<Applied> {
  const current = await found(client, manifest);
  if (current === undefined) {
    await createOne(context, client, manifest, words);
    return { outcome: 'created', warnings: [] };
  }
  const spec = specPatch(manifest.spec, current.spec as Readonly<Record<string, unknown>>, FIELD_TABLE[manifest.kind] ?? []);
  const meta = metaPatch(manifest.meta, current.meta as unknown as Readonly<Record<string, unknown>>);
  if (manifest.kind === 'Project' ? spec === undefined : spec === undefined && meta === undefined) return { outcome: 'unchanged', warnings: [] };
  if (!['Instance', 'Project', 'Volume'].includes(manifest.kind)) {
    throw new BerthError('unsupported', `${manifest.singular} '${manifest.name}' is there already and differs in ${Object.keys({ ...spec, ...meta }).join(', ')}, and a ${manifest.singular} cannot be changed.`, {
      hint: `\`berth get ${manifest.singular} ${manifest.name} -o yaml\` shows it as it is. Make one with another name, or delete this one first.`,
    });
  }
  const input = { project: manifest.project, name: manifest.name, ifMatch: current.meta.generation, body: { ...(meta === undefined || manifest.kind === 'Project' ? {} : { meta }), ...(spec === undefined ? {} : { spec }) } };
  if (manifest.kind === 'Instance') return { outcome: 'updated', warnings: (await client.call('instance.update', input)).status.warnings ?? [] };
  await client.call(manifest.kind === 'Volume' ? 'volume.update' : 'project.update', input);
  return { outcome: 'updated', warnings: [] };
}

async function createOne(context: Context, client: Client, manifest: Manifest, words: Words): Promise<void> {
  const { kind, project, meta, spec } = manifest;
  const input = { project, idempotencyKey: idempotencyKey() };
  // What somebody describes, they want to have: it runs unless the manifest says otherwise.
  const makeInstance = () => longVerb(context, client, 'instance.create', { ...input, body: { meta, spec: { running: true, ...spec } } }, words);
  if (kind === 'Instance') await withImage({ ...context, project: project ?? context.project }, words, typeof spec['image'] === 'string' ? spec['image'] : '', makeInstance);
  else if (kind === 'Project') await client.call('project.create', { body: { meta, spec } });
  else await longVerb(context, client, kind === 'Network' ? 'network.create' : 'volume.create', { ...input, body: { meta, spec } }, words);
}

async function deleteOne(context: Context, client: Client, manifest: Manifest, words: Words): Promise<Outcome> {
  const input = { project: manifest.project, name: manifest.name };
  try {
    if (manifest.kind === 'Instance') await longVerb(context, client, 'instance.delete', { ...input, query: { force: 1 } }, words);
    else if (manifest.kind === 'Project') await client.call('project.delete', input);
    else await longVerb(context, client, manifest.kind === 'Network' ? 'network.delete' : 'volume.delete', input, words);
    return 'deleted';
  } catch (error) {
    if (error instanceof BerthError && error.code === 'notFound') return 'absent';
    throw error;
  }
}

async function found(client: Client, { singular, name, project }: Manifest): Promise<BerthObject | undefined> {
  try {
    return await client.call(`${singular}.get` as 'instance.get', { project, name });
  } catch (error) {
    if (error instanceof BerthError && error.code === 'notFound') return undefined;
    throw error;
  }
}
