/**
 * What `berth apply -f` takes, from workloads and the forms that were decided for them. What nobody said stays away from
 * the manifest and becomes a comment: the writer never fills in a default of its own.
 */
import { stringify } from 'yaml';
import { terminalSafeLine } from '../lib/terminal-safe.ts';
import { FORMS, type Form } from '../model/forms.ts';
import { NAME_PATTERN } from '../model/ids.ts';
import { ADDABLE_CAPABILITIES } from '../model/instance-defaults.ts';
import type { InstanceSpec } from '../model/instance.ts';
import { API_VERSION, type MetaInput } from '../model/meta.ts';
import type { ResourceAmounts, Workload } from '../model/workload.ts';
import { ANSWER_LABEL, type Decision, type Estate, type EstateAdvice } from './decision.ts';

export interface InstanceManifest {
  readonly apiVersion: typeof API_VERSION;
  readonly kind: 'Instance';
  readonly meta: MetaInput;
  readonly spec: Partial<InstanceSpec>;
}

export interface WrittenWorkload {
  readonly workload: string;
  /** Ready to be applied; empty when something is missing that nobody can guess. */
  readonly manifests: readonly InstanceManifest[];
  /** One that lacks what `missing` says; written as a comment. */
  readonly draft: InstanceManifest | undefined;
  readonly notes: readonly string[];
}

/** More copies than this are for a controller, not for a file. */
const MOST_COPIES = 50;

export function writtenWorkloads(estate: Estate, advice: EstateAdvice): WrittenWorkload[] {
  const byName = new Map(estate.map((one) => [one.meta.name, one]));
  const taken = new Set<string>();
  return advice.decisions.flatMap((decision) => {
    const workload = byName.get(decision.workload);
    return workload === undefined ? [] : [written(workload, decision, taken)];
  });
}

/** The whole file. */
export function manifestsText(estate: Estate, advice: EstateAdvice): string {
  const all = writtenWorkloads(estate, advice);
  const ready = all.filter(({ manifests }) => manifests.length > 0).length;
  const head = comment([
    `Written by berth advise manifests: ${ready} of ${all.length} workloads are ready for berth apply -f, the others say what is missing.`,
    'What nobody said is not in here and keeps Berth’s default. What is applied starts: add running: false to what shall not.',
  ]);
  return `${[head, ...all.map(workloadText)].join('---\n')}`;
}

function workloadText({ workload, manifests, draft, notes }: WrittenWorkload): string {
  const lines = comment([workload, ...notes.map((note) => `  ${note}`)]);
  if (draft !== undefined) return `${lines}${comment(yaml(draft).trimEnd().split('\n'))}`;
  return `${lines}${manifests.map(yaml).join('---\n')}`;
}

function yaml(manifest: InstanceManifest): string {
  return stringify(manifest, { lineWidth: 0, aliasDuplicateObjects: false });
}

/** Each line of its own behind a #, whatever is in it. */
function comment(lines: readonly string[]): string {
  return lines.map((line) => `# ${terminalSafeLine(line)}`.trimEnd()).join('\n') + (lines.length === 0 ? '' : '\n');
}

function written(workload: Workload, decision: Decision, taken: Set<string>): WrittenWorkload {
  const { name } = workload.meta;
  const form = FORMS.find((one) => one === decision.form);
  if (form === undefined) {
    const why = decision.form === 'host' ? 'It belongs on the host itself: install it there.' : 'No form fits it as asked.';
    return { workload: name, manifests: [], draft: undefined, notes: [why, ...decision.reasons, ...decision.waysOut.map(({ sentence }) => sentence)] };
  }
  const notes = [`Form: ${ANSWER_LABEL[form]}.`];
  const copies = copiesOf(workload, notes);
  const base = instanceName(name, taken, copies === 1 ? 0 : String(copies).length + 1);
  if (base !== name) notes.push(`Its name here is ${base}: names are lower-case letters, digits and dashes.`);
  const manifest = { apiVersion: API_VERSION, kind: 'Instance', meta: metaOf(workload, base, notes), spec: specOf(workload, form, notes) } as const;
  openQuestions(workload, form, notes);
  if (manifest.spec.image === undefined) return { workload: name, manifests: [], draft: manifest, notes: ['Not ready: nobody said which image it is made from. Complete what follows and take the # away.', ...notes] };
  const names = copies === 1 ? [base] : Array.from({ length: copies }, (_, at) => unused(`${base}-${at + 1}`, taken));
  return { workload: name, manifests: names.map((one) => ({ ...manifest, meta: { ...manifest.meta, name: one } })), draft: undefined, notes };
}

function copiesOf({ spec }: Workload, notes: string[]): number {
  const replicas = spec.replicas;
  if (replicas === undefined) {
    notes.push('Nobody said how many copies run: one is written.');
    return 1;
  }
  if (spec.inside?.oneCommand === true) {
    notes.push(`A job of which up to ${replicas} run: one is written, as the pattern.`);
    return 1;
  }
  if (replicas > MOST_COPIES) notes.push(`${replicas} copies run: one is written, as the pattern.`);
  if (replicas === 0) notes.push('No copy of it runs now: one is written.');
  return replicas === 0 || replicas > MOST_COPIES ? 1 : replicas;
}

/** A name that instances may have, that no other workload got; deterministic, because workloads come sorted. */
function instanceName(name: string, taken: Set<string>, room: number): string {
  const plain = name.normalize('NFKD').toLowerCase().replace(/[^a-z0-9]+/g, '-').replace(/^-+|-+$/g, '').slice(0, 63 - room).replace(/-+$/, '');
  return unused(plain === '' || !NAME_PATTERN.test(plain) ? 'workload' : plain, taken);
}

