/**
 * The whole answer as one page that needs nothing else: no script, no font, no picture from elsewhere, and a policy in it
 * that would stop them. Semantics and contrast after WCAG 2.2 AA; readable in print.
 */
import type { AdviceDocument, WorkloadAdvice } from '../advice-document.ts';
import type { CostReport, ScenarioCost } from '../cost/cost-report.ts';
import { escapeHtml, html, type Escape, type Markup, type Value } from './html.ts';
import { PAGE_STYLE } from './page-style.ts';
import { costChart, dataTable, densityChart, flipChart } from './report-charts.ts';
import { count, FORM_WORDS, grouped, milliseconds, percent } from './words.ts';

const POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/** `escape` is what keeps words words; only a test hands in another. */
export function reportHtml(document: AdviceDocument, escape: Escape = escapeHtml): string {
  const { totals, workloads, cost, density, problems } = document;
  const title = `Which form for ${count(totals.workloads, 'workload')}`;
  const page = html`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title} – Berth</title>
<style>${{ write: () => PAGE_STYLE }}</style>
</head>
<body>
<a class="skip" href="#workloads">Skip to the table of workloads</a>
<header>
<h1>${title}</h1>
<p class="quiet">By berth advise. ${figuresSentence(document)}</p>
</header>
<main>
${cost?.examplePrices === true && html`<p class="notice"><strong>Example prices.</strong> The amounts of this page come from the example price file of Berth and are nobody’s. ${cost.note}</p>`}
${keyFacts(document)}
${flags(document)}
${cost && costSection(cost)}
<section aria-labelledby="density"><h2 id="density">How many share a host</h2>${densityChart(density)}</section>
<section aria-labelledby="flips"><h2 id="flips">What flips</h2>${flipChart(document)}${flipTable(workloads)}</section>
<section aria-labelledby="workloads"><h2 id="workloads">Workloads</h2>${workloadTable(workloads, cost)}</section>
${placement(document)}
<section aria-labelledby="why"><h2 id="why">Why, workload by workload</h2>${workloads.map(workloadDetails)}</section>
${problems.length > 0 && html`<section aria-labelledby="problems"><h2 id="problems">What could not be read</h2>${dataTable('Problems in the files', [{ title: 'File' }, { title: 'Line', isNumber: true }, { title: 'Field' }, { title: 'Problem' }],
    problems.map(({ file, line, field, message }) => [file, line === undefined ? '' : String(line), field ?? '', message]))}</section>`}
${cost && howCounted(cost)}
</main>
<footer><p class="quiet">Read from ${list(document.files.map(({ name, format }) => `${name} (${format})`))}.</p></footer>
</body>
</html>
`;
  return page.write(escape);
}

function figuresSentence({ figures }: AdviceDocument): string {
  return figures.shipped ? `Overheads and times are those shipped with Berth, measured on another host (${figures.host}) berth advise calibrate measures yours.` : `Overheads and times were measured on this host: ${figures.host}`;
}

function list(words: readonly string[]): string {
  return words.length === 0 ? 'nothing' : words.join(', ');
}

function keyFacts({ totals, cost, workloads }: AdviceDocument): Markup {
  const recommended = cost?.scenarios.find(({ scenario }) => scenario === 'recommended');
  const today = cost?.scenarios.find(({ scenario }) => scenario === 'today');
  const fact = (term: string, value: string): Markup => html`<div><dt>${term}</dt><dd>${value}</dd></div>`;
  const forms = Object.entries(totals.byForm).filter(([, number]) => number > 0);
  return html`<dl class="facts">${fact('Workloads', grouped(String(totals.workloads)))}${forms.map(([word, number]) => fact(FORM_WORDS[word as keyof typeof FORM_WORDS], String(number)))}${fact('With red flags', String(workloads.filter((one) => one.flags.length > 0).length))}${
    cost && recommended && html`${fact(`A month, as recommended`, `${grouped(recommended.monthly.total)} ${cost.currency}`)}${today && fact('A month, as it is today', `${grouped(today.monthly.total)} ${cost.currency}`)}${fact('Hosts, as recommended', hosts(recommended))}`}</dl>`;
}

