/** `berth stats`: what running instances use. The share of a CPU follows from two looks. */
import { formatBytes } from '../../lib/bytes.ts';
import { textTable } from '../../lib/text-table.ts';
import type { Client } from '../../client/client.ts';
import { BerthError } from '../../model/errors.ts';
import { FORM_LABEL, type Form } from '../../model/forms.ts';
import type { Command, Context } from '../command.ts';
import { daemonClient } from '../daemon-client.ts';
import { terminalWidth, wantsJson } from '../output.ts';

interface Usage {
  readonly name: string;
  readonly form: Form;
  readonly memoryBytes?: number;
  readonly memoryLimitBytes?: number;
  readonly cpuNanoseconds?: number;
  /** Of a VM: what is used inside; `memoryBytes` is what its machine takes from the host. */
  readonly insideMemoryBytes?: number;
  readonly pids?: number;
  readonly oomKills?: number;
  /** What it received and sent by its networks since its start. */
  readonly networkReceivedBytes?: number;
  readonly networkSentBytes?: number;
  /** Names of fields that only the guest says. */
  readonly claimed?: readonly string[];
}

const BETWEEN_LOOKS_MS = 500;
const REPEAT_MS = 2000;

export const stats: Command = {
  name: 'stats',
  summary: 'Show what running instances use.',
  usage: '[flags] [NAME…]',
  flags: [
    { name: 'watch', help: 'Stay, and look again every two seconds.' },
    { name: 'output', short: 'o', value: 'table|json', help: 'How to write it; json is one look, with the CPU time since the start.' },
  ],
  words: { min: 0 },
  async run(context, words) {
    const client = daemonClient(context);
    if (wantsJson(words)) {
      await context.stdio.out(`${JSON.stringify(await look(client, words.words), undefined, 2)}\n`);
      return 0;
    }
    let before = { items: await look(client, words.words), at: performance.now() };
    for (let pauseMs = BETWEEN_LOOKS_MS; ; pauseMs = REPEAT_MS) {
      await new Promise((resolve) => { setTimeout(resolve, pauseMs); });
      const now = { items: await look(client, words.words), at: performance.now() };
      const clear = words.on('watch') && (await context.stdio.isTerminal(1)) ? '\u001b[H\u001b[2J' : '';
      await context.stdio.out(clear + (await tableOf(context, now.items, before.items, now.at - before.at)));
      if (!words.on('watch')) return 0;
      before = now;
    }
  },
};

async function look(client: Client, names: readonly string[]): Promise<readonly Usage[]> {
  const items = (await client.call('instance.stats')).items as readonly unknown[] as readonly Usage[];
  const missing = names.find((name) => items.every((one) => one.name !== name));
  // The daemon knows why it is not there: it is unknown, or it does not run.
  if (missing !== undefined) throw new BerthError('wrongState', `'${missing}' does not run: it is ${(await client.call('instance.get', { name: missing })).status.state}.`);
  return names.length === 0 ? items : items.filter((one) => names.includes(one.name));
}

/** What only a guest says is marked. */
const CLAIMED = '*';

async function tableOf(context: Context, items: readonly Usage[], before: readonly Usage[], elapsedMs: number): Promise<string> {
  const hasGuests = items.some((one) => one.insideMemoryBytes !== undefined);
  const rows = items.toSorted((a, b) => (a.name < b.name ? -1 : 1)).map((one) => {
    const last = before.find((other) => other.name === one.name)?.cpuNanoseconds;
    const share = last === undefined || one.cpuNanoseconds === undefined ? '-' : `${(Math.max(0, one.cpuNanoseconds - last) / (elapsedMs * 10_000)).toFixed(1)} %`;
    const amount = (bytes: number | undefined): string => (bytes === undefined ? '-' : formatBytes(bytes));
    const mark = (field: string): string => (one.claimed?.includes(field) === true ? CLAIMED : '');
    return [
      one.name, FORM_LABEL[one.form] ?? '-', share, amount(one.memoryBytes), amount(one.memoryLimitBytes),
      ...(hasGuests ? [`${amount(one.insideMemoryBytes)}${mark('insideMemoryBytes')}`] : []),
      one.networkReceivedBytes === undefined ? '-' : `${amount(one.networkReceivedBytes)} / ${amount(one.networkSentBytes)}`, `${one.pids ?? '-'}${mark('pids')}`,
    ];
  });
  const right = (title: string) => ({ title, align: 'right' as const });
  const columns = [{ title: 'NAME' }, { title: 'FORM' }, right('CPU'), right('MEMORY'), right('LIMIT'), ...(hasGuests ? [right('INSIDE')] : []), right('NET I/O'), right('PIDS')];
  const table = textTable(columns, rows, { width: await terminalWidth(context) });
  return items.some((one) => (one.claimed?.length ?? 0) > 0) ? `${table}${CLAIMED} the guest’s own word\n` : table;
}
