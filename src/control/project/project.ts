/** Projects: made with their own `default` network; deleted only when empty. */
import { BerthError } from '../../model/errors.ts';
import { assertName, DEFAULT_PROJECT, makeObjectId } from '../../model/ids.ts';
import { parseInput } from '../../model/define.ts';
import { mergePatch } from '../../lib/merge-patch.ts';
import { API_VERSION, type MetaInput } from '../../model/meta.ts';
import { DEFAULT_NETWORK, type Network } from '../../model/network.ts';
import { projectSpec, type Project, type ProjectSpec } from '../../model/project.ts';
import { timestamp } from '../clock.ts';
import type { InstanceServices } from '../instance/context.ts';
import { createNetwork, deleteNetwork } from '../network/network.ts';
import { targetOf } from '../records.ts';
import { Transaction } from '../registry.ts';
import { SYSTEM, type Caller } from '../services.ts';

export async function ensureDefaultProject(services: InstanceServices): Promise<void> {
  const { registry } = services;
  if (registry.find('Project', '', DEFAULT_PROJECT) === undefined && !registry.isQuarantined('Project', '', DEFAULT_PROJECT)) await writeProject(services, SYSTEM, DEFAULT_PROJECT, {}, {});
}

async function writeProject(services: InstanceServices, caller: Caller, name: string, meta: MetaInput, spec: ProjectSpec): Promise<Project> {
  const project: Project = {
    apiVersion: API_VERSION, kind: 'Project',
    meta: { id: makeObjectId(services.randomness.bytes(12)), name, project: '', labels: meta.labels, owner: meta.owner, purpose: meta.purpose, createdAt: timestamp(services.clock), generation: 1, revision: 0 },
    spec, status: { state: 'ready' },
  };
  const transaction = new Transaction();
  transaction.put(project, 'absent');
  const audit = services.journal.records.intent(transaction, caller, 'project.create', targetOf(project));
  services.journal.records.outcome(transaction, audit, 'ok');
  await services.registry.commit(transaction);
  return services.registry.get('Project', '', name);
}

export async function createProject(services: InstanceServices, caller: Caller, meta: MetaInput, spec: ProjectSpec): Promise<Project> {
  const name = assertName(meta.name ?? '');
  const project = await writeProject(services, caller, name, meta, spec);
  await ensureDefaultNetwork(services, name);
  return project;
}

/** Idempotent: after a crash between the project and its network, the next start makes the network. */
export async function ensureDefaultNetwork(services: InstanceServices, project: string): Promise<void> {
  if (services.registry.find<Network>('Network', project, DEFAULT_NETWORK) !== undefined || services.registry.isQuarantined('Network', project, DEFAULT_NETWORK)) return;
  const { done } = await createNetwork(services, SYSTEM, { project, meta: { name: DEFAULT_NETWORK }, spec: { isolated: true, internal: false } });
  const finished = await done;
  if (finished.status.error !== undefined) throw new BerthError(finished.status.error.code, finished.status.error.message, { hint: finished.status.error.hint });
}

export async function updateProject(services: InstanceServices, caller: Caller, project: Project, patch: { readonly spec?: Readonly<Record<string, unknown>> | undefined; readonly generation?: number | undefined }): Promise<Project> {
  if (patch.generation !== undefined && patch.generation !== project.meta.generation) throw new BerthError('changed', `Project '${project.meta.name}' is at generation ${project.meta.generation}, not ${patch.generation}.`, { hint: 'Read it again and repeat.' });
  const spec = parseInput(projectSpec, mergePatch(project.spec, patch.spec ?? {}), 'project', 'spec', 'project');
  const transaction = new Transaction();
  transaction.put({ ...project, spec, meta: { ...project.meta, generation: project.meta.generation + 1 } }, project.meta.revision);
  const audit = services.journal.records.intent(transaction, caller, 'project.update', targetOf(project));
  services.journal.records.outcome(transaction, audit, 'ok');
  await services.registry.commit(transaction);
  return services.registry.get('Project', '', project.meta.name);
}

const SCOPED = ['Instance', 'Image', 'Volume'] as const;

export async function deleteProject(services: InstanceServices, caller: Caller, project: Project): Promise<void> {
  const { name } = project.meta;
  if (name === DEFAULT_PROJECT) throw new BerthError('unsupported', 'The default project stays.');
  for (const kind of SCOPED) {
    const left = services.registry.entries(kind, name).length;
    if (left > 0) throw new BerthError('wrongState', `Project '${name}' still has ${left} ${kind.toLowerCase()}${left === 1 ? '' : 's'}.`, { hint: `Delete them first: berth ${kind === 'Instance' ? 'list -a' : `${kind.toLowerCase()} list`} --project ${name}` });
  }
  await services.journal.records.audited(caller, 'project.delete', targetOf(project), undefined, async () => {
    for (const network of services.registry.list<Network>('Network', name)) {
      const { error } = (await (await deleteNetwork(services, caller, network, true)).done).status;
      if (error !== undefined) throw new BerthError(error.code, error.message, { hint: error.hint });
    }
    await services.registry.commit(new Transaction().delete(project));
  });
}
