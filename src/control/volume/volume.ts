/** volume.create, volume.update and volume.delete. */
import { mergePatch } from '../../lib/merge-patch.ts';
import { parseInput } from '../../model/define.ts';
import { assertName, makeObjectId, objectId } from '../../model/ids.ts';
import { BerthError, errorBody } from '../../model/errors.ts';
import type { Instance } from '../../model/instance-status.ts';
import { API_VERSION, metaInput, type MetaInput } from '../../model/meta.ts';
import type { Project } from '../../model/project.ts';
import { DEFAULT_DISK_BYTES, LEAST_DISK_BYTES, volumeSpec, type Volume, type VolumeSpec } from '../../model/volume.ts';
import { timestamp } from '../clock.ts';
import { makersTurn } from '../instance/create.ts';
import type { Started, StepContext, StepList } from '../journal.ts';
import { targetOf } from '../records.ts';
import { Transaction } from '../registry.ts';
import { SYSTEM, type Caller, type Services } from '../services.ts';

interface VolumeContext extends StepContext {
  readonly services: Services;
  readonly volume: Volume;
}

export const CREATE_VOLUME: StepList<VolumeContext> = {
  verb: 'volume.create',
  onCrash: 'undo',
  steps: [{
    name: 'data',
    run: ({ services, volume }) => services.storage.createVolume({ id: objectId(volume.meta.id), type: volume.spec.type, sizeBytes: volume.spec.sizeBytes ?? volume.status.sizeBytes, specCopy: JSON.stringify(volume) }),
    undo: ({ services, volume }) => services.storage.removeVolume(objectId(volume.meta.id)),
  }],
};

export const DELETE_VOLUME: StepList<VolumeContext> = {
  verb: 'volume.delete',
  onCrash: 'finish',
  steps: [{ name: 'data', irreversible: true, run: ({ services, volume }) => services.storage.removeVolume(objectId(volume.meta.id)) }],
};

export interface CreateVolumeRequest {
  readonly project: string;
  readonly meta: MetaInput;
  readonly spec: VolumeSpec;
  readonly idempotencyKey?: string | undefined;
}

export function createVolume(services: Services, caller: Caller, request: CreateVolumeRequest): Promise<Started> {
  return services.journal.once({ project: request.project, key: request.idempotencyKey, verb: 'volume.create', caller }, () => beginCreate(services, caller, request));
}

async function beginCreate(services: Services, caller: Caller, request: CreateVolumeRequest): Promise<Started> {
  const { registry, journal } = services;
  registry.get<Project>('Project', '', request.project);
  const name = assertName(request.meta.name ?? '');
  const sizeBytes = request.spec.sizeBytes ?? DEFAULT_DISK_BYTES;
  if (request.spec.type === 'block' && sizeBytes < LEAST_DISK_BYTES) throw new BerthError('invalid', 'A block volume has at least 8 MiB: its file system needs room for itself.', { fields: [{ path: 'spec.sizeBytes', message: 'less than 8 MiB' }] });
  const size = request.spec.type === 'block' ? { sizeBytes } : {};
  const volume: Volume = {
    apiVersion: API_VERSION, kind: 'Volume',
    meta: { id: makeObjectId(services.randomness.bytes(12)), name, project: request.project, labels: request.meta.labels, owner: request.meta.owner, purpose: request.meta.purpose, createdAt: timestamp(services.clock), generation: 1, revision: 0 },
    spec: request.spec, status: { state: 'creating', ...size },
  };
  return journal.begin({
    list: CREATE_VOLUME, target: targetOf(volume), caller, context: { services, volume } as VolumeContext, idempotencyKey: request.idempotencyKey,
    intent: (transaction, operation) => { transaction.put({ ...volume, status: { ...volume.status, operation } }, 'absent'); },
    outcome(transaction) {
      transaction.put({ ...volume, status: { state: 'ready', ...size } });
      journal.records.event(transaction, 'volume.created', targetOf(volume), `Volume '${name}' was made.`);
    },
    failure: (transaction) => { transaction.delete(volume); },
    result: () => ({ name, id: volume.meta.id }),
  });
}

