/** The four things that a host has and an instance takes. All whole numbers, so that sums are exact. */

export const RESOURCES = ['cpuMilli', 'memoryMiB', 'diskMiB', 'instances'] as const;
export type Resource = (typeof RESOURCES)[number];

/** Thousandths of a CPU, MiB of memory, MiB of disk, number of instances. */
export type Resources = Readonly<Record<Resource, number>>;

export const NO_RESOURCES: Resources = { cpuMilli: 0, memoryMiB: 0, diskMiB: 0, instances: 0 };

/** How a resource is called in a sentence. */
export const RESOURCE_LABEL: Readonly<Record<Resource, string>> = { cpuMilli: 'CPU', memoryMiB: 'memory', diskMiB: 'disk', instances: 'instances' };

export function eachResource(value: (resource: Resource) => number): Resources {
  return { cpuMilli: value('cpuMilli'), memoryMiB: value('memoryMiB'), diskMiB: value('diskMiB'), instances: value('instances') };
}

export function addResources(a: Resources, b: Resources): Resources {
  return eachResource((resource) => a[resource] + b[resource]);
}

export function fitsWithin(size: Resources, room: Resources): boolean {
  return RESOURCES.every((resource) => size[resource] <= room[resource]);
}

export type PerResource = { readonly [R in Resource]?: number | undefined };

/** What may be promised of a host. */
export interface CapacityRules {
  /** Share of each host that stays empty, 0 to below 1; a resource without one keeps none. */
  readonly headroom?: PerResource | undefined;
  /** How much more than there is may be promised: 2 means twice. 1 when missing. */
  readonly overcommit?: PerResource | undefined;
}

/** Rounded down: what is promised is never more than the rules allow. */
export function usableCapacity(capacity: Resources, { headroom = {}, overcommit = {} }: CapacityRules): Resources {
  // Four decimals of the factors count: 10 × (1 − 0.1) must be 9, which floating point alone does not promise.
  return eachResource((resource) => {
    const factor = Math.round((overcommit[resource] ?? 1) * 10_000) * Math.round((1 - (headroom[resource] ?? 0)) * 10_000);
    return Math.floor(capacity[resource] / 1e8 * factor + 1e-6);
  });
}
