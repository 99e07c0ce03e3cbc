/** Tells the format of a file by what is in it, never by its name, and hands it to its importer. */
import { parseCsv, type CsvTable } from '../../lib/csv.ts';
import { parseXml, XmlError } from '../../lib/xml.ts';
import type { Workload } from '../../model/workload.ts';
import { importBerth } from './berth-workload.ts';
import { importCompose } from './compose.ts';
import { importDockerInspect, isDockerInspect } from './docker-inspect.ts';
import { importCsv, isEstateCsv } from './estate-csv.ts';
import { FORMATS, type EstateFile, type EstateFormat, type ImportProblem } from './import-result.ts';
import { importIncus, isIncusList } from './incus.ts';
import { importKubernetes, isKubernetes } from './kubernetes.ts';
import { scalingsOf, withScaling, type Scaling } from './kubernetes-scaling.ts';
import { importLibvirt, isLibvirt } from './libvirt.ts';
import { importProxmoxConfig, isProxmoxConfig } from './proxmox-config.ts';
import { importProxmoxJson, isProxmoxJson } from './proxmox-json.ts';
import { isRvtools, rvtoolsTable, type RvtoolsTable } from './rvtools.ts';
import { isMap, readJson, readYaml, type ReadDocuments, type SourceDocument } from './source-node.ts';

export interface EstatePart {
  readonly format: EstateFormat | undefined;
  readonly workloads: readonly Workload[];
  /** RVTools spreads a VM over several files: they are joined when all are read. */
  readonly rvtools: RvtoolsTable | undefined;
  readonly problems: readonly ImportProblem[];
}

const MAX_FILE_CHARACTERS = 64 * 1024 * 1024;

export function readEstateFile({ name, text }: EstateFile): EstatePart {
  const none = (message: string): EstatePart => ({ format: undefined, workloads: [], rvtools: undefined, problems: [{ file: name, message }] });
  if (text.length > MAX_FILE_CHARACTERS) return none(`The file has more than ${MAX_FILE_CHARACTERS / 1024 / 1024} million characters.`);
  if (text.includes('\0')) return none('This is no text: it holds NUL.');
  const start = text.replace(/^\ufeff/, '').trimStart();
  if (start === '') return none('The file is empty.');
  if (start.startsWith('<')) return readXml(name, text);
  if (start.startsWith('{') || start.startsWith('[')) return readDocuments(name, readJson(name, start === text ? text : text.replace(/^\ufeff/, '')));
  if (isProxmoxConfig(text)) return { format: 'proxmoxConfig', rvtools: undefined, ...importProxmoxConfig(name, text) };
  const table = looksLikeCsv(start) ? parseCsv(text) : undefined;
  if (table?.header !== undefined && (isRvtools(table.header) || isEstateCsv(table.header))) return readTable(name, table);
  return readDocuments(name, readYaml(name, text, { merge: true }));
}

/** A first line with separators that is no YAML of ours. */
function looksLikeCsv(start: string): boolean {
  const first = start.split(/\r?\n/, 1)[0]!;
  return /[,;\t]/.test(first) && !/^[\w.-]+:(\s|$)/.test(first) && !first.startsWith('#') && !first.startsWith('-');
}

function readTable(name: string, table: CsvTable): EstatePart {
  const problems: ImportProblem[] = table.problems.map(({ line, message }) => ({ file: name, line, message: `The row cannot be read: ${message}.` }));
  if (isRvtools(table.header!)) return { format: 'rvtools', workloads: [], rvtools: rvtoolsTable(name, table), problems };
  return { format: 'csv', workloads: importCsv(name, table, problems), rvtools: undefined, problems };
}

function readXml(name: string, text: string): EstatePart {
  const problems: ImportProblem[] = [];
  try {
    const elements = parseXml(text);
    if (elements.some(isLibvirt)) return { format: 'libvirt', workloads: importLibvirt(name, elements, problems), rvtools: undefined, problems };
    return { format: undefined, workloads: [], rvtools: undefined, problems: [{ file: name, line: elements[0]?.line, message: 'This XML holds no <domain>.' }] };
  } catch (error) {
    if (!(error instanceof XmlError)) throw error;
    return { format: undefined, workloads: [], rvtools: undefined, problems: [{ file: name, line: error.line, message: `This is not XML that can be read: ${error.message}.` }] };
  }
}

type DocumentImporter = (document: SourceDocument, problems: ImportProblem[]) => readonly Workload[];

const IMPORTERS: readonly (readonly [EstateFormat, (value: unknown) => boolean, DocumentImporter])[] = [
  ['berth', isBerth, importBerth],
  ['kubernetes', isKubernetes, importKubernetes],
  ['compose', (value) => isMap(value) && isMap(value['services']), importCompose],
  ['docker', isDockerInspect, importDockerInspect],
  ['incus', isIncusList, importIncus],
  ['proxmoxJson', isProxmoxJson, importProxmoxJson],
];

function isBerth(value: unknown): boolean {
  const first: unknown = Array.isArray(value) ? value[0] : value;
  return isMap(first) && (first['kind'] === 'Workload' || first['kind'] === 'WorkloadList' || (first['apiVersion'] === 'berth/v1'));
}

function readDocuments(name: string, { documents, problems }: ReadDocuments): EstatePart {
  const workloads: Workload[] = [];
  const scalings: Scaling[] = [];
  let format: EstateFormat | undefined;
  for (const document of documents) {
    const importer = IMPORTERS.find(([, matches]) => matches(document.root.value));
    if (importer === undefined) document.root.problem(`This is none of the formats that can be read: ${Object.values(FORMATS).join(', ')}.`);
    else {
      format ??= importer[0];
      workloads.push(...importer[2](document, problems));
      if (importer[0] === 'kubernetes') scalings.push(...scalingsOf(document));
    }
  }
  if (documents.length === 0 && problems.length === 0) problems.push({ file: name, message: 'There is nothing in the file.' });
  return { format, workloads: scalings.length === 0 ? workloads : workloads.map((one) => withScaling(one, scalings)), rvtools: undefined, problems };
}
