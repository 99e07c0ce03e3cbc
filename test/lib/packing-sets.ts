/** Sets of instances for packing, made from a seed: what estates look like, and what is known to be hard. */
import { seeded } from '../../src/lib/seeded.ts';
import type { PackingHostType, PackingItem } from '../../src/advise/packing/packing.ts';

const GIB_MIB = 1024;
/** 64 CPUs, 512 GiB, 8 TiB. */
export const ONE_HOST: PackingHostType = { id: 'large', capacity: { cpuMilli: 64_000, memoryMiB: 512 * GIB_MIB, diskMiB: 8192 * GIB_MIB, instances: 1000 }, cost: 100 };

type Random = () => number;
type Maker = (count: number, random: Random) => PackingItem[];

/** Shares of the host. */
function sized(id: string, cpu: number, memory: number, disk: number, more: Partial<PackingItem> = {}): PackingItem {
  const { capacity } = ONE_HOST;
  return { id, size: { cpuMilli: Math.ceil(capacity.cpuMilli * cpu), memoryMiB: Math.ceil(capacity.memoryMiB * memory), diskMiB: Math.ceil(capacity.diskMiB * disk), instances: 1 }, ...more };
}

const each = (make: (random: Random, id: string) => PackingItem): Maker => (count, random) => Array.from({ length: count }, (_, i) => make(random, `w${i}`));

/** Most are small, some are databases; memory follows CPU loosely. */
const mixedEstate = each((random, id) => {
  const kind = random();
  const cpu = (kind < 0.6 ? 100 + random() * 2000 : kind < 0.9 ? 1000 + random() * 6000 : 4000 + random() * 24_000) / 64_000;
  return sized(id, cpu, cpu * (0.1 + random() * random() * 2), 0.03 * random() ** 3 * (kind < 0.6 ? 1 : 4));
});

/** Groups of copies, each apart from the others of its group. */
const copies: Maker = (count, random) => {
  const items: PackingItem[] = [];
  for (let group = 0; items.length < count; group++) {
    const of = 1 + Math.floor(random() ** 2 * 12);
    const cpu = 0.003 + random() * 0.12;
    const memory = 0.001 + random() * 0.11;
    for (let copy = 0; copy < of && items.length < count; copy++) {
      items.push(sized(`g${group}-${copy}`, cpu, memory, 0.001, { labels: [`group:${group}`], apartFrom: [`group:${group}`] }));
    }
  }
  return items;
};

/** Each three fill a host to the last byte, and nothing else does. */
const triplets: Maker = (count, random) => Array.from({ length: Math.ceil(count / 3) }, (_, t) => {
  const first = [0.26 + 0.2 * random(), 0.26 + 0.2 * random()] as const;
  const second = [0.26 + 0.2 * random(), 0.26 + 0.2 * random()] as const;
  const whole = (share: number, of: number): number => Math.floor(share * of);
  const { cpuMilli, memoryMiB } = ONE_HOST.capacity;
  const a = { cpuMilli: whole(first[0], cpuMilli), memoryMiB: whole(first[1], memoryMiB), diskMiB: 0, instances: 1 };
  const b = { cpuMilli: whole(second[0], cpuMilli), memoryMiB: whole(second[1], memoryMiB), diskMiB: 0, instances: 1 };
  const c = { cpuMilli: cpuMilli - a.cpuMilli - b.cpuMilli, memoryMiB: memoryMiB - a.memoryMiB - b.memoryMiB, diskMiB: 0, instances: 1 };
  return [a, b, c].map((size, n): PackingItem => ({ id: `t${t}-${n}`, size }));
}).flat();

/** What estates look like: here the promise holds. */
export const SETS: Readonly<Record<string, Maker>> = {
  'mixed estate': mixedEstate,
  'groups of copies apart': copies,
  'small, 3 resources, 1–20 %': each((random, id) => sized(id, 0.01 + 0.19 * random(), 0.01 + 0.19 * random(), 0.01 + 0.19 * random())),
  'medium, 2 resources, 10–40 %': each((random, id) => sized(id, 0.1 + 0.3 * random(), 0.1 + 0.3 * random(), 0)),
  'CPU against memory, 1–26 %': each((random, id) => {
    const cpu = random() * 0.25;
    return sized(id, 0.01 + cpu, 0.26 - cpu, 0);
  }),
  'virtual machine sizes': each((random, id) => {
    const cpu = 2 ** Math.floor(random() * 5) / 64;
    return sized(id, cpu, cpu * 2 ** (Math.floor(random() * 4) - 1) / 4, 0.002 * 2 ** Math.floor(random() * 5));
  }),
};

/** Known hard ones: few items to a host, or no slack at all. The bound itself is weak here, too. */
export const HARD_SETS: Readonly<Record<string, Maker>> = {
  'large, 2 resources, 20–80 %': each((random, id) => sized(id, 0.2 + 0.6 * random(), 0.2 + 0.6 * random(), 0)),
  'large, 3 resources, 10–60 %': each((random, id) => sized(id, 0.1 + 0.5 * random(), 0.1 + 0.5 * random(), 0.1 + 0.5 * random())),
  'triplets without slack': triplets,
};

export function packingSet(name: string, count: number, seed = count): readonly PackingItem[] {
  return (SETS[name] ?? HARD_SETS[name]!)(count, seeded(seed));
}

/** Is the result as near to the bound as promised? */
export function isNear(value: number, bound: number, one = 1): boolean {
  return value <= Math.max(bound + one, 1.05 * bound);
}

/** Host types of different shapes, for the choice of the cheapest mixture. */
export const HOST_TYPES: readonly PackingHostType[] = [
  { id: 'small', capacity: { cpuMilli: 16_000, memoryMiB: 64 * GIB_MIB, diskMiB: 1024 * GIB_MIB, instances: 200 }, cost: 220 },
  { id: 'balanced', capacity: { cpuMilli: 64_000, memoryMiB: 512 * GIB_MIB, diskMiB: 8192 * GIB_MIB, instances: 1000 }, cost: 800 },
  { id: 'memory', capacity: { cpuMilli: 48_000, memoryMiB: 1536 * GIB_MIB, diskMiB: 4096 * GIB_MIB, instances: 1000 }, cost: 1000 },
  { id: 'compute', capacity: { cpuMilli: 128_000, memoryMiB: 256 * GIB_MIB, diskMiB: 2048 * GIB_MIB, instances: 1000 }, cost: 1050 },
];
