/**
 * An instance of Berth as a workload: what its spec and image say, what was seen of it while it ran, and what its labels
 * add. A label `workload/FACT` says what no spec has a place for: `workload/trust.code=tenant`.
 */
import type { InstanceEvidence } from '../../model/evidence.ts';
import type { Form } from '../../model/forms.ts';
import type { ImageConfig } from '../../model/image.ts';
import type { InstanceSpec } from '../../model/instance.ts';
import type { Workload } from '../../model/workload.ts';
import { WORKLOAD_COLUMNS } from '../../model/workload-columns.ts';
import { factOfText } from '../fact-text.ts';
import { capabilityNames, isRootUser, writeCommand, writeEbpf, writeHostPaths, writeSecrets, writeSsh, writeState } from './container-rules.ts';
import type { ImportProblem } from './import-result.ts';
import { openDraft, type WorkloadDraft } from './workload-draft.ts';

export const FACT_LABEL = 'workload/';

export interface BerthInstance {
  readonly name: string;
  readonly owner?: string | undefined;
  readonly purpose?: string | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly spec: InstanceSpec;
  readonly image: ImageConfig;
  /** It is a disk image, which has a kernel of its own. */
  readonly isDisk?: boolean | undefined;
  /** What it runs as; undefined for one that is still to be made. */
  readonly form?: Form | undefined;
  readonly evidence?: InstanceEvidence | undefined;
}

export interface InstanceWorkload {
  readonly workload: Workload;
  readonly problems: readonly ImportProblem[];
}

export function instanceWorkload(instance: BerthInstance): InstanceWorkload {
  const { name, spec, image, form } = instance;
  const draft = openDraft(name, { file: `instance/${name}`, line: undefined });
  draft.meta('owner', instance.owner);
  draft.meta('purpose', instance.purpose);
  const problems = writeLabels(draft, instance.labels ?? {});
  draft.knew('source.kind', 'image', 'spec.image');
  draft.knew('source.image', spec.image, 'spec.image');
  if (instance.isDisk === true) draft.unknown('os.family', 'spec.image: nobody looks into a disk');
  else draft.knew('os.family', image.os === 'windows' ? 'windows' : 'linux', 'image.os');
  if (form !== undefined) draft.knew('change.currentForm', form, 'status.form');
  draft.inferred('change.packagingExists', true, 'There is an image of it.', 'spec.image');
  draft.inferred('replicas', 1, 'It is one instance.', 'kind');
  writeInside(draft, instance);
  writePrivileges(draft, instance);
  writeResources(draft, instance);
  writeEvidence(draft, instance.evidence);
  const done = draft.finish();
  return { workload: done.workload ?? { kind: 'Workload', meta: { name }, spec: {} }, problems: [...problems, ...done.problems] };
}

function writeLabels(draft: WorkloadDraft, labels: Readonly<Record<string, string>>): ImportProblem[] {
  const problems: ImportProblem[] = [];
  for (const [label, text] of Object.entries(labels)) {
    if (!label.startsWith(FACT_LABEL)) continue;
    const column = WORKLOAD_COLUMNS.get(label.slice(FACT_LABEL.length));
    const value = column === undefined ? undefined : factOfText(text.trim(), column);
    const wrong = column === undefined ? 'there is no such fact' : value === undefined ? `${JSON.stringify(text.slice(0, 80))} is not what it holds` : column.problem(value);
    if (wrong === undefined) draft.knew(column!.path, value, `label ${label}`);
    else problems.push({ file: draft.origin.file, field: `labels.${label}`, message: `The label says nothing: ${wrong}.` });
  }
  return problems;
}

/** A label's word stands above what would be concluded. */
function concluded(draft: WorkloadDraft, path: string, value: unknown, from: string): void {
  if (!draft.has(path)) draft.knew(path, value, from);
}

