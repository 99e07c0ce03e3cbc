/** Kubernetes manifests: Deployment, StatefulSet, DaemonSet (kubernetes.io/docs/reference/kubernetes-api/workload-resources) and KubeVirt's VirtualMachine; ReplicaSet, Pod, Job and CronJob, too. Several documents, or a List. */
import type { Workload } from '../../model/workload.ts';
import type { ImportProblem } from './import-result.ts';
import { writePod } from './kubernetes-pod.ts';
import { writeVirtualMachine } from './kubevirt.ts';
import { isMap, type SourceDocument, type SourceNode } from './source-node.ts';
import { openDraft, type WorkloadDraft } from './workload-draft.ts';

export function isKubernetes(value: unknown): boolean {
  return isMap(value) && typeof value['apiVersion'] === 'string' && typeof value['kind'] === 'string' && !value['apiVersion'].startsWith('berth/');
}

const POD_TEMPLATE: Readonly<Record<string, readonly string[]>> = {
  Deployment: ['spec', 'template'], ReplicaSet: ['spec', 'template'], StatefulSet: ['spec', 'template'], DaemonSet: ['spec', 'template'], Job: ['spec', 'template'],
  CronJob: ['spec', 'jobTemplate', 'spec', 'template'], Pod: [],
};

export function importKubernetes(document: SourceDocument, problems: ImportProblem[]): readonly Workload[] {
  const { root } = document;
  const nodes = Array.isArray(root.at('items').value) ? root.at('items').list() : [root];
  return nodes.flatMap((node) => {
    const kind = node.at('kind').text() ?? '';
    if (!Object.hasOwn(POD_TEMPLATE, kind) && kind !== 'VirtualMachine' && kind !== 'VirtualMachineInstance') return [];
    const name = node.at('metadata', 'name').text() ?? node.at('metadata', 'generateName').text()?.replace(/-$/, '');
    if (name === undefined) {
      node.at('metadata', 'name').problem(`The ${kind} has no name.`);
      return [];
    }
    // A Pod that something made is a copy of what that something describes.
    if (node.at('metadata', 'ownerReferences').list().length > 0) return [];
    const finish = (draft: WorkloadDraft): readonly Workload[] => {
      const done = draft.finish();
      problems.push(...done.problems);
      return done.workload === undefined ? [] : [done.workload];
    };
    if (!kind.startsWith('VirtualMachine')) return podsOf(node, kind, name).flatMap(finish);
    const draft = openDraft(name, { file: document.file, line: node.line() });
    writeMeta(draft, node);
    writeVirtualMachine(draft, node, kind);
    return finish(draft);
  });
}

/** Containers of a pod have an image, limits and rights each: each is a workload, and all lie on one host. */
function podsOf(node: SourceNode, kind: string, name: string): readonly WorkloadDraft[] {
  const template = node.at(...POD_TEMPLATE[kind]!);
  const pod = template.at('spec');
  if (!isMap(pod.value)) pod.problem(`The ${kind} has no pod template.`);
  const containers = pod.at('containers').list();
  const names = containers.map((container, at) => (at === 0 ? name : `${name}/${container.at('name').text() ?? at}`));
  return (containers.length === 0 ? [pod.at('containers', 0)] : containers).map((container, at) => {
    const draft = openDraft(names[at] ?? name, { file: node.file, line: at === 0 ? node.line() : container.line() });
    writeMeta(draft, node);
    writeWorkload(draft, node, kind, container);
    if (at > 0) draft.knew('placement.onHostWith', [name], 'spec.containers: one pod');
    return draft;
  });
}

function writeMeta(draft: WorkloadDraft, node: SourceNode): void {
  const labels = new Map([...node.at('metadata', 'labels').entries(), ...node.at('metadata', 'annotations').entries()].map(([key, value]) => [key, value.value]));
  const text = (key: string): string | undefined => (typeof labels.get(key) === 'string' ? (labels.get(key) as string) : undefined);
  draft.meta('owner', text('owner') ?? text('team'));
  draft.meta('purpose', text('kubernetes.io/description') ?? text('description'));
  draft.label('kubernetes.namespace', node.at('metadata', 'namespace').text());
  draft.label('kubernetes.kind', node.at('kind').text());
  const environment = text('environment') ?? text('env') ?? node.at('metadata', 'namespace').text();
  const known = /^(dev|development|test|testing|qa|staging|prod|production|dr)$/i.exec(environment ?? '')?.[1]?.toLowerCase();
  if (known !== undefined) draft.inferred('environment', { development: 'dev', testing: 'test', qa: 'test', staging: 'test', production: 'prod' }[known] ?? known, 'Its label or namespace is the name of an environment.', 'metadata');
}

function writeWorkload(draft: WorkloadDraft, node: SourceNode, kind: string, container: SourceNode): void {
  const template = node.at(...POD_TEMPLATE[kind]!);
  const pod = template.at('spec');
  writeReplicas(draft, node, kind);
  const claims = node.at('spec', 'volumeClaimTemplates').list();
  writePod(draft, pod, container, claims);
  if (kind === 'StatefulSet') draft.inferred('state.ownPerReplica', claims.length > 0, claims.length > 0 ? 'A StatefulSet with claim templates gives each replica its own volume.' : 'Without claim templates no replica has a volume of its own.', 'spec.volumeClaimTemplates');
  if (kind === 'Job' || kind === 'CronJob') draft.inferred('inside.oneCommand', true, `A ${kind} runs one command and ends.`, 'kind');
  else draft.inferred('inside.oneCommand', false, `A ${kind} goes on running.`, 'kind');
  draft.inferred('lifecycle.patching', 'rebuild', 'What a pod changes in its root is gone with it.', 'kind');
  writeSpread(draft, template, pod);
}

function writeReplicas(draft: WorkloadDraft, node: SourceNode, kind: string): void {
  if (kind === 'DaemonSet') draft.unknown('replicas', 'kind: DaemonSet, one on each node');
  else if (kind === 'Pod') draft.inferred('replicas', 1, 'A Pod is one.', 'kind');
  else if (kind === 'Job' || kind === 'CronJob') {
    const job = kind === 'Job' ? node.at('spec') : node.at('spec', 'jobTemplate', 'spec');
    if (job.at('parallelism').missing) draft.inferred('replicas', 1, 'Kubernetes runs one at a time unless written.', 'parallelism');
    else draft.knew('replicas', job.at('parallelism').number(), 'parallelism');
  } else if (node.at('spec', 'replicas').missing) draft.inferred('replicas', 1, 'Kubernetes runs one unless written.', 'spec.replicas');
  else draft.knew('replicas', node.at('spec', 'replicas').number(), 'spec.replicas');
}

/** Anti-affinity with its own labels by host name: copies lie on different hosts. */
function writeSpread(draft: WorkloadDraft, template: SourceNode, pod: SourceNode): void {
  const own = new Map(template.at('metadata', 'labels').entries().map(([key, value]) => [key, String(value.value)]));
  const apart = pod.at('affinity', 'podAntiAffinity', 'requiredDuringSchedulingIgnoredDuringExecution').list().some((term) => {
    const wanted = term.at('labelSelector', 'matchLabels').entries();
    return term.at('topologyKey').value === 'kubernetes.io/hostname' && wanted.length > 0 && wanted.every(([key, value]) => own.get(key) === String(value.value));
  });
  if (apart) draft.knew('placement.notOnHostWith', [draft.name], 'affinity.podAntiAffinity');
}
