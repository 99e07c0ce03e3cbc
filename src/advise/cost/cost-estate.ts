/** Hosts, utilization and money of the four scenarios. Pure and deterministic. */
import { BerthError } from '../../model/errors.ts';
import type { Figures } from '../../model/figures.ts';
import type { PriceFile } from '../../model/prices.ts';
import type { Workload } from '../../model/workload.ts';
import type { Estate, EstateAdvice } from '../decision.ts';
import { order } from '../packing/prepared.ts';
import type { CostReport } from './cost-report.ts';
import { share, type Money } from './money.ts';
import { itemsOf, placedWorkload, type PlacedWorkload } from './placement-items.ts';
import { costScenario, type ScenarioResult } from './scenario-cost.ts';
import { formIn, SCENARIOS, type Scenario } from './scenarios.ts';

/** So many instances are packed four times in a time that somebody waits. */
const MAX_INSTANCES = 50_000;

export function costEstate(estate: Estate, advice: EstateAdvice, prices: PriceFile, figures: Figures): CostReport {
  const byName = new Map(estate.map((one) => [one.meta.name, one]));
  const instances = estate.reduce((sum, { spec }) => sum + Math.max(1, spec.replicas ?? 1), 0);
  if (instances > MAX_INSTANCES) throw new BerthError('exhausted', `The estate has ${instances} instances; ${MAX_INSTANCES} can be packed at once.`, { hint: 'Split it, or leave the prices away: decisions need no packing.' });
  const results = SCENARIOS.map((scenario) => resultOf(scenario, byName, advice, prices, figures));
  const today = results.find(({ cost }) => cost.scenario === 'today')!;
  return {
    currency: prices.currency, decimals: prices.decimals, examplePrices: prices.example, note: prices.note,
    scenarios: results.map(({ cost, total }) => ({ ...cost, savedPercent: cost.scenario === 'today' ? null : savedPercent(today.total, total) })),
    rules: rulesOf(prices), assumptions: assumptionsOf(estate, byName, advice, figures),
  };
}

function resultOf(scenario: Scenario, byName: ReadonlyMap<string, Workload>, advice: EstateAdvice, prices: PriceFile, figures: Figures): ScenarioResult {
  const placed: Omit<PlacedWorkload, 'items'>[] = [];
  const left: { name: string; reason: string }[] = [];
  const notes = new Map<string, string[]>();
  for (const decision of advice.decisions) {
    const workload = byName.get(decision.workload);
    if (workload === undefined) continue;
    const { placed: form, note } = formIn(scenario, workload, decision);
    if (note !== undefined) notes.set(note, [...(notes.get(note) ?? []), decision.workload]);
    if (form === undefined) left.push({ name: decision.workload, reason: 'no form fits it' });
    else placed.push(placedWorkload(workload, form, figures));
  }
  const sentences = [...notes].map(([note, names]) => `${names.length} of ${byName.size} workloads: ${note} (${names.slice(0, 5).join(', ')}${names.length > 5 ? ` and ${names.length - 5} more` : ''})`);
  const items = itemsOf(placed, advice.placement, prices, { today: scenario === 'today' });
  return costScenario(scenario, items.placed, left, [...sentences, ...items.notes], prices, figures);
}

function savedPercent(today: Money, total: Money): number | null {
  return today === 0n ? null : Number(share((today - total < 0n ? total - today : today - total) * 1000n, 1n, today)) / 10 * (today < total ? -1 : 1);
}

function assumptionsOf(estate: Estate, byName: ReadonlyMap<string, Workload>, advice: EstateAdvice, figures: Figures): string[] {
  const missing = { cpus: [] as string[], memory: [] as string[], disk: [] as string[] };
  for (const { workload: name, form } of advice.decisions) {
    const workload = byName.get(name);
    if (workload === undefined || form === 'none') continue;
    for (const what of placedWorkload(workload, form, figures).demand.assumed) missing[what].push(name);
  }
  const listed = (names: readonly string[]): string => `${names.slice(0, 5).join(', ')}${names.length > 5 ? ` and ${names.length - 5} more` : ''}`;
  const uncounted = estate.filter(({ spec }) => spec.replicas === undefined).map(({ meta }) => meta.name).toSorted(order);
  return [
    ...(missing.cpus.length === 0 ? [] : [`Nobody said how much CPU ${listed(missing.cpus)} take: a quarter of one for an app form, half of one for an OS form.`]),
    ...(missing.memory.length === 0 ? [] : [`Nobody said how much memory ${listed(missing.memory)} take: the default of the form was taken.`]),
    ...(missing.disk.length === 0 ? [] : [`Nobody said how much disk ${listed(missing.disk)} take: only what the form itself needs was counted.`]),
    ...(uncounted.length === 0 ? [] : [`Nobody said how many copies of ${listed(uncounted)} run: one was counted.`]),
  ];
}

function rulesOf(prices: PriceFile): string[] {
  const { headroom, overcommit, spareHosts } = prices.capacity;
  const percent = (value: number | undefined): string => `${Math.round((value ?? 0) * 100)} %`;
  return [
    `Of each host ${percent(headroom.cpus)} of the CPU, ${percent(headroom.memory)} of the memory and ${percent(headroom.disk)} of the disk stay empty; CPU is promised ${overcommit.cpus ?? 1} times, memory ${overcommit.memory ?? 1} times, disk ${overcommit.disk ?? 1} times.`,
    `${spareHosts === 0 ? 'No host is' : spareHosts === 1 ? 'One host more is' : `${spareHosts} hosts more are`} there for a failure: any host in use could move whole to a spare one. Hosts of today are counted as they are, without spares or headroom.`,
    'An instance takes what it asks for and the overhead of its form. A container counts with its request, a VM with its peak, because it holds its memory.',
    'Tenants, workloads that refuse each other, and the first two copies of what is in production do not share a host, or a kernel, where a rule says so.',
    'A host’s cost is shared by what lies on it, by the larger of the shares of CPU, memory and disk; spare hosts are shared by all.',
    `A licence per core counts the virtual CPUs of a VM, and for a container ${prices.licencePerCoreInContainers === 'host' ? 'all cores of the hosts that it lies on' : 'its own CPUs'}; one per machine counts VMs, and hosts for containers.`,
    'One operating system is to be patched for each host, OS container and VM, but only one for all copies that are patched by a new image; an app container or microVM has an image that is rebuilt.',
    `Three years are 36 months; the price of a host is spread over ${prices.depreciationMonths} months unless its type says otherwise.`,
  ];
}
