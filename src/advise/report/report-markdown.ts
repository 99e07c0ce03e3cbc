/** The answer as GitHub-flavoured markdown, for issues and wikis. */
import { terminalSafeLine } from '../../lib/terminal-safe.ts';
import type { AdviceDocument } from '../advice-document.ts';
import type { CostReport, ScenarioCost } from '../cost/cost-report.ts';
import { flippingFacts } from './report-charts.ts';
import { count, FORM_WORDS, grouped, memory, milliseconds, percent } from './words.ts';

export function reportMarkdown(document: AdviceDocument): string {
  const { totals, workloads, cost, density, figures, estateFlags, problems, placement } = document;
  const forms = Object.entries(totals.byForm).filter(([, number]) => number > 0).map(([word, number]) => `${number} ${FORM_WORDS[word as keyof typeof FORM_WORDS]}`);
  const blocks = [
    `# Which form for ${count(totals.workloads, 'workload')}`,
    ...(cost?.examplePrices === true ? ['> **Example prices.** The amounts come from the example price file of Berth and are nobody’s.'] : []),
    `${forms.join(', ')}.`,
    escaped(figures.shipped ? `Overheads and times are those shipped with Berth, measured on another host (${figures.host})` : `Overheads and times were measured on this host: ${figures.host}`),
    ...section('Red flags of the whole estate', bullets(estateFlags.map(({ flag, sentence }) => `${flag}: ${sentence}`))),
    ...section('Workloads', table(
      ['Workload', 'Form', 'Runner-up', 'Confidence', ...(cost === undefined ? [] : [`${cost.currency} a month`]), 'Red flags', 'Because'], cost === undefined ? [3] : [3, 4],
      workloads.map((one) => [
        one.name, FORM_WORDS[one.form], one.runnerUp === null ? '–' : FORM_WORDS[one.runnerUp], percent(one.confidence), ...(cost === undefined ? [] : [one.monthlyCost === undefined ? '–' : grouped(one.monthlyCost)]),
        one.flags.join(', '), one.reasons.slice(0, 2).join(' '),
      ]),
    )),
    ...(cost === undefined ? [] : section('What it costs', costTable(cost), bullets(cost.scenarios.flatMap(({ label, notes, unplaced }) => [...notes.map((note) => `${label}: ${note}`), ...unplaced.map(({ name, reason }) => `${label}: ${name} is not counted, because ${reason}.`)])))),
    ...section(`How many share ${memory(density.memoryBytes)}, ${density.basis}`, table(['Application', 'Form', 'Instances', `Beside ${density.comparedTo}`], [2, 3], density.classes.flatMap(({ name, applicationMemoryBytes, forms: rows }) => rows.map((one) => [`${name}, ${memory(applicationMemoryBytes)}`, FORM_WORDS[one.form], grouped(String(one.instances)), `${one.timesVms.toFixed(1)} ×`])))),
    ...section('What flips', table(['A change of', 'gives another answer for'], [], flippingFacts(document).map((one) => [one.fact, count(one.workloads, 'workload')]))),
    ...section('The smallest changes', bullets(workloads.flatMap(({ name, sensitivity }) => sensitivity.slice(0, 2).map(({ sentence }) => `${name}: ${sentence}`)))),
    ...section('Who may lie beside whom', bullets(placement.map(({ reason }) => reason))),
    ...section('What could not be read', bullets(problems.map(({ file, line, field, message }) => `${file}${line === undefined ? '' : `:${line}`}: ${field === undefined ? '' : `${field}: `}${message}`))),
    ...(cost === undefined ? [] : section('How it was counted', bullets([...cost.rules, ...cost.assumptions]))),
  ];
  return `${blocks.join('\n\n')}\n`;
}

function costTable(cost: CostReport): string {
  const row = (title: string, value: (one: ScenarioCost) => string): string[] => [title, ...cost.scenarios.map(value)];
  return table([`In ${cost.currency}`, ...cost.scenarios.map(({ label }) => label)], cost.scenarios.map((_, at) => at + 1), [
    row('Hosts (at least)', ({ hosts }) => `${hosts.needed}${hosts.spare === 0 ? '' : ` + ${hosts.spare} spare`} (${hosts.lowerBound})`),
    row('CPU, memory, disk', ({ utilization }) => `${percent(utilization.cpu)}, ${percent(utilization.memory)}, ${percent(utilization.disk)}`),
    row('Instances', ({ instances }) => String(instances)), row('Instances for each kernel', ({ workloadsPerKernel }) => workloadsPerKernel.toFixed(1)),
    row('Operating systems to patch', ({ operatingSystems }) => String(operatingSystems)),
    row('Start of one, typical', ({ start }) => milliseconds(start.typicalMs)), row('Redeploy of all', ({ redeployMs }) => milliseconds(redeployMs)),
    row('A month', ({ monthly }) => grouped(monthly.total)), row('A month, for each workload', ({ monthlyPerWorkload }) => grouped(monthlyPerWorkload)), row('Three years', ({ threeYears }) => grouped(threeYears)),
    row('Less than today', ({ savedPercent }) => (savedPercent === null ? '–' : `${savedPercent.toFixed(1)} %`)),
  ]);
}

function section(title: string, ...blocks: readonly string[]): string[] {
  const filled = blocks.filter((block) => block !== '');
  return filled.length === 0 ? [] : [`## ${title}`, ...filled];
}

function bullets(sentences: readonly string[]): string {
  return sentences.map((sentence) => `- ${escaped(sentence)}`).join('\n');
}

function table(titles: readonly string[], numbers: readonly number[], rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return '';
  const line = (cells: readonly string[]): string => `| ${cells.map(escaped).join(' | ')} |`;
  return [line(titles), `| ${titles.map((_, at) => (numbers.includes(at) ? '--:' : '---')).join(' | ')} |`, ...rows.map(line)].join('\n');
}

/** One line of plain text, whatever is in it: no markup, no HTML, no cell of its own. */
export function escaped(text: string): string {
  return terminalSafeLine(text).replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;').replace(/[\\`*_[\]|~#!]/g, (char) => `\\${char}`).replace(/:\/\//g, ':\\/\\/').replace(/^(\s*)([-+]|\d+[.)])(?=\s)/, '$1\\$2');
}
