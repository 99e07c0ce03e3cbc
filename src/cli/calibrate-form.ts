/**
 * Measures one form on the daemon's host, through its API: starts one after the other, then many at once. Memory and disk
 * are slopes over their number, because what the first one brings along (shared pages, layers) is not what one more costs.
 */
import type { Client } from '../client/client.ts';
import { median, quartileSpread, slopeOf } from '../lib/statistics.ts';
import { BerthError } from '../model/errors.ts';
import type { FormFigures, Measured } from '../model/figures.ts';
import type { Form } from '../model/forms.ts';
import type { Operation } from '../model/operation.ts';

export const CALIBRATE_LABEL = 'berth/calibrate';

export interface CalibratePlan {
  readonly form: Form;
  readonly image: string;
  /** Times say nothing about other hosts: a VM without working KVM, or a host that others kept busy. */
  readonly timesAreLocal: boolean;
  /** How many to run at once at most. */
  readonly instances: number;
  /** And no more than fit into this. */
  readonly memoryBytes: number;
  readonly starts: number;
  readonly idleSeconds: number;
  /** Part of every name. */
  readonly run: string;
  readonly date: string;
}

export interface CalibrateSteps {
  readonly client: Client;
  tell(text: string): Promise<void>;
  /** Drops the host's caches before a cold start; undefined: cold starts are not measured beyond the first. */
  readonly dropCaches: (() => Promise<void>) | undefined;
  readonly signal: AbortSignal;
}

const MIB = 1024 * 1024;
const COLD_STARTS = 3;
const READY_TIMEOUT_MS = 180_000;
/** The next one is taken to need as much as the last, and some more. */
const RESERVE = 1.2;

const SPEC_OF_FORM: Readonly<Record<Form, Readonly<Record<string, unknown>>>> = {
  appContainer: { isolation: 'container', mode: 'app', command: ['sleep', '1000000'], entrypoint: [], stopGraceMs: 0 },
  osContainer: { isolation: 'container', mode: 'os' },
  microVM: { isolation: 'vm', mode: 'app', command: ['sleep', '1000000'], entrypoint: [], memoryBytes: 128 * MIB, stopGraceMs: 0 },
  vm: { isolation: 'vm', mode: 'os', memoryBytes: 512 * MIB },
};

export async function calibrateForm(plan: CalibratePlan, steps: CalibrateSteps): Promise<FormFigures> {
  const times = await startTimes(plan, steps);
  const many = await runMany(plan, steps);
  return { ...times, ...many };
}

function measuredFigure(value: number, spread: number | undefined, n: number, source: string, { date, timesAreLocal }: CalibratePlan, isTime: boolean): Measured {
  return { value: rounded(value), ...(spread === undefined ? {} : { spread: rounded(spread) }), n, date, source, transferable: !(isTime && timesAreLocal) };
}

/** More digits than any clock here is good for would only look exact. */
function rounded(value: number): number {
  return value <= 0 ? 0 : Number(value.toPrecision(4));
}

async function startTimes(plan: CalibratePlan, steps: CalibrateSteps): Promise<FormFigures> {
  const first = await oneStart(plan, steps, 'first');
  const cold: number[] = [];
  if (steps.dropCaches !== undefined) {
    for (let at = 0; at < COLD_STARTS; at++) {
      await steps.dropCaches();
      cold.push(await oneStart(plan, steps, `cold${at + 1}`));
    }
  }
  const warm: number[] = [];
  for (let at = 0; at < plan.starts; at++) warm.push(await oneStart(plan, steps, `warm${at + 1}`));
  await steps.tell(`  starts: first ${Math.round(first)} ms${cold.length === 0 ? '' : `, cold ${Math.round(median(cold))} ms`}, warm ${Math.round(median(warm))} ms`);
  return {
    startColdMs: cold.length === 0
      ? measuredFigure(first, undefined, 1, 'berth advise calibrate: the first start of the run, caches as they were', plan, true)
      : measuredFigure(median(cold), quartileSpread(cold), cold.length, 'berth advise calibrate --drop-caches: create to running, the host’s caches dropped', plan, true),
    startWarmMs: measuredFigure(median(warm), quartileSpread(warm), warm.length, 'berth advise calibrate: create to running, repeated', plan, true),
  };
}

async function oneStart(plan: CalibratePlan, { client, signal }: CalibrateSteps, suffix: string): Promise<number> {
  signal.throwIfAborted();
  const name = `calibrate-${plan.run}-${suffix}`;
  const before = performance.now();
  try {
    await makeReady(plan, client, name);
    return performance.now() - before;
  } finally {
    await removeOne(client, name);
  }
}

/** What cannot be removed now is found by its label when the run ends, and said then. */
async function removeOne(client: Client, name: string): Promise<void> {
  await client.call('instance.delete', { name, query: { force: true, waitMs: 60_000 } }).catch(() => undefined);
}

