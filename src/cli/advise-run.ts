/** What `berth advise` does with its files. */
import { textTable } from '../lib/text-table.ts';
import { terminalSafe, terminalSafeLine } from '../lib/terminal-safe.ts';
import { nearest } from '../lib/nearest.ts';
import { BerthError, ERROR_RULES } from '../model/errors.ts';
import type { AdviceFormat } from '../model/advise-request.ts';
import { printable } from '../model/ids.ts';
import type { Context } from './command.ts';
import type { AdviseInput, AdviseOutput } from './commands/advise.ts';
import { daemonClient } from './daemon-client.ts';
import { readDocument, readEstateFiles } from './estate-files.ts';
import { terminalWidth } from './output.ts';
import { paint } from './paint.ts';

// Types by import(): the engine and its libraries are loaded when there is something to advise on.
type AdvisedFiles = import('../advise/advise-files.ts').AdvisedFiles;
type AdviceDocument = import('../advise/advice-document.ts').AdviceDocument;
type WorkloadAdvice = import('../advise/advice-document.ts').WorkloadAdvice;
type Figures = import('../advise/advise-files.ts').AdvisedFiles['figures'];

export interface AdviseRun extends AdviseInput {
  readonly output: AdviseOutput;
  /** undefined: no derivation; []: of all. */
  readonly explain: readonly string[] | undefined;
}

export async function runAdvise(context: Context, input: AdviseRun): Promise<number> {
  const advised = await advisedFiles(context, input, input.explain !== undefined);
  const { document } = advised;
  if (input.explain !== undefined && input.output === 'table') await explain(context, advised, input.explain);
  else if (input.output === 'table') await context.stdio.out(await table(context, document));
  else await write(context, advised, input.output);
  return tellProblems(context, document);
}

async function advisedFiles(context: Context, input: AdviseInput, explained: boolean): Promise<AdvisedFiles> {
  const { files, unread } = await readEstateFiles(context, input.files);
  const { adviseFiles } = await import('../advise/advise-files.ts');
  const { weightsFrom } = await import('../advise/weights.ts');
  const weights = input.weights === undefined ? undefined : weightsFrom(await readDocument(context, input.weights));
  const figures = await figuresOf(context, input.figures);
  const prices = input.prices === undefined ? undefined : (await import('../advise/prices-from.ts')).pricesFrom(await readDocument(context, input.prices));
  return adviseFiles({ files, unread, weights, figures, prices, host: { hardwareVirtualization: input.hardwareVirtualization }, explain: explained });
}

async function figuresOf(context: Context, wanted: string | undefined): Promise<Figures | undefined> {
  if (wanted === 'shipped') return undefined;
  if (wanted === undefined) return daemonFigures(context);
  const { figuresFrom } = await import('../advise/figures-from.ts');
  return figuresFrom(await readDocument(context, wanted));
}

/** What the daemon's node measured, where one answers; an estate is weighed without it, too. */
async function daemonFigures(context: Context): Promise<Figures | undefined> {
  try {
    const { items } = await daemonClient(context).call('node.list');
    return items.find((one) => one.status.figures !== undefined)?.status.figures;
  } catch (error) {
    // A daemon that was named is one that is meant.
    if (context.host !== undefined) throw error;
    return undefined;
  }
}

async function write(context: Context, advised: AdvisedFiles, format: AdviceFormat): Promise<void> {
  const { adviceText } = await import('../advise/advice-text.ts');
  await context.stdio.out(adviceText(advised, format).text);
}

async function explain(context: Context, { advice, estate }: AdvisedFiles, names: readonly string[]): Promise<void> {
  const { explainText } = await import('../advise/explain-text.ts');
  for (const name of names) {
    if (advice.decisions.some((one) => one.workload === name)) continue;
    const meant = nearest(name, advice.decisions.map((one) => one.workload));
    throw new BerthError('notFound', `There is no workload '${printable(name)}' in these files.`, { hint: meant === undefined ? undefined : `Did you mean '${printable(meant)}'?` });
  }
  const shown = advice.decisions.filter((one) => names.length === 0 || names.includes(one.workload));
  const texts = shown.map((one) => terminalSafe(explainText(one, estate.workloads.find((workload) => workload.meta.name === one.workload))));
  await context.stdio.out(`${texts.join('\n\n\n')}\n`);
}

