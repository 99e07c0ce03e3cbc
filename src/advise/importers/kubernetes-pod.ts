/** What a pod's spec says of one of its containers. */
import { parseBytes } from '../../lib/bytes.ts';
import { capabilityNames, writeCommand, writeContainerToday, writeEbpf, writeHostPaths, writeModules, writeSecrets, writeSsh, writeState, type HostPath } from './container-rules.ts';
import type { SourceNode } from './source-node.ts';
import type { WorkloadDraft } from './workload-draft.ts';

export function writePod(draft: WorkloadDraft, pod: SourceNode, first: SourceNode, claims: readonly SourceNode[]): void {
  writeContainerToday(draft, 'appContainer', 'spec.containers');
  if (pod.at('os', 'name').value === 'windows' || pod.at('nodeSelector', 'kubernetes.io/os').value === 'windows') draft.knew('os.family', 'windows', 'os.name');
  draft.knew('source.kind', 'image', 'containers.image');
  const containers = [first];
  draft.knew('source.image', first.at('image').text(), 'containers.image');
  draft.inferred('inside.applications', 1, 'A container of a pod is one application, as long as its command supervises no others.', 'containers');
  writeCommand(draft, [...first.at('command').list(), ...first.at('args').list()].flatMap((one) => one.text() ?? []), 'containers.command');
  const env = containers.flatMap((one) => one.at('env').list()).map((one) => [one.at('name').text() ?? '', one.at('value').text()] as const);
  writeSecrets(draft, env, 'containers.env');
  const runtime = pod.at('runtimeClassName').text();
  if (runtime !== undefined && /kata|firecracker|qemu/i.test(runtime)) draft.knew('change.currentForm', 'microVM', 'runtimeClassName');
  writeAmounts(draft, containers, 'requests');
  writeAmounts(draft, containers, 'limits');
  const paths = writeVolumes(draft, pod, containers, claims);
  writePrivileges(draft, pod, containers, paths);
  const ports = containers.flatMap((one) => one.at('ports').list()).flatMap((one) => one.at('containerPort').number() ?? []);
  writeSsh(draft, ports, 'containers.ports');
  draft.unknown('trust.internetFacing', 'containers.ports: a port does not say who reaches it');
}

/** kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity: `500m`, `2`, `1.5`. */
function cores(at: SourceNode): number | undefined {
  const text = at.text();
  if (text === undefined) return undefined;
  const parts = /^(\d+(?:\.\d+)?)(m?)$/.exec(text);
  if (parts === null) {
    at.problem(`${JSON.stringify(text.slice(0, 40))} is no amount of CPU.`);
    return undefined;
  }
  return parts[2] === 'm' ? Number(parts[1]) / 1000 : Number(parts[1]);
}

export function bytesOf(at: SourceNode): number | undefined {
  const text = at.text();
  if (text === undefined) return undefined;
  try {
    return parseBytes(text, { kubernetes: true });
  } catch (error) {
    at.problem((error as Error).message);
    return undefined;
  }
}

/** Known when every part is. */
function sum(values: readonly (number | undefined)[]): number | undefined {
  return values.length === 0 || values.includes(undefined) ? undefined : values.reduce<number>((total, one) => total + one!, 0);
}

function writeAmounts(draft: WorkloadDraft, containers: readonly SourceNode[], kind: 'requests' | 'limits'): void {
  const put = (path: string, key: string, value: number | undefined): void => (value === undefined ? draft.unknown(path, `containers.resources.${kind}.${key}`) : draft.knew(path, value, `containers.resources.${kind}.${key}`));
  put(`resources.${kind}.cpus`, 'cpu', sum(containers.map((one) => cores(one.at('resources', kind, 'cpu')))));
  put(`resources.${kind}.memoryBytes`, 'memory', sum(containers.map((one) => bytesOf(one.at('resources', kind, 'memory')))));
  if (kind === 'requests') return;
  const gpu = containers.some((one) => one.at('resources', 'limits').entries().some(([key]) => key.endsWith('/gpu')));
  draft.inferred('os.gpu', gpu ? 'shared' : 'none', gpu ? 'It asks for a GPU; containers share its driver with the host.' : 'It asks for no GPU.', 'containers.resources.limits');
}