function writeInside(draft: WorkloadDraft, { spec, image, isDisk }: BerthInstance): void {
  if (isDisk === true) concluded(draft, 'os.ownKernel', true, 'spec.image');
  if (spec.mode === 'os' || isDisk === true) {
    draft.inferred('inside.needsInit', true, isDisk === true ? 'What a disk boots is a system.' : 'It was made with an init of its own (mode os).', 'spec.mode');
  } else writeCommand(draft, [...(spec.entrypoint ?? image.entrypoint), ...(spec.command ?? (spec.entrypoint === undefined ? image.command : []))], 'spec.command');
  if (spec.removeOnExit === true && (spec.restart === undefined || spec.restart.policy === 'no')) draft.inferred('inside.oneCommand', true, 'It is removed when its command ends.', 'spec.removeOnExit');
  else if (spec.restart !== undefined && spec.restart.policy !== 'no') draft.inferred('inside.oneCommand', false, 'It is started again when it ends.', 'spec.restart');
  const env = [...image.env.map((one) => one.split('=', 2) as [string, string?]), ...Object.entries(spec.env ?? {})].map(([name, value]) => [name, value] as const);
  writeSecrets(draft, env, 'spec.env');
  const kept = (spec.volumes ?? []).filter((mount) => !mount.readOnly).map((mount) => mount.target);
  writeState(draft, kept, 'spec.volumes');
  const published = spec.ports ?? [];
  const open = published.filter((port) => port.hostAddress !== undefined && !/^(127\.|::1$)/.test(port.hostAddress));
  if (open.length === 0) draft.inferred('trust.internetFacing', false, 'It publishes no port beyond this host.', 'spec.ports');
  else if (!draft.has('trust.internetFacing')) draft.unknown('trust.internetFacing', 'spec.ports: a published port does not say who reaches it');
  writeSsh(draft, published.map((port) => port.targetPort), 'spec.ports');
  if (!draft.has('trust.code')) draft.unknown('trust.code', 'spec.image');
}

function writePrivileges(draft: WorkloadDraft, { spec, image }: BerthInstance): void {
  const capabilities = capabilityNames(spec.capabilities?.add ?? []);
  const paths = (spec.volumes ?? []).flatMap((mount) => (mount.hostPath === undefined ? [] : [{ path: mount.hostPath, readOnly: mount.readOnly }]));
  concluded(draft, 'privileges.capabilities', capabilities, 'spec.capabilities');
  writeHostPaths(draft, paths, 'spec.volumes');
  concluded(draft, 'privileges.root', isRootUser(spec.user ?? image.user) ?? true, 'spec.user');
  concluded(draft, 'privileges.readOnlyRoot', spec.readOnlyRoot === true, 'spec.readOnlyRoot');
  for (const path of ['privileges.hostNetwork', 'privileges.hostProcesses', 'privileges.privileged']) concluded(draft, path, false, 'no instance has it');
  writeEbpf(draft, { paths, capabilities, hostProcesses: false, privileged: false }, 'spec.capabilities');
  // What an instance could not have, its spec does not ask for; labels can.
  for (const [path, value] of [['os.devices', []], ['os.gpu', 'none'], ['os.sysctls', []], ['os.modules', []], ['os.kernelParameters', []], ['os.ownKernel', false], ['os.nestedVirtualization', false]] as const) {
    draft.inferred(path, value, 'Its spec asks for none.', 'spec');
  }
}

function writeResources(draft: WorkloadDraft, { spec }: BerthInstance): void {
  for (const [path, value, from] of [['resources.limits.memoryBytes', spec.memoryBytes, 'spec.memoryBytes'], ['resources.limits.cpus', spec.cpus, 'spec.cpus'], ['resources.limits.diskBytes', spec.rootDiskBytes, 'spec.rootDiskBytes']] as const) {
    if (value !== undefined) concluded(draft, path, value, from);
    else if (!draft.has(path)) draft.unknown(path, from);
  }
}

const SEEN = 'Seen while it ran; more may be used at other times.';

function writeEvidence(draft: WorkloadDraft, evidence: InstanceEvidence | undefined): void {
  if (evidence === undefined) return;
  draft.knew('resources.mean.memoryBytes', evidence.memoryBytes, 'evidence');
  draft.knew('resources.mean.cpus', evidence.cpus, 'evidence');
  draft.knew('resources.peak.memoryBytes', evidence.memoryPeakBytes, 'evidence');
  draft.knew('resources.mean.diskBytes', evidence.diskBytes, 'evidence');
  draft.knew('evidence.processes', evidence.processes, 'evidence');
  draft.knew('evidence.listeningPorts', evidence.listeningPorts, 'evidence');
  draft.inferred('evidence.packages', evidence.packages, 'Counted in its image; what was installed since is not seen.', 'evidence');
  draft.inferred('evidence.capabilitiesUsed', evidence.capabilitiesUsed, SEEN, 'evidence');
  if (evidence.listeningPorts?.includes(22) === true && !draft.has('inside.sshLogins')) draft.inferred('inside.sshLogins', true, 'Something listens on port 22.', 'evidence');
}