function unused(name: string, taken: Set<string>): string {
  let free = name;
  for (let n = 2; taken.has(free); n++) free = `${name.slice(0, 62 - String(n).length).replace(/-+$/, '')}-${n}`;
  taken.add(free);
  return free;
}

function metaOf({ meta }: Workload, name: string, notes: string[]): MetaInput {
  const project = meta.project !== undefined && NAME_PATTERN.test(meta.project) ? meta.project : undefined;
  if (meta.project !== undefined && project === undefined) notes.push(`Its project '${meta.project}' is no name of a project here.`);
  return {
    name, ...(project === undefined ? {} : { project }), ...(meta.labels === undefined ? {} : { labels: meta.labels }),
    ...(meta.owner === undefined ? {} : { owner: meta.owner }), ...(meta.purpose === undefined ? {} : { purpose: meta.purpose }),
  };
}

function specOf(workload: Workload, form: Form, notes: string[]): Partial<InstanceSpec> {
  const { spec } = workload;
  const isVm = form === 'vm' || form === 'microVM';
  const image = spec.source?.image;
  const memory = amountOf(spec.resources, 'memoryBytes', isVm ? ['peak', 'limits', 'requests'] : ['limits', 'peak', 'requests'], 'memory', notes);
  const cpus = amountOf(spec.resources, 'cpus', isVm ? ['limits', 'peak', 'requests'] : ['limits'], 'CPU', notes);
  const asked = spec.privileges?.capabilities ?? [];
  const addable = asked.filter((one) => ADDABLE_CAPABILITIES.includes(one));
  if (asked.length > addable.length) notes.push(`It asks for capabilities that no form gives: ${asked.filter((one) => !addable.includes(one)).join(', ')}.`);
  const disk = spec.resources?.requests?.diskBytes ?? spec.resources?.limits?.diskBytes;
  return {
    isolation: isVm ? 'vm' : 'container', mode: form === 'osContainer' || form === 'vm' ? 'os' : 'app',
    ...(image === undefined ? {} : { image }),
    ...(spec.privileges?.readOnlyRoot === true ? { readOnlyRoot: true } : {}),
    ...(memory === undefined || memory < 4 * 1024 * 1024 ? {} : { memoryBytes: memory }),
    ...(cpus === undefined || cpus < 0.01 ? {} : { cpus: Math.min(1024, cpus) }),
    ...(isVm && disk !== undefined && disk >= 16 * 1024 * 1024 ? { rootDiskBytes: disk } : {}),
    ...(addable.length === 0 ? {} : { capabilities: { add: addable, drop: [] } }),
  };
}

type Kind = 'requests' | 'limits' | 'peak' | 'mean';

/** The first that is known, and a word about it when it is not a limit. */
function amountOf(resources: Workload['spec']['resources'], key: keyof ResourceAmounts, order: readonly Kind[], what: string, notes: string[]): number | undefined {
  const from = order.find((kind) => resources?.[kind]?.[key] !== undefined);
  if (from === undefined) notes.push(`Nobody said how much ${what} it may use: the default of the form holds.`);
  else if (from !== 'limits') notes.push(`${what === 'CPU' ? 'CPUs are' : 'Memory is'} its ${{ peak: 'measured peak', requests: 'request', mean: 'mean', limits: 'limit' }[from]}: nobody said a limit.`);
  return from === undefined ? undefined : resources![from]![key];
}

/** What a person must answer before it runs as meant. */
function openQuestions({ spec }: Workload, form: Form, notes: string[]): void {
  const { source, state, inside, privileges, evidence, disasterRecoveryOf, placement, os } = spec;
  if (state?.kind !== undefined && state.kind !== 'none') notes.push(`It keeps ${state.kind === 'database' ? 'a database' : 'files'}: add volumes: [{ volume: NAME, target: DIRECTORY }]${form === 'microVM' || form === 'vm' ? ', or keep them on its disk' : ''}; nobody said where they lie.`);
  if (state === undefined || state.kind === undefined) notes.push('Nobody said whether it keeps data.');
  if (evidence?.listeningPorts !== undefined && evidence.listeningPorts.length > 0) notes.push(`It listens on ${evidence.listeningPorts.join(', ')}: add ports for those that the outside needs.`);
  if (inside?.envSecrets !== undefined && inside.envSecrets.length > 0) notes.push(`Its environment needs ${inside.envSecrets.join(', ')}, which are secrets and not in here.`);
  if (privileges?.root === false) notes.push('It runs as a user that is not root: the image says which, or add user.');
  if (privileges?.hostPaths !== undefined && privileges.hostPaths.length > 0) notes.push(`It asks for ${privileges.hostPaths.map(({ path }) => path).join(', ')} of the host: only an administrator may add these.`);
  if (source?.image === undefined && source?.diskImage !== undefined) notes.push(`It is made from the disk image ${source.diskImage}: import it and name it as image.`);
  if (source?.image === undefined && os?.distribution !== undefined) notes.push(`It runs on ${os.distribution}${os.version === undefined ? '' : ` ${os.version}`}.`);
  if (disasterRecoveryOf !== undefined) notes.push(`It replaces ${disasterRecoveryOf} in a disaster: apply it on another host.`);
  if (placement?.notOnHostWith !== undefined && placement.notOnHostWith.length > 0) notes.push(`It may not lie on one host with ${placement.notOnHostWith.join(', ')}.`);
}
