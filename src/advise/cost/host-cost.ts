/** What hosts cost in a month, by part. */
import type { HostTypePrice, PriceFile } from '../../model/prices.ts';
import type { PerResource, Resources } from '../packing/resources.ts';
import { money, share, times, total, type Money } from './money.ts';

/** A mean month: 365.25 days / 12. */
const HOURS_PER_MONTH = 730.5;

export interface HostCost {
  readonly capital: Money;
  readonly running: Money;
  readonly energy: Money;
  readonly hostLicences: Money;
  /** Of the host's own operating system. */
  readonly labour: Money;
}

export function hostCost(type: HostTypePrice, prices: PriceFile): HostCost {
  return {
    capital: share(money(type.capital), 1n, BigInt(type.depreciationMonths ?? prices.depreciationMonths)),
    running: money(type.runningPerMonth),
    energy: times(money(prices.energyPerKwh), type.watts / 1000 * HOURS_PER_MONTH),
    hostLicences: total(type.licences.map(({ per, costPerMonth }) => (per === 'core' ? times(money(costPerMonth), coresOf(type)) : money(costPerMonth)))),
    labour: money(prices.labour.perOperatingSystemPerMonth),
  };
}

export function hostTotal({ capital, running, energy, hostLicences, labour }: HostCost): Money {
  return capital + running + energy + hostLicences + labour;
}

export function coresOf(type: HostTypePrice): number {
  return type.cores ?? Math.ceil(type.cpus);
}

const MIB = 1024 * 1024;

export function capacityOf(type: HostTypePrice): Resources {
  return { cpuMilli: Math.floor(type.cpus * 1000 + 1e-6), memoryMiB: Math.floor(type.memory / MIB), diskMiB: Math.floor(type.disk / MIB), instances: type.maxInstances };
}

export function overcommitOf({ capacity: { overcommit } }: PriceFile): PerResource {
  return { cpuMilli: overcommit.cpus, memoryMiB: overcommit.memory, diskMiB: overcommit.disk };
}
