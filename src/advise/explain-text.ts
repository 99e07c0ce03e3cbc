/** The whole derivation of one decision, for people. */
import { FORM_LABEL, FORMS } from '../model/forms.ts';
import type { Workload } from '../model/workload.ts';
import { ANSWER_LABEL, type Decision, type Evidence } from './decision.ts';

/** Lines without the last line feed. */
export function explainText(decision: Decision, workload: Workload | undefined): string {
  const parts = [heading(decision)];
  const section = (title: string, lines: readonly string[]): void => {
    if (lines.length > 0) parts.push(`${title}\n${lines.map((line) => `  ${line}`).join('\n')}`);
  };
  section('Why', decision.reasons);
  section('Ruled out', decision.ruledOut.map(({ form, reason, evidence }) => `${FORM_LABEL[form]}: ${reason}${evidenceText(evidence)}`));
  section('What speaks for what (weight × score; − against, + for)', scoreLines(decision));
  section('Would change if it were known that', decision.unknowns.map((one) => one.sentence));
  section('What makes the other one win', decision.sensitivity.map((one) => one.sentence));
  section('Ways out', decision.waysOut.map((one) => one.sentence));
  section('Red flags', decision.redFlags.map(({ flag, sentence }) => `${flag}: ${sentence}`));
  section('Effort', [[ANSWER_LABEL[decision.form], decision.effort.toForm], [decision.runnerUp === undefined ? '' : FORM_LABEL[decision.runnerUp], decision.effort.toRunnerUp]].flatMap(([form, effort]) => (effort === undefined ? [] : [`To ${form!}: ${effort}`])));
  section('Controls that it brings with it', decision.controls.map(({ control, sentence }) => `[ ] ${control}: ${sentence}`));
  section('Where the facts come from', factLines(workload));
  return parts.join('\n\n');
}

function heading({ workload, form, runnerUp, confidence }: Decision): string {
  return `${workload}: ${ANSWER_LABEL[form]}${runnerUp === undefined ? '' : `, then ${FORM_LABEL[runnerUp]}`} (confidence ${Math.round(confidence * 100)} %)`;
}

function scoreLines({ points, totals }: Decision): string[] {
  if (points.length === 0) return [];
  const shown = FORMS.filter((form) => totals[form] !== undefined);
  if (shown.length === 0) return [];
  const cell = (value: number): string => `${value > 0 ? '+' : ''}${(Math.round(value * 100) / 100).toFixed(2)}`.replace(/^-0\.00$/, '0.00');
  const lines = points.map((point) => `${shown.map((form) => cell(point.weight * point.scores[form]).padStart(FORM_LABEL[form].length)).join('  ')}  ${point.criterion}: ${point.sentence}${evidenceText(point.evidence)} [${point.source}]`);
  return [shown.map((form) => FORM_LABEL[form]).join('  '), ...lines, `${shown.map((form) => cell(totals[form]!).padStart(FORM_LABEL[form].length)).join('  ')}  in all`];
}

function evidenceText(evidence: readonly Evidence[]): string {
  const shown = evidence.map(({ field, value, how, rule }) => (how === 'unknown' ? `${field} is unknown` : `${field} ${JSON.stringify(value)}${how === 'inferred' ? ` (inferred${rule === undefined ? '' : `: ${rule.replace(/\.$/, '')}`})` : ''}`));
  return shown.length === 0 ? '' : ` – ${shown.join('; ')}`;
}

function factLines(workload: Workload | undefined): string[] {
  return Object.entries(workload?.provenance ?? {}).map(([path, { how, rule, from }]) => `${path}: ${how === 'knew' ? 'from' : how}${how === 'inferred' && rule !== undefined ? `: ${rule}` : ''}${from === undefined ? '' : ` (${from})`}`.replace('from (', '('));
}