function hosts({ hosts: { needed, spare } }: ScenarioCost): string {
  return spare === 0 ? String(needed) : `${needed} + ${spare} spare`;
}

function flags({ estateFlags }: AdviceDocument): Value {
  return estateFlags.length > 0 && html`<section aria-labelledby="estate-flags"><h2 id="estate-flags">Red flags of the whole estate</h2><ul>${estateFlags.map(({ flag, sentence }) => html`<li><span class="flag">${flag}:</span> ${sentence}</li>`)}</ul></section>`;
}

function costSection(cost: CostReport): Markup {
  const row = (title: string, value: (one: ScenarioCost) => string): string[] => [title, ...cost.scenarios.map(value)];
  const money = (pick: (one: ScenarioCost) => string) => (one: ScenarioCost): string => grouped(pick(one));
  const notes = cost.scenarios.flatMap(({ label, notes: sentences, unplaced }) => [
    ...sentences.map((sentence) => `${label}: ${sentence}`),
    ...unplaced.map(({ name, reason }) => `${label}: ${name} is not counted, because ${reason}.`),
  ]);
  return html`<section aria-labelledby="cost"><h2 id="cost">What it costs</h2>${costChart(cost)}${dataTable(`Four ways to run the estate; amounts in ${cost.currency}`, [{ title: '' }, ...cost.scenarios.map(({ label }) => ({ title: label, isNumber: true }))].map((column, at) => (at === 0 ? { title: 'Measure' } : column)), [
    row('Hosts', hosts),
    row('Hosts at least (lower bound, without spares)', ({ hosts: { lowerBound, lowerBoundBy } }) => `${lowerBound} (${lowerBoundBy})`),
    row('Hosts without spares, a month (lower bound)', ({ hosts: { monthly, monthlyAtLeast } }) => `${grouped(monthly)} (${grouped(monthlyAtLeast)})`),
    row('Types of hosts', ({ hosts: { byType } }) => byType.map(({ type, needed, spare }) => `${needed + spare} × ${type}`).join(', ')),
    row('CPU promised', ({ utilization }) => percent(utilization.cpu)), row('Memory used', ({ utilization }) => percent(utilization.memory)), row('Disk used', ({ utilization }) => percent(utilization.disk)),
    row('Instances', ({ instances }) => grouped(String(instances))),
    row('Instances by form', ({ byForm }) => Object.entries(byForm).map(([word, number]) => `${number} ${FORM_WORDS[word as keyof typeof FORM_WORDS]}`).join(', ')),
    row('Instances for each kernel', ({ workloadsPerKernel }) => workloadsPerKernel.toFixed(1)),
    row('Operating systems to patch', ({ operatingSystems }) => grouped(String(operatingSystems))), row('Images to rebuild', ({ images }) => grouped(String(images))),
    row('Start of one, typical', ({ start }) => milliseconds(start.typicalMs)), row('Start of one, slowest', ({ start }) => milliseconds(start.slowestMs)),
    row('Redeploy of all, one after the other', ({ redeployMs }) => milliseconds(redeployMs)),
    row('Hosts to buy, once', money(({ purchase }) => purchase)),
    row('Hosts, a month', money(({ monthly }) => monthly.capital)), row('Running, a month', money(({ monthly }) => monthly.running)), row('Energy, a month', money(({ monthly }) => monthly.energy)),
    row('Labour, a month', money(({ monthly }) => monthly.labour)), row('Licences of hosts, a month', money(({ monthly }) => monthly.hostLicences)), row('Licences of workloads, a month', money(({ monthly }) => monthly.workloadLicences)),
    row('All, a month', money(({ monthly }) => monthly.total)), row('All, a month, for each workload', money(({ monthlyPerWorkload }) => monthlyPerWorkload)), row('All, three years', money(({ threeYears }) => threeYears)),
    row('Less than today', ({ savedPercent }) => (savedPercent === null ? '–' : `${savedPercent.toFixed(1)} %`)),
  ])}${cost.scenarios.some(({ start }) => !start.transferable) && html`<p class="quiet">Times of VMs were measured without hardware virtualization: they say which form is slower, and not how slow it is elsewhere.</p>`}${
    notes.length > 0 && html`<h3>Notes</h3><ul>${notes.map((note) => html`<li>${note}</li>`)}</ul>`}</section>`;
}

