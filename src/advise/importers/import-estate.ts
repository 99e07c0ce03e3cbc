/** Files of any of the formats, one estate. The same files in another order give the same estate. */
import { compareUtf8 } from '../../lib/utf8-order.ts';
import type { Workload } from '../../model/workload.ts';
import { FORMATS, type EstateFile, type EstateFormat, type ImportProblem, type ImportResult } from './import-result.ts';
import { mergeByName } from './merge-by-name.ts';
import { readEstateFile } from './read-estate-file.ts';
import { joinRvtools, type RvtoolsTable } from './rvtools.ts';

export interface ImportedFile {
  readonly name: string;
  readonly format: EstateFormat | undefined;
  readonly formatLabel: string;
}

export interface ImportedEstate extends ImportResult {
  readonly files: readonly ImportedFile[];
}

const MAX_WORKLOADS = 100_000;

export function importEstate(files: readonly EstateFile[]): ImportedEstate {
  const problems: ImportProblem[] = [];
  const found: { readonly workload: Workload; readonly file: string; readonly format: EstateFormat | undefined }[] = [];
  const tables: RvtoolsTable[] = [];
  const read: ImportedFile[] = [];
  for (const file of files) {
    const part = readEstateFile(file);
    read.push({ name: file.name, format: part.format, formatLabel: part.format === undefined ? 'unknown' : FORMATS[part.format] });
    problems.push(...part.problems);
    if (part.rvtools !== undefined) tables.push(part.rvtools);
    for (const workload of part.workloads) found.push({ workload, file: file.name, format: part.format });
  }
  const joined = joinRvtools(tables, problems);
  for (const one of joined) found.push({ ...one, format: 'rvtools' });
  const workloads = mergeByName(found, problems);
  if (workloads.length > MAX_WORKLOADS) problems.push({ file: files[0]?.name ?? '-', message: `Only the first ${MAX_WORKLOADS} workloads are weighed.` });
  return { workloads: workloads.slice(0, MAX_WORKLOADS), problems, files: read };
}

export function byName(a: Workload, b: Workload): number {
  return compareUtf8(a.meta.name, b.meta.name);
}
