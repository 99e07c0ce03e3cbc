/** Named volumes that an instance mentions and that do not exist yet are made with it: directories for containers, disks for VMs. */
import type { MountPlan, NoDirectories, VolumeDiskPlan } from '../../drivers/runtime/driver.ts';
import { BerthError } from '../../model/errors.ts';
import { FORM_LABEL, isVmForm, type Form } from '../../model/forms.ts';
import { makeObjectId, objectId } from '../../model/ids.ts';
import type { InstanceSpec } from '../../model/instance.ts';
import { API_VERSION } from '../../model/meta.ts';
import { DEFAULT_DISK_BYTES, type Volume } from '../../model/volume.ts';
import { timestamp } from '../clock.ts';
import type { Step } from '../journal.ts';
import type { Caller, Services } from '../services.ts';
import type { InstanceContext } from './context.ts';

export interface ChosenVolumes {
  readonly ids: Readonly<Record<string, string>>;
  readonly made: readonly Volume[];
}

export function chooseVolumes(services: Services, project: string, spec: InstanceSpec, form: Form, caller: Caller, noDirectories: NoDirectories | undefined): ChosenVolumes {
  const ids: Record<string, string> = {};
  const made: Volume[] = [];
  for (const [index, mount] of (spec.volumes ?? []).entries()) {
    if (mount.hostPath !== undefined && !caller.hostPaths) throw new BerthError('forbidden', 'Only uid 0 on the socket may show a directory of the host to an instance.', { hint: 'Use a named volume.', fields: [{ path: `spec.volumes.${index}.hostPath`, message: 'not allowed' }] });
  }
  assertVolumesFit(services, project, spec, form, noDirectories);
  for (const { volume: name } of spec.volumes ?? []) {
    if (name === undefined || ids[name] !== undefined) continue;
    const existing = services.registry.find<Volume>('Volume', project, name);
    if (existing !== undefined) {
      if (existing.status.state !== 'ready') throw new BerthError('wrongState', `Volume '${name}' is ${existing.status.state}.`);
      ids[name] = existing.meta.id;
      continue;
    }
    const id = makeObjectId(services.randomness.bytes(12));
    ids[name] = id;
    const meta = { id, name, project, createdAt: timestamp(services.clock), generation: 1, revision: 0 };
    made.push({ apiVersion: API_VERSION, kind: 'Volume', meta, ...(isVmForm(form) ? { spec: { type: 'block' }, status: { state: 'ready', sizeBytes: DEFAULT_DISK_BYTES } } : { spec: { type: 'filesystem' }, status: { state: 'ready' } }) });
  }
  return { ids, made };
}

/** `noDirectories`: why this form cannot be shown any here. @throws BerthError `unsupported`, `invalid`: what of the volumes this form cannot have, with the reason and the way out. */
export function assertVolumesFit(services: Services, project: string, spec: InstanceSpec, form: Form, noDirectories: NoDirectories | undefined): void {
  const disks = new Set<string>();
  for (const [index, mount] of (spec.volumes ?? []).entries()) {
    const refused = (message: string, hint: string): BerthError => new BerthError('unsupported', message, { hint, fields: [{ path: `spec.volumes.${index}`, message: `not for ${FORM_LABEL[form]}s` }] });
    const volume = mount.volume === undefined ? undefined : services.registry.find<Volume>('Volume', project, mount.volume);
    if (noDirectories !== undefined && (mount.hostPath !== undefined || volume?.spec.type === 'filesystem')) {
      throw refused(`${volume === undefined ? 'A directory of the host' : `Volume '${volume.meta.name}' is a directory, and`} cannot be shown to a machine here. ${noDirectories.reason}`, noDirectories.hint);
    }
    if (!isVmForm(form) && volume?.spec.type === 'block') {
      throw refused(`Volume '${volume.meta.name}' is a disk: a guest could have written its file system, and the host’s kernel mounts no such thing.`, 'Run it with --vm, or use a volume of type filesystem.');
    }
    if (mount.volume === undefined || !isVmForm(form) || volume?.spec.type === 'filesystem') continue;
    if (disks.has(mount.volume)) throw new BerthError('invalid', `Volume '${mount.volume}' is a disk, and a disk is in one place.`, { fields: [{ path: `spec.volumes.${index}.target`, message: 'mounted twice' }] });
    disks.add(mount.volume);
  }
}

/** Idempotent for volumes that are there already. A volume stays when the instance fails: it may hold data by then. */
export const makeVolumes: Step<InstanceContext> = {
  name: 'volumes',
  async run({ services, instance }) {
    for (const id of Object.values(instance.status.volumes)) {
      const volume = services.registry.byId<Volume>(id);
      if (volume === undefined) throw new BerthError('notFound', `A volume of '${instance.meta.name}' is gone.`);
      await services.storage.createVolume({ id: objectId(id), type: volume.spec.type, ...(volume.spec.type === 'block' ? { sizeBytes: volume.status.sizeBytes } : {}), specCopy: JSON.stringify(volume) });
    }
  },
};

/** Directories, and for VMs disks, in the order of the spec. */
export function volumePlans({ services, instance }: InstanceContext): { readonly mounts: readonly MountPlan[]; readonly volumeDisks: readonly VolumeDiskPlan[] } {
  const mounts: MountPlan[] = [], volumeDisks: VolumeDiskPlan[] = [];
  for (const { volume: name, hostPath, target, readOnly } of instance.spec.volumes ?? []) {
    if (name === undefined) {
      mounts.push({ source: hostPath!, target, readOnly });
      continue;
    }
    const id = objectId(instance.status.volumes[name]!), type = services.registry.byId<Volume>(id)?.spec.type;
    if (type === undefined) throw new BerthError('notFound', `A volume of '${instance.meta.name}' is gone.`);
    if (type === 'block') volumeDisks.push({ name, file: services.storage.volumePath(id, type), target, readOnly });
    else mounts.push({ source: services.storage.volumePath(id, type), target, readOnly });
  }
  return { mounts, volumeDisks };
}
