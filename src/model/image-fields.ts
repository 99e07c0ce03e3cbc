/** What a VM's fields mean depends on its image, too: a disk image boots a system of its own, in which nobody works for us. */
import type { ImageType } from './image.ts';
import type { InstanceSpec } from './instance.ts';

const NO_AGENT = 'a disk image boots its own system, and nobody inside could apply it';
const NO_FIRMWARE = 'the image has no boot loader of its own; it is for disk images';

const BOOTS_ITSELF: Partial<Record<keyof InstanceSpec, string>> = {
  root: 'a disk image has the file systems that are on it',
  kernel: 'a disk image boots the kernel that is on it',
  entrypoint: NO_AGENT, command: NO_AGENT, env: NO_AGENT, ulimits: NO_AGENT, shmBytes: NO_AGENT, tmpfs: NO_AGENT, volumes: 'a disk image boots its own system, and nobody inside could mount them', capabilities: NO_AGENT, stopSignal: `${NO_AGENT}: it is asked by its power button`,
};
const OCI: Partial<Record<keyof InstanceSpec, string>> = { firmware: NO_FIRMWARE, machinePreset: NO_FIRMWARE, iso: NO_FIRMWARE };

/** Fields that make no sense with an image of this type, each with the reason. */
export const REFUSED_BY_IMAGE: Readonly<Record<ImageType, Partial<Record<keyof InstanceSpec, string>>>> = { oci: OCI, disk: BOOTS_ITSELF, iso: BOOTS_ITSELF };
