/** One scenario: packed, counted, and paid for. */
import type { Figures } from '../../model/figures.ts';
import type { HostTypePrice, PriceFile } from '../../model/prices.ts';
import { ANSWER_WORD } from '../decision.ts';
import { pack } from '../packing/pack.ts';
import type { PackedHost, Packing } from '../packing/packing.ts';
import { order } from '../packing/prepared.ts';
import type { Resources } from '../packing/resources.ts';
import type { PlacedWord, ScenarioCost } from './cost-report.ts';
import { capacityOf, coresOf, hostCost, hostTotal, overcommitOf, type HostCost } from './host-cost.ts';
import { apportion, money, moneyText, share, times, total, type Money } from './money.ts';
import { workloadOfItem, type PlacedWorkload } from './placement-items.ts';
import { SCENARIO_LABEL, type Scenario } from './scenarios.ts';

export interface ScenarioResult {
  readonly cost: Omit<ScenarioCost, 'savedPercent'>;
  readonly total: Money;
}

export function costScenario(
  scenario: Scenario, placed: readonly PlacedWorkload[], left: readonly { readonly name: string; readonly reason: string }[], notes: readonly string[], prices: PriceFile, figures: Figures,
): ScenarioResult {
  const types = new Map(prices.hostTypes.map((type) => [type.name, { type, capacity: capacityOf(type), cost: hostCost(type, prices) }]));
  const { headroom, spareHosts } = prices.capacity;
  const rules = scenario === 'today' ? {} : { headroom: { cpuMilli: headroom.cpus, memoryMiB: headroom.memory, diskMiB: headroom.disk }, spareHosts };
  const packing = pack(placed.flatMap(({ items }) => items), [...types.values()].map(({ type, capacity, cost }) => ({ id: type.name, capacity, cost: Number(hostTotal(cost)) })),
    { ...rules, overcommit: overcommitOf(prices) });
  const all = [...packing.hosts.map(({ type }) => type), ...packing.spares].map((name) => types.get(name)!);
  const part = (key: keyof HostCost): Money => total(all.map(({ cost }) => cost[key]));
  const lost = new Set(packing.unplaced.map(({ id }) => workloadOfItem(id)));
  const there = placed.filter(({ workload }) => !lost.has(workload.meta.name));
  const charges = new Map(there.map((one) => [one.workload.meta.name, chargesOf(one, packing, types, prices)]));
  const hostShares = hostSharesOf(packing, types, there);
  const licences = total([...charges.values()].map((one) => one.licences));
  const labour = part('labour') + total([...charges.values()].map((one) => one.labour));
  const sum = part('capital') + part('running') + part('energy') + part('hostLicences') + labour + licences;
  const text = (amount: Money): string => moneyText(amount, prices.decimals);
  const perWorkload = there.map(({ workload: { meta: { name } }, instances, placed: form }) => ({
    name, form: wordOf(form), instances, amount: hostShares.get(name)! + charges.get(name)!.licences + charges.get(name)!.labour,
  })).toSorted((a, b) => order(a.name, b.name));
  const instances = there.reduce((count, one) => count + one.instances, 0);
  const kernels = packing.hosts.length + there.reduce((count, { form, instances: own }) => count + (form === 'vm' || form === 'microVM' ? own : 0), 0);
  const starts = startsOf(there, figures);
  return {
    total: sum,
    cost: {
      scenario, label: SCENARIO_LABEL[scenario],
      hosts: {
        needed: packing.hosts.length, spare: packing.spares.length, lowerBound: packing.bound.hosts, lowerBoundBy: packing.bound.argument,
        monthly: text(BigInt(packing.cost)), monthlyAtLeast: text(BigInt(packing.bound.cost)),
        byType: prices.hostTypes.map(({ name }) => ({ type: name, needed: packing.hosts.filter(({ type }) => type === name).length, spare: packing.spares.filter((type) => type === name).length })).filter(({ needed, spare }) => needed + spare > 0),
      },
      utilization: utilizationOf(packing.hosts, all.map(({ capacity }) => capacity)),
      instances, byForm: countedBy(there),
      operatingSystems: all.length + there.reduce((count, one) => count + systemsOf(one), 0),
      images: there.filter(({ form }) => form === 'appContainer' || form === 'microVM').length,
      kernels, workloadsPerKernel: kernels === 0 ? 0 : rounded(instances / kernels),
      ...starts,
      purchase: text(total(all.map(({ type }) => money(type.capital)))),
      monthly: {
        capital: text(part('capital')), running: text(part('running')), energy: text(part('energy')), hostLicences: text(part('hostLicences')),
        workloadLicences: text(licences), labour: text(labour), total: text(sum),
      },
      monthlyPerWorkload: text(there.length === 0 ? 0n : share(sum, 1n, BigInt(there.length))), threeYears: text(sum * 36n),
      workloads: perWorkload.map(({ amount, ...one }) => ({ ...one, monthly: text(amount) })),
      unplaced: [...left, ...unplacedOf(packing)].toSorted((a, b) => order(a.name, b.name)), notes,
    },
  };
}

function wordOf(placed: PlacedWorkload['placed']): PlacedWord {
  return placed === 'physical' ? placed : ANSWER_WORD[placed];
}

