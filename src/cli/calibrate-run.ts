/** `berth advise calibrate`: every form of this host, measured, kept by the daemon, and nothing left behind. */
import type { Client } from '../client/client.ts';
import { formatBytes } from '../lib/bytes.ts';
import { textTable } from '../lib/text-table.ts';
import { BerthError } from '../model/errors.ts';
import type { Figures, FormFigures, Measured } from '../model/figures.ts';
import { FORM_LABEL, FORMS, type Form } from '../model/forms.ts';
import type { Node } from '../model/node.ts';
import { CALIBRATE_LABEL, calibrateForm } from './calibrate-form.ts';
import type { Context } from './command.ts';
import { daemonClient } from './daemon-client.ts';
import { hostLoad, processorName } from './host-load.ts';
import { terminalWidth, yamlText } from './output.ts';

export interface CalibrateInput {
  /** All that the node can run when empty. */
  readonly forms: readonly string[];
  readonly instances: number;
  /** For VMs, of which fewer fit. */
  readonly machines: number;
  readonly starts: number;
  readonly idleSeconds: number;
  readonly memoryPercent: number;
  readonly image: string;
  /** For forms with an init. */
  readonly osImage: string | undefined;
  readonly force: boolean;
  readonly dropCaches: boolean;
  readonly output: 'table' | 'json' | 'yaml';
}

/** Share of all processors that others may use: above, times would be theirs. */
const BUSY = 0.25;
const LOOK_MS = 2000;

export async function runCalibrate(context: Context, input: CalibrateInput): Promise<number> {
  const client = daemonClient(context);
  const [node] = (await client.call('node.list')).items as readonly Node[];
  if (node === undefined) throw new BerthError('unavailable', 'The daemon knows no node.');
  const load = await hostLoad(LOOK_MS);
  assertCalm(load, input.force);
  await removeLeftovers(context, client);
  const forms = await plannedForms(context, client, node, input);
  const interrupt = new AbortController();
  const stop = (): void => interrupt.abort(new BerthError('wrongState', 'The calibration was cancelled; nothing is kept of it.'));
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, stop);
  try {
    const measured: Partial<Record<Form, FormFigures>> = {};
    for (const { form, image } of forms) {
      await context.tell(`${FORM_LABEL[form]}:`);
      const run = Math.random().toString(36).slice(2, 8);
      const emulated = node.status.forms.find((one) => one.form === form)?.boundary === 'emulated';
      measured[form] = await calibrateForm({
        form, image, run, timesAreLocal: emulated || load > BUSY, starts: input.starts, idleSeconds: input.idleSeconds, date: new Date().toISOString().slice(0, 10),
        instances: form === 'microVM' || form === 'vm' ? input.machines : input.instances, memoryBytes: node.status.memoryBytes * (input.memoryPercent / 100),
      }, { client, tell: (text) => context.tell(text), dropCaches: input.dropCaches ? dropCaches : undefined, signal: interrupt.signal });
    }
    const figures = figuresOf(node, measured, await processorName(), load);
    await client.call('node.setFigures', { name: node.meta.name, body: figures });
    await write(context, figures, input.output);
    return 0;
  } finally {
    for (const name of ['SIGINT', 'SIGTERM'] as const) process.off(name, stop);
    await removeLeftovers(context, client);
  }
}

/** @throws BerthError `busy` where others use more than a quarter of the processors, unless that was asked for. */
export function assertCalm(load: number, force: boolean): void {
  if (load > BUSY && !force) throw new BerthError('busy', `This host is busy: ${Math.round(load * 100)} % of its processors are used by others, so that times would be theirs.`, { hint: 'Wait until it is calm, or measure with --force.' });
}

/** Of this run, and of one that was killed. */
async function removeLeftovers(context: Context, client: Client): Promise<void> {
  const { items } = await client.call('instance.list', { query: { filter: `label=${CALIBRATE_LABEL}` } });
  for (const { meta } of items) await client.call('instance.delete', { name: meta.name, query: { force: true, waitMs: 60_000 } }).catch((error: Error) => context.tell(`'${meta.name}' is left: ${error.message}`));
}

interface PlannedForm {
  readonly form: Form;
  readonly image: string;
}

