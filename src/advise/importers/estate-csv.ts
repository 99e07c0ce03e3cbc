/**
 * Plain CSV: a row a workload, a column a fact. The header names the fields as the model does (`os.family`,
 * `resources.limits.memoryBytes`) or by the short words below; lists are written with | between their elements. An empty
 * cell is unknown. docs/guide says it for people.
 */
import type { CsvRow, CsvTable } from '../../lib/csv.ts';
import { nearest } from '../../lib/nearest.ts';
import type { Workload } from '../../model/workload.ts';
import { WORKLOAD_COLUMNS, type WorkloadColumn } from '../../model/workload-columns.ts';
import { factOfText } from '../fact-text.ts';
import type { ImportProblem } from './import-result.ts';
import { openDraft, type WorkloadDraft } from './workload-draft.ts';

/** Words of spreadsheets, and the field that each means; sizes may have units (`4GiB`). */
export const CSV_WORDS: Readonly<Record<string, string>> = {
  os: 'os.family', distribution: 'os.distribution', 'os version': 'os.version', image: 'source.image', cpus: 'resources.requests.cpus', memory: 'resources.requests.memoryBytes', disk: 'resources.requests.diskBytes',
  'cpus limit': 'resources.limits.cpus', 'memory limit': 'resources.limits.memoryBytes', applications: 'inside.applications', ssh: 'inside.sshLogins', state: 'state.kind', 'state size': 'state.bytes',
  tenant: 'trust.tenant', internet: 'trust.internetFacing', regulated: 'trust.regulated', code: 'trust.code', sensitivity: 'trust.sensitivity', privileged: 'privileges.privileged', root: 'privileges.root',
  'releases per month': 'lifecycle.releasesPerMonth', 'live migration': 'lifecycle.liveMigration', 'current form': 'change.currentForm', host: 'change.currentHost',
};

const META = ['name', 'owner', 'purpose', 'project'] as const;
type MetaColumn = (typeof META)[number];

interface Column {
  readonly at: number;
  readonly title: string;
  readonly meta: MetaColumn | undefined;
  readonly path: string;
  readonly fact: WorkloadColumn | undefined;
}

export function csvFields(): readonly string[] {
  return [...META, ...WORKLOAD_COLUMNS.keys()];
}

export function isEstateCsv(header: CsvRow): boolean {
  return header.cells.some((cell) => cell.trim().toLowerCase() === 'name') && header.cells.length > 1;
}

export function importCsv(file: string, table: CsvTable, problems: ImportProblem[]): readonly Workload[] {
  const columns = columnsOf(file, table.header!, problems);
  const nameAt = columns.find((one) => one.meta === 'name')?.at;
  const workloads: Workload[] = [];
  for (const row of table.rows) {
    const name = row.cells[nameAt ?? -1]?.trim() ?? '';
    if (name === '') {
      problems.push({ file, line: row.line, field: 'name', message: 'The row has no name.' });
      continue;
    }
    const draft = openDraft(name, { file, line: row.line });
    for (const column of columns) writeCell(draft, column, row, problems);
    const done = draft.finish();
    problems.push(...done.problems);
    if (done.workload !== undefined) workloads.push(done.workload);
  }
  return workloads;
}

function columnsOf(file: string, header: CsvRow, problems: ImportProblem[]): readonly Column[] {
  const seen = new Set<string>();
  return header.cells.flatMap((cell, at) => {
    const title = cell.trim();
    if (title === '') return [];
    const word = title.toLowerCase();
    const meta = META.find((one) => one === word);
    const path = meta ?? (Object.hasOwn(CSV_WORDS, word) ? CSV_WORDS[word]! : (csvFields().find((one) => one.toLowerCase() === word) ?? title));
    if (meta === undefined && !WORKLOAD_COLUMNS.has(path)) {
      const meant = nearest(title, [...csvFields(), ...Object.keys(CSV_WORDS)]);
      problems.push({ file, line: header.line, field: title, message: `There is no field called ${title.slice(0, 80)}; the column is not read.${meant === undefined ? '' : ` Did you mean ${meant}?`}` });
      return [];
    }
    if (seen.has(path)) {
      problems.push({ file, line: header.line, field: title, message: `The column ${title.slice(0, 80)} is there twice; the first is read.` });
      return [];
    }
    seen.add(path);
    return [{ at, title, meta, path, fact: WORKLOAD_COLUMNS.get(path) }];
  });
}

function writeCell(draft: WorkloadDraft, column: Column, row: CsvRow, problems: ImportProblem[]): void {
  const text = row.cells[column.at]?.trim() ?? '';
  if (column.meta !== undefined) {
    if (column.meta !== 'name') draft.meta(column.meta, text);
    return;
  }
  if (text === '' || text === '?') return draft.unknown(column.path, column.title);
  const value = factOfText(text, column.fact!);
  const wrong = value === undefined ? '' : column.fact!.problem(value);
  if (wrong === undefined) return draft.knew(column.path, value, column.title);
  problems.push({ file: draft.origin.file, line: row.line, field: column.title, message: `${JSON.stringify(text.slice(0, 80))} is not what ${column.path} holds${wrong === '' ? '' : `: ${wrong}`}.` });
  draft.unknown(column.path, column.title);
}
