/** `berth top`: what runs inside instances of any form, and what a VM's machine costs the host. */
import { formatBytes } from '../../lib/bytes.ts';
import { terminalSafeLine } from '../../lib/terminal-safe.ts';
import { textTable } from '../../lib/text-table.ts';
import type { InstanceProcesses, ProcessRow } from '../../model/instance-processes.ts';
import type { Command, Context } from '../command.ts';
import { daemonClient } from '../daemon-client.ts';
import { terminalWidth, wantsJson } from '../output.ts';

/** Of all instances together, unless --all or names are given. */
const BUSIEST = 40;

export const top: Command = {
  name: 'top',
  summary: 'Show the processes of instances.',
  usage: '[flags] [NAME…]',
  flags: [
    { name: 'all', short: 'a', help: `Every process; without a NAME the ${BUSIEST} with the most CPU time are shown.` },
    { name: 'output', short: 'o', value: 'table|json', help: 'How to write it.' },
  ],
  words: { min: 0 },
  notes: ['Numbers and users are those of the instance. What a VM runs is its guest’s word; the line `(machine)` is what the host sees of it.'],
  async run(context, words) {
    const json = wantsJson(words);
    const { items } = await daemonClient(context).call('instance.top', words.words.length === 0 ? {} : { query: { name: words.words } });
    if (json) {
      await context.stdio.out(`${JSON.stringify(items, undefined, 2)}\n`);
      return 0;
    }
    await context.stdio.out(await tableOf(context, items, words.words.length === 0 && !words.on('all') ? BUSIEST : undefined));
    for (const { name, problem, isPartial } of items) {
      if (problem !== undefined) await context.stdio.err(`${terminalSafeLine(name)}: ${terminalSafeLine(problem)}\n`);
      if (isPartial) await context.stdio.err(`${terminalSafeLine(name)}: there are more processes than are shown\n`);
    }
    return 0;
  },
};

interface Line {
  readonly instance: string;
  readonly user: string;
  readonly row: ProcessRow;
}

async function tableOf(context: Context, items: readonly InstanceProcesses[], most: number | undefined): Promise<string> {
  const lines = items.flatMap(({ name, machine, processes }): readonly Line[] => [
    ...(machine === undefined ? [] : [{ instance: name, user: '(machine)', row: { ...machine, command: programOf(machine.command) } }]),
    ...processes.map((row) => ({ instance: name, user: row.user ?? '-', row })),
  ]);
  const shown = most === undefined ? lines : lines.toSorted((a, b) => b.row.cpuMs - a.row.cpuMs).slice(0, most);
  const rows = shown.map(({ instance, user, row }) => [instance, String(row.pid), user, row.state, duration(row.cpuMs), formatBytes(row.residentBytes), duration(row.ageMs), row.command]);
  const right = 'right' as const;
  const columns = [
    { title: 'INSTANCE' }, { title: 'PID', align: right }, { title: 'USER' }, { title: 'S' }, { title: 'CPU TIME', align: right }, { title: 'MEMORY', align: right }, { title: 'AGE', align: right }, { title: 'COMMAND' },
  ];
  return textTable(columns, rows, { width: await terminalWidth(context) });
}

/** The arguments of a machine are long, and nobody's choice; -o json has them. */
function programOf(command: string): string {
  return command.split(' ')[0]!.split('/').at(-1)!;
}

/** `0.42s`, `12m03s`, `3h07m`, `12d05h`. */
function duration(milliseconds: number): string {
  const seconds = milliseconds / 1000;
  if (seconds < 60) return `${seconds.toFixed(2)}s`;
  const two = (value: number): string => String(Math.floor(value)).padStart(2, '0');
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m${two(seconds % 60)}s`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}h${two((seconds % 3600) / 60)}m`;
  return `${Math.floor(seconds / 86_400)}d${two((seconds % 86_400) / 3600)}h`;
}