function flipTable(workloads: readonly WorkloadAdvice[]): Value {
  const rows = workloads.flatMap(({ name, sensitivity }) => sensitivity.slice(0, 2).map(({ sentence, form }) => [name, FORM_WORDS[form], sentence]));
  return rows.length > 0 && dataTable('The smallest changes that give another answer, at most two for each workload', [{ title: 'Workload' }, { title: 'Would become' }, { title: 'If' }], rows);
}

function workloadTable(workloads: readonly WorkloadAdvice[], cost: CostReport | undefined): Markup {
  const columns = [{ title: 'Workload' }, { title: 'Form' }, { title: 'Runner-up' }, { title: 'Confidence', isNumber: true }, ...(cost === undefined ? [] : [{ title: `${cost.currency} a month`, isNumber: true }]), { title: 'Red flags' }, { title: 'Because' }];
  return dataTable('One row for each workload; its name leads to the reasons', columns, workloads.map((one, at) => [
    html`<a href="#workload-${at}">${one.name}</a>`, FORM_WORDS[one.form], one.runnerUp === null ? '–' : FORM_WORDS[one.runnerUp], percent(one.confidence),
    ...(cost === undefined ? [] : [one.monthlyCost === undefined ? '–' : grouped(one.monthlyCost)]), one.flags.join(', '), one.reasons.slice(0, 2).join(' '),
  ]));
}

function placement({ placement: rules }: AdviceDocument): Value {
  return rules.length > 0 && html`<section aria-labelledby="placement"><h2 id="placement">Who may lie beside whom</h2><ul>${rules.map(({ kind, scope, groups, reason }) => {
    const named = groups.map((group) => (group.length > 6 ? count(group.length, 'workload') : group.join(', ')));
    return html`<li>${kind === 'together' ? 'On one host' : scope === 'host' ? 'Never on one host' : 'Never on one kernel'}: ${named.join(' | ')}. ${reason}</li>`;
  })}</ul></section>`;
}

function workloadDetails(one: WorkloadAdvice, at: number): Markup {
  const part = (title: string, sentences: readonly string[]): Value => sentences.length > 0 && html`<p><strong>${title}</strong></p><ul>${sentences.map((sentence) => html`<li>${sentence}</li>`)}</ul>`;
  return html`<article aria-labelledby="workload-${at}"><h3 id="workload-${at}">${one.name}: ${FORM_WORDS[one.form]}${one.runnerUp !== null && `, then ${FORM_WORDS[one.runnerUp]}`} (confidence ${percent(one.confidence)})</h3>${
    one.owner !== undefined && html`<p class="quiet">Owner: ${one.owner}</p>`}${part('Why', one.reasons)}${part('Red flags', one.redFlags.map(({ flag, sentence }) => `${flag}: ${sentence}`))}${
    part('Ruled out', one.ruledOut.map(({ form, reason }) => `${FORM_WORDS[form]}: ${reason}`))}${part('Ways out', one.waysOut.map(({ sentence }) => sentence))}${
    part('Would change the answer if it were known', one.wouldChangeIf)}${part('Effort', [one.effort.toForm, one.effort.toRunnerUp].filter((sentence) => sentence !== null))}${
    part('Controls that the form brings with it', one.controls.map(({ control, sentence }) => `${control}: ${sentence}`))}</article>`;
}

function howCounted({ rules, assumptions }: CostReport): Markup {
  return html`<section aria-labelledby="counted"><h2 id="counted">How it was counted</h2><ul>${rules.map((rule) => html`<li>${rule}</li>`)}</ul>${
    assumptions.length > 0 && html`<h3>Taken because nobody said it</h3><ul>${assumptions.map((one) => html`<li>${one}</li>`)}</ul>`}</section>`;
}
