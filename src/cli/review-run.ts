/** `berth advise review`: what runs, weighed again on evidence. Nothing is changed. */
import { formatBytes } from '../lib/bytes.ts';
import { textTable } from '../lib/text-table.ts';
import { terminalSafeLine } from '../lib/terminal-safe.ts';
import type { InstanceReview } from '../model/evidence.ts';
import { FORM_LABEL } from '../model/forms.ts';
import type { Context } from './command.ts';
import { daemonClient } from './daemon-client.ts';
import { terminalWidth, yamlText } from './output.ts';

export async function runReview(context: Context, names: readonly string[], output: 'table' | 'json' | 'yaml', project: string | undefined): Promise<number> {
  const answer = await daemonClient(context).call('advise.review', { project, query: { name: names.length === 0 ? undefined : names } });
  if (output === 'json') await context.stdio.out(`${JSON.stringify(answer, undefined, 2)}\n`);
  else if (output === 'yaml') await context.stdio.out(await yamlText(answer));
  else await context.stdio.out(await table(context, answer.items));
  return 0;
}

const NOTHING = '-';

async function table(context: Context, items: readonly InstanceReview[]): Promise<string> {
  const amount = (bytes: number | undefined): string => (bytes === undefined ? NOTHING : formatBytes(bytes));
  const rows = items.map((one) => [one.name, FORM_LABEL[one.form], one.wouldChange ? one.advised : 'as it is', `${Math.round(one.confidence * 100)} %`, amount(one.evidence?.memoryBytes), amount(one.evidence?.memoryPeakBytes), one.evidence === undefined ? NOTHING : `${(one.evidence.cpus * 100).toFixed(1)} %`, (one.evidence?.listeningPorts ?? []).slice(0, 6).join(' ') || NOTHING, one.reasons[0] ?? NOTHING]);
  const right = (title: string) => ({ title, align: 'right' as const });
  const text = textTable([{ title: 'NAME' }, { title: 'IS' }, { title: 'SHOULD BE' }, right('SURE'), right('MEMORY'), right('PEAK'), right('CPU'), { title: 'PORTS' }, { title: 'WHY' }], rows, { width: await terminalWidth(context) });
  const notes = items.flatMap((one) => [...(one.wouldChange ? [one.sentence] : []), ...one.limits.map((note) => `'${one.name}': ${note}`), ...(one.flags.length === 0 ? [] : [`'${one.name}' has red flags: ${one.flags.join(', ')}.`])]);
  return `${text}${notes.length === 0 ? '' : `\n${notes.map(terminalSafeLine).join('\n')}\n`}`;
}
