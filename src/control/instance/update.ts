/** instance.update: a merge patch on what people own. What cannot be changed is refused, never ignored. */
import { isDeepStrictEqual } from 'node:util';
import { mergePatch } from '../../lib/merge-patch.ts';
import { fieldRows, parseInput } from '../../model/define.ts';
import { BerthError } from '../../model/errors.ts';
import { instanceSpec, type InstanceSpec } from '../../model/instance.ts';
import type { Instance } from '../../model/instance-status.ts';
import { metaInput } from '../../model/meta.ts';
import { targetOf } from '../records.ts';
import { Transaction } from '../registry.ts';
import type { Caller } from '../services.ts';
import { withStatus, type InstanceServices } from './context.ts';
import { assertFitsType, chooseCds } from './disk-image.ts';
import type { LimitsContext } from './limits.ts';
import { chooseKernel } from './own-kernel.ts';
import { assertVerb, PATIENCE_MS } from './locked.ts';
import { assertHonoured } from './refused-fields.ts';
import { RESOURCE_FIELDS } from './resources.ts';
import { assertNoConflicts } from './spec-conflicts.ts';
import { startInstance } from './start.ts';
import { UPDATE } from './step-lists.ts';
import { admitToProject } from './steps.ts';
import { stopInstance } from './stop.ts';
import { withWaiting } from './waiting-fields.ts';

export interface PatchRequest {
  readonly meta?: Readonly<Record<string, unknown>> | undefined;
  readonly spec?: Readonly<Record<string, unknown>> | undefined;
  /** From If-Match. */
  readonly generation?: number | undefined;
}

/** Fields whose places are taken when it is made, and what happened once. */
const FIXED: ReadonlySet<string> = new Set(fieldRows(instanceSpec).filter(({ traits }) => traits.change === 'never').map(({ path }) => path));

export async function updateInstance(services: InstanceServices, caller: Caller, instance: Instance, patch: PatchRequest): Promise<Instance> {
  const updated = await services.locks.hold(instance.meta.id, 'instance.update', async () => {
    const current = services.registry.byId<Instance>(instance.meta.id);
    if (current === undefined) throw services.registry.notFound('Instance', instance.meta.project, instance.meta.name);
    assertVerb(current, 'update');
    return change(services, caller, current, patch);
  }, PATIENCE_MS);
  const { state } = updated.status;
  if (updated.spec.running === true && (state === 'stopped' || state === 'failed')) await (await startInstance(services, caller, updated)).done;
  if (updated.spec.running === false && state === 'running') await (await stopInstance(services, caller, updated)).done;
  return services.registry.byId<Instance>(updated.meta.id) ?? updated;
}

async function change(services: InstanceServices, caller: Caller, current: Instance, patch: PatchRequest): Promise<Instance> {
  if (patch.generation !== undefined && patch.generation !== current.meta.generation) {
    throw new BerthError('changed', `'${current.meta.name}' is at generation ${current.meta.generation}, not ${patch.generation}.`, { hint: 'Read it again and repeat.' });
  }
  const spec = parseInput(instanceSpec, mergePatch(current.spec, patch.spec ?? {}), 'instance', 'spec', 'instance');
  const changed = (Object.keys({ ...current.spec, ...spec }) as (keyof InstanceSpec)[]).filter((name) => !isDeepStrictEqual(current.spec[name], spec[name]));
  const fixed = changed.filter((name) => FIXED.has(name));
  if (fixed.length > 0) throw new BerthError('unsupported', `${fixed.join(', ')} cannot be changed after the instance was made.`, { hint: 'Make a new instance; named volumes keep the data.', fields: fixed.map((name) => ({ path: `spec.${name}`, message: 'cannot be changed' })) });
  const { name, project, labels, owner, purpose } = parseInput(metaInput, mergePatch({ labels: current.meta.labels, owner: current.meta.owner, purpose: current.meta.purpose }, patch.meta ?? {}), 'instance', 'meta');
  if ((name ?? current.meta.name) !== current.meta.name || (project ?? current.meta.project) !== current.meta.project) throw new BerthError('invalid', 'A name is changed by rename, and a project never.', { fields: [{ path: 'meta.name', message: 'use rename' }] });
  assertHonoured(spec, current.status.form);
  assertFitsType(spec, current.status.imageType ?? 'oci');
  const cds = changed.includes('iso') ? chooseCds(services, current.meta.project, spec) : undefined;
  // Until it is written that this instance has them.
  using uses = new DisposableStack();
  const kernel = changed.includes('kernel') ? await chooseKernel(services, current.meta.project, spec) : undefined;
  for (const one of [...(cds ?? []), ...(kernel === undefined ? [] : [kernel])]) uses.use(services.imageUses.hold(one.meta.id));
  assertNoConflicts(spec);
  const chosen = { ...(cds === undefined ? {} : { isoIds: cds.map((cd) => cd.status.digest) }), ...(changed.includes('kernel') ? { kernelImageId: kernel?.status.digest } : {}) };
  const next: Instance = { ...withStatus(current, chosen), spec, meta: { ...current.meta, labels, owner, purpose, generation: current.meta.generation + (changed.length > 0 ? 1 : 0) } };
  if (current.status.state === 'running') return await changeRunning(services, caller, current, next, changed);
  await write(services, caller, current, { ...next, status: { ...next.status, observedGeneration: next.meta.generation } }, changed);
  return services.registry.byId<Instance>(current.meta.id)!;
}

async function write(services: InstanceServices, caller: Caller, current: Instance, next: Instance, changed: readonly string[]): Promise<void> {
  const transaction = new Transaction();
  transaction.put(next, current.meta.revision);
  const audit = services.journal.records.intent(transaction, caller, 'instance.update', targetOf(current), { changed });
  services.journal.records.outcome(transaction, audit, 'ok');
  await services.registry.commit(transaction);
}

async function changeRunning(services: InstanceServices, caller: Caller, current: Instance, next: Instance, changed: readonly string[]): Promise<Instance> {
  const { journal, registry } = services;
  const waiting = changed.filter((one) => fieldRows(instanceSpec).find((row) => row.path === one)?.traits.change === 'restart');
  if (!changed.some((one) => (RESOURCE_FIELDS as readonly string[]).includes(one))) {
    await write(services, caller, current, withWaiting(next, [], waiting), changed);
    return registry.byId<Instance>(current.meta.id)!;
  }
  if (changed.includes('memoryBytes')) admitToProject(services, next);
  const context: LimitsContext = { services, instance: current, wished: next.spec };
  const { done } = await journal.begin({
    list: UPDATE, target: targetOf(current), caller, context, auditDetails: { changed },
    // Until the limits are in force the spec is the old one: who dies on the way has changed nothing.
    intent: (transaction, name) => { transaction.put(withStatus(current, { operation: name }), current.meta.revision); },
    outcome: (transaction) => { transaction.put(withWaiting(next, RESOURCE_FIELDS, [...waiting, ...(context.waits ?? [])])); },
    failure: (transaction) => { transaction.put(current); },
  });
  const { status: { state, error } } = await done;
  if (state !== 'succeeded') throw new BerthError(error?.code ?? 'internal', error?.message ?? 'The limits could not be changed.', error);
  return registry.byId<Instance>(current.meta.id)!;
}
