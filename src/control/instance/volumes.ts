/** Named volumes that an instance mentions and that do not exist yet are made with it. */
import { BerthError } from '../../model/errors.ts';
import { makeObjectId, objectId } from '../../model/ids.ts';
import type { InstanceSpec } from '../../model/instance.ts';
import { API_VERSION } from '../../model/meta.ts';
import type { Volume } from '../../model/volume.ts';
import { timestamp } from '../clock.ts';
import type { Step } from '../journal.ts';
import type { Caller, Services } from '../services.ts';
import type { InstanceContext } from './context.ts';

export interface ChosenVolumes {
  readonly ids: Readonly<Record<string, string>>;
  readonly made: readonly Volume[];
}

export function chooseVolumes(services: Services, project: string, spec: InstanceSpec, caller: Caller): ChosenVolumes {
  const ids: Record<string, string> = {};
  const made: Volume[] = [];
  for (const [index, mount] of (spec.volumes ?? []).entries()) {
    if (mount.hostPath !== undefined) {
      if (!caller.hostPaths) throw new BerthError('forbidden', 'Only uid 0 on the socket may show a directory of the host to an instance.', { hint: 'Use a named volume.', fields: [{ path: `spec.volumes.${index}.hostPath`, message: 'not allowed' }] });
      continue;
    }
    const name = mount.volume!;
    if (ids[name] !== undefined) continue;
    const existing = services.registry.find<Volume>('Volume', project, name);
    if (existing !== undefined) {
      if (existing.spec.type !== 'filesystem') throw new BerthError('unsupported', `Volume '${name}' is a disk; a directory is needed here.`);
      if (existing.status.state !== 'ready') throw new BerthError('wrongState', `Volume '${name}' is ${existing.status.state}.`);
      ids[name] = existing.meta.id;
      continue;
    }
    const id = makeObjectId(services.randomness.bytes(12));
    ids[name] = id;
    made.push({ apiVersion: API_VERSION, kind: 'Volume', meta: { id, name, project, createdAt: timestamp(services.clock), generation: 1, revision: 0 }, spec: { type: 'filesystem' }, status: { state: 'ready' } });
  }
  return { ids, made };
}

/** Idempotent for volumes that are there already. A volume stays when the instance fails: it may hold data by then. */
export const makeVolumes: Step<InstanceContext> = {
  name: 'volumes',
  async run({ services, instance }) {
    for (const [name, id] of Object.entries(instance.status.volumes)) {
      await services.storage.createVolume({ id: objectId(id), type: 'filesystem', specCopy: JSON.stringify({ kind: 'Volume', name, project: instance.meta.project }) });
    }
  },
};
