/** The three plots: cost by scenario, density by form, what flips. Each with its numbers as a table, which says the same. */
import type { AdviceDocument } from '../advice-document.ts';
import type { CostReport, ScenarioCost } from '../cost/cost-report.ts';
import type { DensityReport } from '../cost/density-report.ts';
import { DOMAINS } from '../domains.ts';
import { barChart } from './bar-chart.ts';
import { html, type Markup } from './html.ts';
import { count, FORM_WORDS, grouped, memory } from './words.ts';

export interface Column {
  readonly title: string;
  readonly isNumber?: boolean;
}

/** A table with a caption, heads for columns and rows, and a frame that keyboards can scroll. */
export function dataTable(caption: string, columns: readonly Column[], rows: readonly (readonly (string | Markup)[])[]): Markup {
  return html`<div class="scroll" role="region" tabindex="0" aria-label="${caption}"><table><caption>${caption}</caption><thead><tr>${columns.map(({ title, isNumber }) => html`<th scope="col"${isNumber === true && html` class="number"`}>${title}</th>`)}</tr></thead><tbody>${
    rows.map((row) => html`<tr>${row.map((cell, at) => (at === 0 ? html`<th scope="row">${cell}</th>` : html`<td${columns[at]!.isNumber === true && html` class="number"`}>${cell}</td>`))}</tr>`)
  }</tbody></table></div>`;
}

const COST_PARTS: readonly (readonly [keyof ScenarioCost['monthly'], string])[] = [
  ['capital', 'hosts'], ['running', 'running'], ['energy', 'energy'], ['labour', 'labour'], ['hostLicences', 'licences of hosts'], ['workloadLicences', 'licences of workloads'],
];

export function costChart({ scenarios, currency }: CostReport): Markup {
  const told = scenarios.map(({ label, monthly }) => `${label}: ${grouped(monthly.total)} ${currency}`).join('; ');
  return html`<figure>${barChart({
    id: 'cost-by-scenario', title: `Cost in a month by scenario, in ${currency}`, description: `${told}.`, legend: COST_PARTS.map(([, word]) => word),
    bars: scenarios.map(({ label, monthly }) => ({ label, text: grouped(monthly.total), parts: COST_PARTS.map(([key], colour) => ({ value: Number(monthly[key]), colour })) })),
  })}<figcaption>Cost in a month by scenario, in ${currency}, by part. The numbers stand in the table below.</figcaption></figure>`;
}

export function densityChart({ classes, basis, memoryBytes, comparedTo }: DensityReport): Markup {
  const bars = classes.flatMap(({ name, applicationMemoryBytes, forms }) => forms.map((one, at) => ({
    label: FORM_WORDS[one.form], text: `${one.timesVms.toFixed(1)} × (${grouped(String(one.instances))})`, parts: [{ value: one.timesVms, colour: 0 }],
    group: at === 0 ? `${name}: an application of ${memory(applicationMemoryBytes)}` : undefined,
  })));
  if (bars.length === 0) return html`<p>Nothing about memory was measured, so nothing is said about density.</p>`;
  return html`<figure>${barChart({ id: 'density-by-form', title: `Density by form, as multiples of ${comparedTo}`, description: `Basis: ${basis}. ${classes.map(({ name, forms }) => `${name}: ${forms.map((one) => `${FORM_WORDS[one.form]} ${one.timesVms.toFixed(1)} times`).join(', ')}`).join('; ')}.`, bars })
  }<figcaption>Density by form as multiples of ${comparedTo}, ${basis}; in brackets, instances in ${memory(memoryBytes)}.</figcaption></figure>${dataTable(
    `Instances that share ${memory(memoryBytes)}, ${basis}`, [{ title: 'Application' }, { title: 'Form' }, { title: 'Instances', isNumber: true }, { title: `Beside ${comparedTo}`, isNumber: true }],
    classes.flatMap(({ name, applicationMemoryBytes, forms }) => forms.map((one) => [`${name}, ${memory(applicationMemoryBytes)}`, FORM_WORDS[one.form], grouped(String(one.instances)), `${one.timesVms.toFixed(1)} ×`])),
  )}`;
}

const MOST_FACTS = 12;
const WORDS = new Map(DOMAINS.map(({ field, words }) => [field, words]));

/** By fact: for how many workloads a change of it alone gives another answer. */
export function flippingFacts({ workloads }: AdviceDocument): readonly { readonly fact: string; readonly workloads: number }[] {
  const counts = new Map<string, number>();
  for (const { sensitivity } of workloads) {
    for (const field of new Set(sensitivity.filter(({ changes }) => changes.length === 1).map(({ changes }) => changes[0]!.field))) counts.set(field, (counts.get(field) ?? 0) + 1);
  }
  return [...counts].map(([field, number]) => ({ fact: WORDS.get(field) ?? field, workloads: number })).toSorted((a, b) => b.workloads - a.workloads || (a.fact < b.fact ? -1 : 1));
}

export function flipChart(document: AdviceDocument): Markup {
  const facts = flippingFacts(document);
  if (facts.length === 0) return html`<p>No change of a single fact gives another answer.</p>`;
  const shown = facts.slice(0, MOST_FACTS);
  return html`<figure>${barChart({
    id: 'what-flips', title: 'What flips: facts that change answers', description: `${shown.map(({ fact, workloads }) => `${fact}: ${count(workloads, 'workload')}`).join('; ')}.`,
    bars: shown.map(({ fact, workloads }) => ({ label: fact, text: count(workloads, 'workload'), parts: [{ value: workloads, colour: 0 }] })),
  })}<figcaption>For how many workloads a change of this one fact gives another answer${facts.length > shown.length ? `; the ${MOST_FACTS} most frequent of ${facts.length} facts` : ''}. The table below says which, for each workload.</figcaption></figure>`;
}