const NOTHING = '-';

async function table(context: Context, document: AdviceDocument): Promise<string> {
  const right = (title: string) => ({ title, align: 'right' as const });
  const { cost } = document;
  const columns = [{ title: 'WORKLOAD' }, { title: 'FORM' }, { title: 'RUNNER-UP' }, right('SURE'), ...(cost === undefined ? [] : [right(`${cost.currency} A MONTH`)]), right('FLAGS'), { title: 'WHY' }];
  const rows = document.workloads.map((one) => [one.name, one.form, one.runnerUp ?? NOTHING, `${Math.round(one.confidence * 100)} %`, ...(cost === undefined ? [] : [one.monthlyCost ?? NOTHING]), one.flags.length === 0 ? NOTHING : String(one.flags.length), why(one)]);
  const text = textTable(columns, rows, { width: await terminalWidth(context) });
  const paints = await paint(1, context.stdio, context.env);
  const end = text.indexOf('\n');
  const costs = cost === undefined ? '' : `\n${textTable([{ title: 'SCENARIO' }, right('HOSTS'), right('AT LEAST'), right('SYSTEMS TO PATCH'), right('A MONTH'), right('3 YEARS'), right('SAVES')], cost.scenarios.map((one) => [one.label, `${one.hosts.needed}${one.hosts.spare === 0 ? '' : ` + ${one.hosts.spare}`}`, String(one.hosts.lowerBound), String(one.operatingSystems), `${one.monthly.total} ${cost.currency}`, one.threeYears, one.savedPercent === null ? NOTHING : `${one.savedPercent} %`]))}`;
  return `${paints.bold(text.slice(0, end))}${text.slice(end)}${costs}\n${totals(document).join('\n')}\n`;
}

function why(one: WorkloadAdvice): string {
  const reasons = one.reasons.slice(0, 2).join(' ');
  const open = one.wouldChangeIf.length;
  return open === 0 ? reasons : `${reasons} (${open} unknown ${open === 1 ? 'fact' : 'facts'} would change it.)`;
}

function totals(document: AdviceDocument): string[] {
  const counts = Object.entries(document.totals.byForm).filter(([, count]) => count > 0).map(([word, count]) => `${count} ${word}`);
  const { figures } = document;
  return [
    `${document.totals.workloads} ${document.totals.workloads === 1 ? 'workload' : 'workloads'}: ${counts.join(', ') || 'nothing'}.`,
    ...(document.cost?.examplePrices === true ? ['Prices: those of Berth’s example, and nobody’s.'] : []),
    ...document.estateFlags.map((one) => terminalSafeLine(`Red flag, ${one.flag}: ${one.sentence}`)),
    terminalSafeLine(figures.shipped ? `Figures: shipped with Berth, of another host (${figures.host}) \`berth advise calibrate\` measures yours.` : `Figures: ${figures.host}`),
  ];
}

/** On standard error, a line a problem: FILE:LINE: FIELD: what is wrong. */
async function tellProblems(context: Context, { problems }: AdviceDocument): Promise<number> {
  for (const { file, line, field, message } of problems) await context.tell(terminalSafeLine(`${file}${line === undefined ? '' : `:${line}`}: ${field === undefined || field === '' ? '' : `${field}: `}${message}`));
  return problems.length === 0 ? 0 : ERROR_RULES.invalid.exitCode;
}

export async function runManifests(context: Context, input: AdviseInput): Promise<number> {
  const advised = await advisedFiles(context, input, false);
  await write(context, advised, 'manifests');
  return tellProblems(context, advised.document);
}
