/** `berth debug leaks` and `berth debug steps`. */
import { textTable } from '../../lib/text-table.ts';
import { terminalSafeLine } from '../../lib/terminal-safe.ts';
import type { Command } from '../command.ts';
import { daemonClient } from '../daemon-client.ts';
import { wantsJson } from '../output.ts';

const LEAKS_FOUND = 1;

export function debugCommand(verb: string): Command {
  return verb === 'leaks' ? leaks : steps;
}

const FORMAT = { name: 'output', short: 'o', value: 'text|json', help: 'How to write it.' } as const;

const leaks: Command = {
  name: 'debug leaks',
  summary: 'List what lies on the host under this daemon’s names and belongs to nothing.',
  usage: '[-o json]',
  flags: [FORMAT],
  words: { min: 0, max: 0 },
  notes: ['A line a leak; nothing, and exit code 0, when there is none.'],
  async run(context, words) {
    const answer = await daemonClient(context).call('debug.leaks');
    const lines = answer.leaks.map((leak) => terminalSafeLine(typeof leak === 'string' ? leak : Object.values(leak as object).map(String).join('  ')));
    if (wantsJson(words, 'text')) await context.stdio.out(`${JSON.stringify(answer.leaks, undefined, 2)}\n`);
    else if (lines.length > 0) await context.stdio.out(`${lines.join('\n')}\n`);
    return lines.length === 0 ? 0 : LEAKS_FOUND;
  },
};

const steps: Command = {
  name: 'debug steps',
  summary: 'List every step of every verb.',
  usage: '[-o json]',
  flags: [FORMAT],
  words: { min: 0, max: 0 },
  async run(context, words) {
    const { steps: all } = await daemonClient(context).call('debug.steps');
    if (wantsJson(words, 'text')) await context.stdio.out(`${JSON.stringify(all, undefined, 2)}\n`);
    else await context.stdio.out(textTable([{ title: 'VERB' }, { title: 'STEP' }, { title: 'UNDO' }, { title: 'AFTER A CRASH' }], all.map((one) => [one.verb, one.step, one.undo ? 'yes' : '-', one.onCrash])));
    return 0;
  },
};
