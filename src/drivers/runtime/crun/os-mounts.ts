/**
 * What an OS container finds mounted: what systemd's container interface asks for (systemd.io/CONTAINER_INTERFACE), the
 * unit's own part of cgroup v2 writable among it. /etc is the instance's own: its files come by the boot seed.
 */
import { OWN_VALUE_FILES } from '../../../host/own-values.ts';
import type { UnitPlan } from '../driver.ts';
import { PROGRAM_INSIDE } from '../program-inside.ts';
import { askedMounts, fileMount, kernelMounts, SEED_PATH, tmpfs, type SpecSurroundings } from './oci-spec.ts';
import type { OciMount } from './oci-types.ts';

/** Most of what /run may hold; it counts as the instance's memory. */
const RUN_BYTES = 256 * 1024 * 1024, LOCK_BYTES = 5 * 1024 * 1024;

export function osMounts(plan: UnitPlan, around: SpecSurroundings): readonly OciMount[] {
  return [
    ...kernelMounts(plan),
    { destination: '/sys/fs/cgroup', type: around.groupsType, source: 'cgroup', options: ['nosuid', 'noexec', 'nodev', 'relatime', 'rw'] },
    ...(around.ownValues === undefined ? [] : OWN_VALUE_FILES.map((file) => fileMount(`/${file}`, `${around.ownValues}/${file}`))),
    tmpfs('/run', ['nosuid', 'nodev', 'mode=755', `size=${RUN_BYTES}`]),
    tmpfs('/run/lock', ['nosuid', 'nodev', 'noexec', 'mode=1777', `size=${LOCK_BYTES}`]),
    fileMount(PROGRAM_INSIDE, around.initProgram, []),
    fileMount(SEED_PATH, around.seedFile),
    ...askedMounts(plan, around),
  ];
}