function writeVolumes(draft: WorkloadDraft, pod: SourceNode, containers: readonly SourceNode[], claims: readonly SourceNode[]): readonly HostPath[] {
  const mounts = containers.flatMap((one) => one.at('volumeMounts').list());
  const mounted = new Set(mounts.map((one) => one.at('name').text() ?? ''));
  const own = claims.filter((one) => mounted.has(one.at('metadata', 'name').text() ?? ''));
  const kept = new Set(own.map((one) => one.at('metadata', 'name').text() ?? ''));
  const hosts = new Map<string, string>();
  for (const volume of pod.at('volumes').list()) {
    const name = volume.at('name').text() ?? '';
    if (['persistentVolumeClaim', 'ephemeral', 'nfs', 'csi', 'iscsi', 'cephfs', 'rbd'].some((kind) => !volume.at(kind).missing) && volume.at('ephemeral').missing) kept.add(name);
    const path = volume.at('hostPath', 'path').text();
    if (path !== undefined && mounted.has(name)) hosts.set(name, path);
  }
  const targets = mounts.filter((one) => kept.has(one.at('name').text() ?? '') && one.at('readOnly').flag() !== true).map((one) => one.at('mountPath').text() ?? '');
  const paths = [...hosts].map(([name, path]) => ({ path, readOnly: mounts.filter((one) => one.at('name').value === name).every((one) => one.at('readOnly').flag() === true) }));
  writeHostPaths(draft, paths, 'volumes.hostPath');
  writeState(draft, targets, 'volumes');
  const sizes = own.map((one) => bytesOf(one.at('spec', 'resources', 'requests', 'storage')));
  if (own.length > 0 && sizes.every((one) => one !== undefined)) draft.knew('state.bytes', sizes.reduce<number>((total, one) => total + one!, 0), 'volumeClaimTemplates');
  else if (targets.length > 0) draft.unknown('state.bytes', 'volumes: the claim says how large, elsewhere');
  return paths;
}

function writePrivileges(draft: WorkloadDraft, pod: SourceNode, containers: readonly SourceNode[], paths: readonly HostPath[]): void {
  const contexts = containers.map((one) => one.at('securityContext'));
  const privileged = contexts.some((one) => one.at('privileged').flag() === true);
  draft[contexts.some((one) => !one.at('privileged').missing) ? 'knew' : 'inferred']('privileges.privileged', privileged, contexts.some((one) => !one.at('privileged').missing) ? 'securityContext.privileged' : 'Kubernetes gives no privileges unless written.', 'securityContext.privileged');
  const capabilities = capabilityNames(contexts.flatMap((one) => one.at('capabilities', 'add').list()).flatMap((one) => one.text() ?? []));
  draft.knew('privileges.capabilities', capabilities, 'securityContext.capabilities.add');
  const roots = contexts.map((one) => runsAsRoot(pod.at('securityContext'), one));
  if (roots.some((one) => one === true)) draft.knew('privileges.root', true, 'securityContext.runAsUser');
  else if (roots.length > 0 && roots.every((one) => one === false)) draft.knew('privileges.root', false, 'securityContext.runAsNonRoot');
  else draft.unknown('privileges.root', 'securityContext: the image decides');
  if (contexts.length > 0) draft.knew('privileges.readOnlyRoot', contexts.every((one) => one.at('readOnlyRootFilesystem').flag() === true), 'securityContext.readOnlyRootFilesystem');
  for (const [key, path] of [['hostNetwork', 'privileges.hostNetwork'], ['hostPID', 'privileges.hostProcesses']] as const) {
    const at = pod.at(key);
    if (at.missing) draft.inferred(path, false, 'Kubernetes gives its own unless written.', key);
    else draft.knew(path, at.flag(), key);
  }
  draft.knew('os.sysctls', pod.at('securityContext', 'sysctls').list().flatMap((one) => one.at('name').text() ?? []), 'securityContext.sysctls');
  writeEbpf(draft, { paths, capabilities, hostProcesses: pod.at('hostPID').flag() === true, privileged }, 'securityContext.capabilities');
  writeModules(draft, capabilities, paths, privileged, 'securityContext.capabilities');
  const devices = paths.filter(({ path }) => path.startsWith('/dev/')).map(({ path }) => path);
  draft.inferred('os.devices', devices, devices.length > 0 ? 'It mounts devices of the host.' : 'It mounts no device of the host.', 'volumes.hostPath');
}

function runsAsRoot(pod: SourceNode, container: SourceNode): boolean | undefined {
  const user = container.at('runAsUser').number() ?? pod.at('runAsUser').number();
  if (user !== undefined) return user === 0;
  return (container.at('runAsNonRoot').flag() ?? pod.at('runAsNonRoot').flag()) === true ? false : undefined;
}