async function plannedForms(context: Context, client: Client, node: Node, { forms, image, osImage }: CalibrateInput): Promise<readonly PlannedForm[]> {
  const planned: PlannedForm[] = [];
  for (const form of FORMS) {
    if (forms.length > 0 && !forms.includes(form)) continue;
    const fact = node.status.forms.find((one) => one.form === form);
    const withInit = form === 'osContainer' || form === 'vm';
    const wanted = withInit ? osImage : image;
    const reason = fact?.available !== true ? (fact?.reason ?? 'this host cannot run it') : wanted === undefined ? 'it needs an image with an init: --os-image REF' : await missingImage(client, wanted);
    if (reason === undefined) planned.push({ form, image: wanted! });
    else if (forms.length > 0) throw new BerthError('unsupported', `${FORM_LABEL[form]}s cannot be measured: ${reason}`);
    else await context.tell(`${FORM_LABEL[form]}: not measured: ${reason}`);
  }
  if (planned.length === 0) throw new BerthError('unsupported', 'There is no form that could be measured.', { hint: 'berth image bootstrap busybox makes the image that is used.' });
  return planned;
}

async function missingImage(client: Client, reference: string): Promise<string | undefined> {
  try {
    await client.call('image.get', { query: { reference } });
    return undefined;
  } catch (error) {
    if (error instanceof BerthError && error.code === 'notFound') return `there is no image ${reference} (berth image bootstrap ${reference})`;
    throw error;
  }
}

async function dropCaches(): Promise<void> {
  const fs = await import('node:fs');
  await fs.promises.writeFile('/proc/sys/vm/drop_caches', '3').catch((error: Error) => { throw new BerthError('forbidden', `The caches cannot be dropped: ${error.message}`, { hint: 'Only root on the daemon’s host may; leave --drop-caches away.' }); });
}

/** What was measured earlier on the same kernel stays, each with its own date. */
function figuresOf({ status }: Node, measured: Partial<Record<Form, FormFigures>>, processor: string, load: number): Figures {
  const hardware = status.forms.some((one) => one.available && one.boundary === 'hardware');
  const host = `${processor}, ${status.cpus} processors, ${formatBytes(status.memoryBytes)} of memory, kernel ${status.kernel}, ${hardware ? 'VMs in hardware' : 'VMs emulated'}${load > BUSY ? `, ${Math.round(load * 100)} % busy with other work` : ''}`;
  const kept = status.figures?.host.includes(`kernel ${status.kernel},`) === true ? status.figures.forms : {};
  return { host, shipped: false, hardwareVirtualization: hardware, forms: { ...kept, ...measured } };
}

async function write(context: Context, figures: Figures, output: CalibrateInput['output']): Promise<void> {
  if (output === 'json') return context.stdio.out(`${JSON.stringify(figures, undefined, 2)}\n`);
  if (output === 'yaml') return context.stdio.out(await yamlText(figures));
  const cell = (one: Measured | undefined, show: (value: number) => string): string => (one === undefined ? '-' : `${show(one.value)}${one.spread === undefined ? '' : ` ± ${show(one.spread)}`}${one.transferable ? '' : ' *'}`);
  const ms = (value: number): string => `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
  const rows = FORMS.filter((form) => figures.forms[form] !== undefined).map((form) => {
    const one = figures.forms[form]!;
    return [FORM_LABEL[form], cell(one.startColdMs, ms), cell(one.startWarmMs, ms), cell(one.memoryOverheadBytes, formatBytes), cell(one.diskBytes, formatBytes), cell(one.idleCpu, (value) => `${(value * 100).toFixed(2)} %`), String(one.memoryOverheadBytes?.n ?? '-'), one.memoryOverheadBytes?.date ?? '-'];
  });
  const right = (title: string) => ({ title, align: 'right' as const });
  const table = textTable([{ title: 'FORM' }, right('START, COLD'), right('START, WARM'), right('MEMORY EACH'), right('DISK EACH'), right('IDLE CPU'), right('N'), { title: 'DATE' }], rows, { width: await terminalWidth(context) });
  const marked = rows.some((row) => row.some((one) => one.endsWith('*')));
  await context.stdio.out(`${table}\n${figures.host}\n${marked ? '* of an emulated VM, or of a host that others kept busy: says nothing about other hosts.\n' : ''}`);
}