function countedBy(placed: readonly PlacedWorkload[]): Partial<Record<PlacedWord, number>> {
  const counts: Partial<Record<PlacedWord, number>> = {};
  for (const { placed: form, instances } of placed) counts[wordOf(form)] = (counts[wordOf(form)] ?? 0) + instances;
  return Object.fromEntries(Object.entries(counts).toSorted(([a], [b]) => order(a, b)));
}

function utilizationOf(hosts: readonly PackedHost[], capacities: readonly Resources[]): ScenarioCost['utilization'] {
  const used = (key: keyof Resources): number => {
    const there = capacities.reduce((sum, capacity) => sum + capacity[key], 0);
    return there === 0 ? 0 : rounded(hosts.reduce((sum, host) => sum + host.used[key], 0) / there);
  };
  return { cpu: used('cpuMilli'), memory: used('memoryMiB'), disk: used('diskMiB') };
}

type Types = ReadonlyMap<string, { readonly type: HostTypePrice; readonly capacity: Resources; readonly cost: HostCost }>;

/** Each workload's part of the hosts: of each by what it takes there, of the spares by what it has elsewhere. */
function hostSharesOf(packing: Packing, types: Types, placed: readonly PlacedWorkload[]): ReadonlyMap<string, Money> {
  const names = placed.map(({ workload }) => workload.meta.name);
  const shares = new Map<string, Money>(names.map((name) => [name, 0n]));
  const sizes = new Map(placed.flatMap(({ items }) => items.map(({ id, size }) => [id, size] as const)));
  for (const host of packing.hosts) {
    const { capacity, cost } = types.get(host.type)!;
    const weight = (id: string): number => {
      const size = sizes.get(id)!;
      return Math.round(1e9 * Math.max(...(['cpuMilli', 'memoryMiB', 'diskMiB'] as const).map((key) => (capacity[key] === 0 ? 0 : size[key] / capacity[key]))));
    };
    for (const [at, amount] of apportion(hostTotal(cost), host.items.map(weight)).entries()) {
      const name = workloadOfItem(host.items[at]!);
      shares.set(name, shares.get(name)! + amount);
    }
  }
  const spares = total(packing.spares.map((name) => hostTotal(types.get(name)!.cost)));
  const before = [...shares.values()].map((amount) => Number(amount / 1000n));
  for (const [at, amount] of apportion(spares, before).entries()) shares.set(names[at]!, shares.get(names[at]!)! + amount);
  return shares;
}

interface Charges {
  readonly licences: Money;
  readonly labour: Money;
}

/** What a workload costs beside its place: its licences, and the care for its operating systems or its image. */
function chargesOf(placed: PlacedWorkload, packing: Packing, types: Types, prices: PriceFile): Charges {
  const { workload, form, instances, demand } = placed;
  const isVm = form === 'vm' || form === 'microVM';
  const { name } = workload.meta;
  const own = form === 'vm' || form === 'osContainer' ? times(money(prices.labour.perOperatingSystemPerMonth), systemsOf(placed))
    : form === undefined ? 0n : money(prices.labour.perImagePerMonth);
  const hosts = (workload.spec.licences ?? []).length === 0 || isVm ? [] : packing.hosts.filter(({ items }) => items.some((id) => workloadOfItem(id) === name)).map(({ type }) => types.get(type)!.type);
  const cpus = Math.ceil(demand.size.cpuMilli / 1000) * instances;
  const licences = (workload.spec.licences ?? []).map(({ per, count, costPerMonth }) => {
    const units = per === 'core' ? (isVm || prices.licencePerCoreInContainers === 'own' ? cpus : hosts.reduce((sum, type) => sum + coresOf(type), 0))
      : per === 'machine' ? (isVm ? instances : hosts.length) : count ?? instances;
    return times(times(1_000_000n, costPerMonth ?? 0), units);
  });
  return { licences: total(licences), labour: own };
}

/** Operating systems that somebody keeps: one for each machine, or one for all that are made from one image again and again. */
function systemsOf({ workload: { spec }, form, instances }: PlacedWorkload): number {
  if (form !== 'vm' && form !== 'osContainer') return 0;
  return spec.lifecycle?.patching === 'rebuild' || spec.inside?.oneCommand === true ? 1 : instances;
}

function startsOf(placed: readonly PlacedWorkload[], figures: Figures): Pick<ScenarioCost, 'start' | 'redeployMs'> {
  const known = placed.flatMap(({ form, instances }) => {
    const figure = form === undefined ? undefined : figures.forms[form]?.startColdMs ?? figures.forms[form]?.startWarmMs;
    return figure === undefined ? [] : [{ ms: figure.value, transferable: figure.transferable, instances }];
  }).toSorted((a, b) => a.ms - b.ms);
  const count = known.reduce((sum, { instances }) => sum + instances, 0);
  let seen = 0;
  const typical = known.find(({ instances }) => (seen += instances) * 2 >= count);
  return {
    start: { typicalMs: typical?.ms ?? null, slowestMs: known.at(-1)?.ms ?? null, transferable: known.every(({ transferable }) => transferable) },
    redeployMs: known.length === 0 ? null : Math.round(known.reduce((sum, { ms, instances }) => sum + ms * instances, 0)),
  };
}

function unplacedOf(packing: Packing): { name: string; reason: string }[] {
  const found = new Map<string, string>();
  for (const { id, reason } of packing.unplaced) if (!found.has(workloadOfItem(id))) found.set(workloadOfItem(id), reason);
  return [...found].map(([name, reason]) => ({ name, reason }));
}

function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}
