/** One row for each workload, for spreadsheets: RFC 4180, and nothing in it that a spreadsheet would run. */
import type { AdviceDocument } from '../advice-document.ts';

const HEADER = ['workload', 'owner', 'form', 'runner_up', 'confidence', 'replicas', 'monthly_cost', 'currency', 'reasons', 'red_flags', 'would_change_if'];
const NUMBER = /^-?\d+(\.\d+)?$/;
/** What begins a formula or a command in one spreadsheet or another, after blanks, and as full-width forms. */
const FORMULA = /^[\s\u00a0\ufeff]*[=+\-@|%\uff1d\uff0b\uff0d\uff20]|^[\t\r\n]/u;

export function reportCsv({ workloads, cost }: AdviceDocument): string {
  const rows = workloads.map((one) => [
    one.name, one.owner ?? '', one.form, one.runnerUp ?? '', one.confidence.toFixed(2), one.replicas === null ? '' : String(one.replicas), one.monthlyCost ?? '', one.monthlyCost === undefined ? '' : cost?.currency ?? '',
    one.reasons.join(' '), one.flags.join('; '), one.wouldChangeIf.join(' '),
  ]);
  return csv([HEADER, ...rows]);
}

/** Lines end with CR LF, the last one, too. */
export function csv(rows: readonly (readonly string[])[]): string {
  return rows.map((row) => `${row.map(csvCell).join(',')}\r\n`).join('');
}

/** A cell that would be a formula gets an apostrophe before it, which spreadsheets show as text; plain numbers stay numbers. */
export function csvCell(value: string): string {
  const text = FORMULA.test(value) && !NUMBER.test(value) ? `'${value}` : value;
  return /[",\r\n]|^\s|\s$|^'/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