/** From the request to the first answer: an app form runs (a VM's agent has answered), an OS form's init has brought it up. */
async function makeReady({ form, image, run }: CalibratePlan, client: Client, name: string): Promise<void> {
  const operation = (await client.call('instance.create', { query: { waitMs: READY_TIMEOUT_MS }, body: { meta: { name, labels: { [CALIBRATE_LABEL]: run } }, spec: { ...SPEC_OF_FORM[form], image, running: true } } })) as Operation;
  const { error } = operation.status;
  if (error !== undefined) throw new BerthError(error.code, error.message, { hint: error.hint });
  if (form !== 'osContainer' && form !== 'vm') return;
  const { state } = await client.call('instance.wait', { name, query: { state: 'booted,stopped,failed', timeoutMs: READY_TIMEOUT_MS } });
  if (state === 'stopped' || state === 'failed') throw new BerthError('unavailable', `'${name}' ended while it came up: it is ${state}.`);
}

interface Look {
  readonly count: number;
  readonly memoryBytes: number;
  readonly diskBytes: number;
}

async function runMany(plan: CalibratePlan, steps: CalibrateSteps): Promise<FormFigures> {
  const { client, signal, tell } = steps;
  const names: string[] = [];
  const looks: Look[] = [];
  const diskBefore = await instanceDisk(client);
  try {
    for (let count = 1; count <= plan.instances; count++) {
      signal.throwIfAborted();
      const last = looks.at(-1)?.memoryBytes ?? 0;
      const growth = last - (looks.at(-2)?.memoryBytes ?? 0);
      if (last + growth * RESERVE > plan.memoryBytes) break;
      const name = `calibrate-${plan.run}-n${count}`;
      names.push(name);
      try {
        await makeReady(plan, client, name);
      } catch (error) {
        if (!(error instanceof BerthError) || error.code !== 'exhausted' || count < 3) throw error;
        names.pop();
        await removeOne(client, name);
        break;
      }
      if (isLookedAt(count, plan.instances)) looks.push(await look(client, names, diskBefore));
    }
    if (looks.at(-1)?.count !== names.length) looks.push(await look(client, names, diskBefore));
    const idle = await idleCpu(plan, client, names);
    await tell(`  ${names.length} at once: ${Math.round((looks.at(-1)?.memoryBytes ?? 0) / MIB)} MiB, idle at ${(idle * 100).toFixed(2)} % of a core each`);
    return figuresOf(plan, looks, idle, names.length);
  } finally {
    await Promise.all(names.map((name) => removeOne(client, name)));
  }
}

/** Each of the first few, then ten more. */
function isLookedAt(count: number, most: number): boolean {
  return count <= 4 || count === most || count % Math.max(1, Math.floor(most / 10)) === 0;
}

async function look(client: Client, names: readonly string[], diskBefore: number): Promise<Look> {
  let memoryBytes = 0;
  for (const name of names) {
    const evidence = await client.call('instance.evidence', { name });
    memoryBytes += evidence.memoryBytes + evidence.monitorMemoryBytes;
  }
  return { count: names.length, memoryBytes, diskBytes: (await instanceDisk(client)) - diskBefore };
}

async function instanceDisk(client: Client): Promise<number> {
  const { items } = await client.call('system.df');
  return items.find((one) => one.what === 'instances')?.bytes ?? 0;
}

/** Share of a core that one takes while nothing asks anything of it; two looks apart. */
async function idleCpu({ idleSeconds }: CalibratePlan, client: Client, names: readonly string[]): Promise<number> {
  const used = async (): Promise<number> => {
    const { items } = await client.call('instance.stats');
    return items.filter((one) => names.includes(String(one['name']))).reduce((sum, one) => sum + Number(one['cpuNanoseconds'] ?? 0), 0);
  };
  const before = await used();
  const start = performance.now();
  await new Promise((resolve) => { setTimeout(resolve, idleSeconds * 1000); });
  return Math.max(0, (await used()) - before) / ((performance.now() - start) * 1e6) / names.length;
}

function figuresOf(plan: CalibratePlan, looks: readonly Look[], idle: number, count: number): FormFigures {
  const memory = slopeOf(looks.map((one) => [one.count, one.memoryBytes]));
  const disk = slopeOf(looks.map((one) => [one.count, one.diskBytes]));
  const slope = `slope over 1 to ${count} running`;
  const size = plan.form === 'microVM' ? ', 128 MiB of RAM each' : plan.form === 'vm' ? ', 512 MiB of RAM each' : '';
  return {
    ...(memory === undefined ? {} : { memoryOverheadBytes: measuredFigure(Math.round(memory.slope), Math.round(memory.error), count, `berth advise calibrate: PSS of all its processes and its monitor, ${slope}${size}`, plan, false) }),
    ...(disk === undefined ? {} : { diskBytes: measuredFigure(Math.round(disk.slope), Math.round(disk.error), count, `berth advise calibrate: what its root takes, ${slope}`, plan, false) }),
    idleCpu: measuredFigure(idle, undefined, count, `berth advise calibrate: over ${plan.idleSeconds} s, ${count} running`, plan, true),
  };
}