/** Grows it. A size that is written down is there: the disk is made larger first, and again when that was not written. */
export function updateVolume(services: Services, caller: Caller, volume: Volume, patch: { readonly meta?: unknown; readonly spec?: unknown; readonly generation?: number | undefined }): Promise<Volume> {
  return services.locks.hold(makersTurn(volume.meta.project), 'volume.update', async () => {
    const { registry, journal, storage } = services;
    const current = registry.byId<Volume>(volume.meta.id);
    if (current === undefined) throw registry.notFound('Volume', volume.meta.project, volume.meta.name);
    const { meta } = current;
    if (patch.generation !== undefined && patch.generation !== meta.generation) throw new BerthError('changed', `Volume '${meta.name}' is at generation ${meta.generation}, not ${patch.generation}.`, { hint: 'Read it again and repeat.' });
    if (current.status.state !== 'ready') throw new BerthError('wrongState', `Volume '${meta.name}' is ${current.status.state}.`);
    const spec = parseInput(volumeSpec, mergePatch(current.spec, patch.spec ?? {}), 'volume', 'spec');
    const { name, project, labels, owner, purpose } = parseInput(metaInput, mergePatch({ labels: meta.labels, owner: meta.owner, purpose: meta.purpose }, patch.meta ?? {}), 'volume', 'meta');
    if ((name ?? meta.name) !== meta.name || (project ?? meta.project) !== meta.project) throw new BerthError('invalid', 'The name and the project of a volume cannot be changed.', { fields: [{ path: 'meta.name', message: 'cannot be changed' }] });
    for (const field of ['type', 'pool'] as const) if (spec[field] !== current.spec[field]) throw new BerthError('unsupported', `The ${field} of a volume cannot be changed.`, { hint: 'Make a new one, and copy the data by an instance that has both.', fields: [{ path: `spec.${field}`, message: 'cannot be changed' }] });
    const { sizeBytes } = spec, before = current.status.sizeBytes ?? 0;
    if (sizeBytes !== undefined && sizeBytes < before) {
      throw new BerthError('unsupported', `Volume '${meta.name}' has ${before} bytes and cannot be made smaller: its file system may use all of them.`, { hint: 'Make a smaller one, and copy the data by an instance that has both.', fields: [{ path: 'spec.sizeBytes', message: `less than ${before}` }] });
    }
    const grows = sizeBytes !== undefined && sizeBytes !== current.spec.sizeBytes;
    const next: Volume = { ...current, spec, meta: { ...meta, labels, owner, purpose, generation: meta.generation + (grows ? 1 : 0) }, status: { ...current.status, ...(grows ? { sizeBytes } : {}) } };
    await journal.records.audited(caller, 'volume.update', targetOf(current), grows ? { sizeBytes } : undefined, async () => {
      if (grows) await storage.growVolume({ id: objectId(meta.id), type: spec.type, sizeBytes, specCopy: JSON.stringify(next) });
      const transaction = new Transaction();
      transaction.put(next, meta.revision);
      await registry.commit(transaction);
    });
    return registry.get<Volume>('Volume', meta.project, meta.name);
  });
}

export function deleteVolume(services: Services, caller: Caller, volume: Volume): Promise<Started> {
  return services.locks.hold(makersTurn(volume.meta.project), 'volume.delete', () => beginDelete(services, caller, volume));
}

async function beginDelete(services: Services, caller: Caller, volume: Volume): Promise<Started> {
  const { registry, journal } = services;
  const users = registry.list<Instance>('Instance').filter((instance) => Object.values(instance.status.volumes).includes(volume.meta.id));
  if (users.length > 0) throw new BerthError('wrongState', `Volume '${volume.meta.name}' is used by ${users.slice(0, 5).map((user) => `'${user.meta.name}'`).join(', ')}.`, { hint: 'Delete those instances first; the volume keeps its data.' });
  return journal.begin({
    list: DELETE_VOLUME, target: targetOf(volume), caller, context: { services, volume } as VolumeContext,
    intent: (transaction, operation) => { transaction.put({ ...volume, status: { ...volume.status, state: 'deleting', operation } }, volume.meta.revision); },
    outcome(transaction) {
      transaction.delete(volume);
      journal.records.event(transaction, 'volume.deleted', targetOf(volume), `Volume '${volume.meta.name}' was deleted with its data.`);
    },
    failure: (transaction, error) => { transaction.put({ ...volume, status: { ...volume.status, state: 'failed', error: errorBody(error) } }); },
  });
}

export async function adoptVolumes(services: Services): Promise<void> {
  for (const operation of services.journal.unfinished()) {
    if (operation.spec.target.kind !== 'Volume') continue;
    const volume = services.registry.byId<Volume>(operation.spec.target.id);
    if (volume === undefined) {
      const transaction = new Transaction();
      transaction.delete(operation);
      await services.registry.commit(transaction);
      continue;
    }
    const context: VolumeContext = { services, volume };
    const gone = (transaction: Transaction) => { transaction.delete(volume); };
    await services.journal.recover(operation, { list: operation.spec.verb === 'volume.create' ? CREATE_VOLUME : DELETE_VOLUME, target: targetOf(volume), caller: SYSTEM, context, intent: () => undefined, outcome: gone, failure: gone });
  }
}
