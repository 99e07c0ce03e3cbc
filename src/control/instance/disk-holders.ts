/**
 * Block volumes have one writer at a time, or several readers: two kernels on one file system would destroy it. Who has
 * one is what the store says of the instances, so a crash lets go of nothing and keeps nothing. The volume is written
 * with the intent of each start: of two starts at the same moment the second finds it changed, and looks again.
 */
import { BerthError } from '../../model/errors.ts';
import type { Instance, InstanceState } from '../../model/instance-status.ts';
import type { Volume } from '../../model/volume.ts';
import { timestamp } from '../clock.ts';
import type { Services } from '../services.ts';

/** States in which it has no machine, and none is on its way. */
const WITHOUT_MACHINE: ReadonlySet<InstanceState> = new Set(['stopped', 'failed']);

function holds({ spec, status }: Instance): boolean {
  return status.state === 'creating' ? spec.running === true : !WITHOUT_MACHINE.has(status.state);
}

function writes({ spec, status }: Instance, volumeId: string): boolean {
  return (spec.volumes ?? []).some((mount) => mount.volume !== undefined && status.volumes[mount.volume] === volumeId && !mount.readOnly);
}

/** The volumes as they are to be written with the intent to start. @throws BerthError `busy`, with who has one. */
export function takeDisks({ registry, clock }: Services, instance: Instance): readonly Volume[] {
  const disks = Object.values(instance.status.volumes).map((id) => registry.byId<Volume>(id)).filter((volume) => volume?.spec.type === 'block');
  if (disks.length === 0) return [];
  const others = registry.list<Instance>('Instance', instance.meta.project).filter((one) => one.meta.id !== instance.meta.id && holds(one));
  return disks.map((volume) => {
    const holders = others.filter((one) => Object.values(one.status.volumes).includes(volume!.meta.id));
    const writer = holders.find((one) => writes(one, volume!.meta.id));
    if (writer !== undefined || (holders.length > 0 && writes(instance, volume!.meta.id))) throw busy(volume!, writer === undefined ? holders : [writer], writer !== undefined);
    return { ...volume!, status: { ...volume!.status, attachedAt: timestamp(clock) } };
  });
}

function busy(volume: Volume, holders: readonly Instance[], written: boolean): BerthError {
  const names = holders.slice(0, 5).map((one) => `'${one.meta.name}'`).join(', ');
  return new BerthError('busy', `Volume '${volume.meta.name}' is attached to ${names}, ${written ? 'which may write it' : 'and who writes it must be alone'}.`, {
    hint: `A block volume has one writer at a time, or several readers: berth stop ${holders[0]!.meta.name}`, details: { holder: holders[0]!.meta.name },
  });
}
