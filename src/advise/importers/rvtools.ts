/**
 * RVTools' CSV export (RVTools_tabvInfo.csv, …tabvCPU, …tabvMemory, …tabvDisk; columns as in the manual of 4.7,
 * downloads.dell.com/rvtools/rvtools.pdf). A VM is spread over the tabs and joined by its UUID, else by its name.
 */
import type { CsvRow, CsvTable } from '../../lib/csv.ts';
import type { Workload } from '../../model/workload.ts';
import type { ImportProblem } from './import-result.ts';
import { writeOs } from './operating-systems.ts';
import { openDraft, type WorkloadDraft } from './workload-draft.ts';

type Tab = 'vInfo' | 'vCPU' | 'vMemory' | 'vDisk';

export interface RvtoolsTable {
  readonly file: string;
  readonly tab: Tab | undefined;
  readonly header: CsvRow;
  readonly rows: readonly CsvRow[];
}

/** Columns that a tab alone has. Older versions wrote MB where newer ones write MiB. */
const TELLTALES: readonly (readonly [Tab, RegExp])[] = [
  ['vDisk', /^Disk$|^Capacity Mi?B$/], ['vCPU', /^Cores p\/s$/], ['vMemory', /^Size Mi?B$/], ['vInfo', /^CPUs$/],
];

export function isRvtools(header: CsvRow): boolean {
  return header.cells.includes('VM') && header.cells.includes('Powerstate');
}

export function rvtoolsTable(file: string, { header, rows }: CsvTable): RvtoolsTable {
  const tab = TELLTALES.find(([, pattern]) => header!.cells.some((cell) => pattern.test(cell.trim())))?.[0];
  return { file, tab, header: header!, rows };
}

interface Row {
  readonly file: string;
  readonly line: number;
  cell(...names: readonly string[]): string | undefined;
}

interface Machine {
  readonly name: string;
  readonly rows: Record<Tab, Row[]>;
}

export interface JoinedWorkload {
  readonly workload: Workload;
  readonly file: string;
}

export function joinRvtools(tables: readonly RvtoolsTable[], problems: ImportProblem[]): readonly JoinedWorkload[] {
  const machines = new Map<string, Machine>();
  for (const table of tables) {
    if (table.tab === undefined) problems.push({ file: table.file, line: table.header.line, message: 'This is a tab of RVTools that says nothing about the form; vInfo, vCPU, vMemory and vDisk are read.' });
    else collect(table, table.tab, machines, problems);
  }
  return [...machines.values()].flatMap((machine) => {
    const first = Object.values(machine.rows).flat()[0]!;
    const draft = openDraft(machine.name, { file: first.file, line: first.line });
    writeMachine(draft, machine, problems);
    const done = draft.finish();
    problems.push(...done.problems);
    return done.workload === undefined ? [] : [{ workload: done.workload, file: first.file }];
  });
}

function collect({ file, header, rows }: RvtoolsTable, tab: Tab, machines: Map<string, Machine>, problems: ImportProblem[]): void {
  const positions = new Map(header.cells.map((cell, at) => [cell.trim(), at]));
  for (const row of rows) {
    const cell = (...names: readonly string[]): string | undefined => {
      const at = names.map((name) => positions.get(name)).find((one) => one !== undefined);
      const text = at === undefined ? '' : (row.cells[at]?.trim() ?? '');
      return text === '' ? undefined : text;
    };
    const name = cell('VM');
    if (name === undefined) {
      problems.push({ file, line: row.line, field: 'VM', message: 'The row names no VM.' });
      continue;
    }
    if (row.cells.length !== header.cells.length) problems.push({ file, line: row.line, field: 'VM', message: `The row of ${name.slice(0, 80)} has ${row.cells.length} cells, and the header ${header.cells.length}; what is missing is unknown.` });
    // Templates and placeholders of site recovery never run.
    if (isTrue(cell('Template')) || isTrue(cell('SRM Placeholder'))) continue;
    const key = cell('VM UUID') ?? cell('VM ID') ?? name;
    const machine = machines.get(key) ?? { name, rows: { vInfo: [], vCPU: [], vMemory: [], vDisk: [] } };
    machines.set(key, machine);
    machine.rows[tab].push({ file, line: row.line, cell });
  }
}

function isTrue(text: string | undefined): boolean {
  return text?.toLowerCase() === 'true';
}

const MIB = 1024 * 1024;

function writeMachine(draft: WorkloadDraft, { rows }: Machine, problems: ImportProblem[]): void {
  const all = [...rows.vInfo, ...rows.vCPU, ...rows.vMemory, ...rows.vDisk];
  const first = (...names: readonly string[]): string | undefined => all.map((row) => row.cell(...names)).find((one) => one !== undefined);
  draft.knew('change.currentForm', 'vm', 'VM');
  const power = first('Powerstate');
  draft.label('rvtools.powerstate', power);
  if (power === 'poweredOn') draft.inferred('replicas', 1, 'It is one VM, and it is on.', 'Powerstate');
  else draft.unknown('replicas', 'Powerstate: it is not on');
  // What runs inside says more than what was once entered.
  writeOs(draft, first('OS according to the VMware Tools') ?? first('OS according to the configuration file'), first('OS according to the VMware Tools') === undefined ? 'OS according to the configuration file' : 'OS according to the VMware Tools');
  draft.meta('purpose', first('Annotation'));
  draft.meta('owner', first('Owner', 'owner', 'Besitzer'));
  draft.knew('change.currentHost', first('Host'), 'Host');
  for (const [label, column] of [['datacenter', 'Datacenter'], ['cluster', 'Cluster']] as const) draft.label(`rvtools.${label}`, first(column));
  writeAmounts(draft, rows, problems);
  writeDisks(draft, rows, problems);
  draft.inferred('source.kind', 'diskImage', 'A VM boots from its disk.', 'VM');
  draft.unknown('source.ownBootLoader', 'VM: every VM boots from its disk; whether it could run any other way is not said');
  draft.unknown('os.ownKernel', 'VM: a VM today has its own kernel; whether it needs one is not said');
  draft.unknown('state.kind', 'vDisk: what is on its disks is not said');
  if (first('FT State') !== undefined && !/^(notConfigured|disabled)$/i.test(first('FT State')!)) draft.inferred('lifecycle.liveMigration', true, 'Fault tolerance is set up for it, which must not stop.', 'FT State');
  else draft.unknown('lifecycle.liveMigration', 'FT State: it can move; whether it must is not said');
  const nested = all.map((row) => row.cell('Nested HV')).find((one) => one !== undefined);
  if (nested !== undefined) draft.knew('os.nestedVirtualization', isTrue(nested), 'Nested HV');
}

function writeAmounts(draft: WorkloadDraft, rows: Machine['rows'], problems: ImportProblem[]): void {
  const put = (path: string, from: readonly Row[], columns: readonly string[], factor: number, zeroIsUnknown = false): void => {
    for (const row of from) {
      const text = row.cell(...columns);
      if (text === undefined) continue;
      const value = numberOf(text);
      if (value === undefined || value < 0) problems.push({ file: row.file, line: row.line, field: columns[0]!, message: `${JSON.stringify(text.slice(0, 40))} is no number.` });
      else if (!(zeroIsUnknown && value === 0)) return draft.knew(path, factor === 1 ? value : Math.round(value * factor), columns[0]!);
      break;
    }
    if (!draft.has(path)) draft.unknown(path, columns[0]!);
  };
  put('resources.requests.cpus', rows.vInfo.length > 0 ? rows.vInfo : rows.vCPU, ['CPUs'], 1, true);
  put('resources.requests.memoryBytes', rows.vInfo.length > 0 ? rows.vInfo : rows.vMemory, rows.vInfo.length > 0 ? ['Memory'] : ['Size MiB', 'Size MB'], MIB, true);
  if (rows.vMemory.length > 0) put('resources.mean.memoryBytes', rows.vMemory, ['Active'], MIB, true);
  else if (rows.vInfo.length > 0) put('resources.mean.memoryBytes', rows.vInfo, ['Active Memory'], MIB, true);
  if (rows.vMemory.length > 0) put('resources.peak.memoryBytes', rows.vMemory, ['Consumed'], MIB, true);
  draft.unknown('resources.mean.cpus', 'vCPU Overall: MHz, and the speed of the host’s cores stands in another tab');
}

function writeDisks(draft: WorkloadDraft, rows: Machine['rows'], problems: ImportProblem[]): void {
  const raw: string[] = [];
  if (rows.vDisk.length > 0) {
    let sum = 0;
    for (const row of rows.vDisk) {
      const text = row.cell('Capacity MiB', 'Capacity MB');
      const value = text === undefined ? undefined : numberOf(text);
      if (value === undefined || value < 0) {
        problems.push({ file: row.file, line: row.line, field: 'Capacity MiB', message: text === undefined ? 'The disk has no capacity.' : `${JSON.stringify(text.slice(0, 40))} is no number.` });
        return draft.unknown('resources.requests.diskBytes', 'Capacity MiB');
      }
      sum += value;
      if (isTrue(row.cell('Raw'))) raw.push(row.cell('Raw LUN ID') ?? row.cell('Disk') ?? 'raw disk');
    }
    draft.knew('resources.requests.diskBytes', Math.round(sum * MIB), 'Capacity MiB');
    draft.knew('os.devices', raw, 'Raw');
    return;
  }
  const [row] = rows.vInfo;
  const text = row?.cell('Total disk capacity MiB', 'Provisioned MiB', 'Provisioned MB');
  const value = text === undefined ? undefined : numberOf(text);
  if (value !== undefined) draft.knew('resources.requests.diskBytes', Math.round(value * MIB), 'Total disk capacity MiB');
  else draft.unknown('resources.requests.diskBytes', 'Total disk capacity MiB');
  draft.unknown('os.devices', 'vDisk');
}

/** `122900.48`, `122,900`, `122.900,48`, `4'096`: the export follows the language of the Windows that ran it. */
export function numberOf(text: string): number | undefined {
  const plain = text.replaceAll(/[\s'\u00a0\u202f]/g, '');
  if (!/^-?\d+([.,]\d+)*$/.test(plain)) return undefined;
  const dot = plain.lastIndexOf('.');
  const comma = plain.lastIndexOf(',');
  if (dot >= 0 && comma >= 0) return Number(dot > comma ? plain.replaceAll(',', '') : plain.replaceAll('.', '').replace(',', '.'));
  const mark = dot >= 0 ? '.' : ',';
  const parts = plain.split(mark);
  // Groups of three: a mark of thousands, except a single dot, which this program writes for fractions.
  const grouped = parts.length > 1 && parts.slice(1).every((part) => part.length === 3) && parts[0]!.length <= 3 && !(mark === '.' && parts.length === 2);
  const number = Number(grouped ? parts.join('') : parts.join('.'));
  return Number.isFinite(number) ? number : undefined;
}
