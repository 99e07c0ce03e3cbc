/** `docker inspect CONTAINER…`, after the Engine API (docs.docker.com/reference/api/engine, ContainerInspect); podman's is read as far as it is the same. */
import type { Workload } from '../../model/workload.ts';
import { capabilityNames, isRootUser, writeCommand, writeContainerToday, writeEbpf, writeHostPaths, writeModules, writeSecrets, writeSsh, writeState, type HostPath } from './container-rules.ts';
import type { ImportProblem } from './import-result.ts';
import { isMap, type SourceDocument, type SourceNode } from './source-node.ts';
import { openDraft, type WorkloadDraft } from './workload-draft.ts';

export function isDockerInspect(value: unknown): boolean {
  const first: unknown = Array.isArray(value) ? value[0] : value;
  return isMap(first) && isMap(first['HostConfig']) && isMap(first['Config']);
}

export function importDockerInspect(document: SourceDocument, problems: ImportProblem[]): readonly Workload[] {
  const nodes = Array.isArray(document.root.value) ? document.root.list() : [document.root];
  return nodes.flatMap((node) => {
    const name = node.at('Name').text()?.replace(/^\//, '');
    if (name === undefined || name === '' || !isMap(node.at('HostConfig').value)) {
      node.problem('This is no container as `docker inspect` writes it: it has no Name or no HostConfig.');
      return [];
    }
    const draft = openDraft(name, { file: document.file, line: node.line() });
    writeContainer(draft, node);
    const done = draft.finish();
    problems.push(...done.problems);
    return done.workload === undefined ? [] : [done.workload];
  });
}

function writeContainer(draft: WorkloadDraft, node: SourceNode): void {
  const config = node.at('Config');
  const host = node.at('HostConfig');
  writeContainerToday(draft, 'appContainer', 'HostConfig');
  if (node.at('Platform').value === 'windows') draft.knew('os.family', 'windows', 'Platform');
  draft.knew('source.kind', 'image', 'Config.Image');
  draft.knew('source.image', config.at('Image').text() ?? node.at('ImageName').text(), 'Config.Image');
  draft.inferred('replicas', 1, 'It is one container.', 'Name');
  draft.label('docker.state', node.at('State', 'Status').text());
  writeCommand(draft, [node.at('Path').text() ?? '', ...node.at('Args').list().flatMap((one) => one.text() ?? [])].filter((one) => one !== ''), 'Path');
  writeSecrets(draft, config.at('Env').list().flatMap((one) => pair(one.text())), 'Config.Env');
  const paths = writeMounts(draft, node.at('Mounts'));
  writePrivileges(draft, host, config, paths);
  writeResources(draft, host);
  writePorts(draft, host, config);
  const labels = new Map(config.at('Labels').entries().map(([key, value]) => [key, value.text()]));
  draft.meta('owner', labels.get('owner') ?? labels.get('maintainer'));
  draft.meta('purpose', labels.get('org.opencontainers.image.description'));
  draft.label('compose.project', labels.get('com.docker.compose.project'));
  const bytes = node.at('SizeRw').number();
  if (bytes !== undefined) draft.knew('resources.mean.diskBytes', bytes, 'SizeRw');
}

function pair(text: string | undefined): (readonly [string, string])[] {
  const equals = text?.indexOf('=') ?? -1;
  return text === undefined || equals < 0 ? [] : [[text.slice(0, equals), text.slice(equals + 1)]];
}

function writeMounts(draft: WorkloadDraft, mounts: SourceNode): readonly HostPath[] {
  const paths: HostPath[] = [];
  const kept: string[] = [];
  for (const mount of mounts.list()) {
    const readOnly = mount.at('RW').flag() === false;
    const source = mount.at('Source').text() ?? '';
    const type = mount.at('Type').text();
    if (type === 'bind') paths.push({ path: source, readOnly });
    if (!readOnly && (type === 'volume' || (type === 'bind' && !/^\/(var\/run|run|dev|proc|sys)\b/.test(source)))) kept.push(mount.at('Destination').text() ?? '');
  }
  writeHostPaths(draft, paths, 'Mounts');
  writeState(draft, kept, 'Mounts');
  if (kept.length > 0) draft.unknown('state.bytes', 'Mounts: docker does not say how large');
  return paths;
}

function writePrivileges(draft: WorkloadDraft, host: SourceNode, config: SourceNode, paths: readonly HostPath[]): void {
  const privileged = host.at('Privileged').flag() ?? false;
  draft.knew('privileges.privileged', privileged, 'HostConfig.Privileged');
  const capabilities = capabilityNames(host.at('CapAdd').list().flatMap((one) => one.text() ?? []));
  draft.knew('privileges.capabilities', capabilities, 'HostConfig.CapAdd');
  const user = config.at('User').text();
  // Here the image's user is in Config already: empty means that neither said one.
  draft.inferred('privileges.root', isRootUser(user) ?? true, 'Without a user in the image or on the command line, it is root.', 'Config.User');
  draft.knew('privileges.hostNetwork', host.at('NetworkMode').text() === 'host', 'HostConfig.NetworkMode');
  const hostProcesses = host.at('PidMode').text() === 'host';
  draft.knew('privileges.hostProcesses', hostProcesses, 'HostConfig.PidMode');
  draft.knew('privileges.readOnlyRoot', host.at('ReadonlyRootfs').flag(), 'HostConfig.ReadonlyRootfs');
  draft.knew('os.devices', host.at('Devices').list().flatMap((one) => one.at('PathOnHost').text() ?? []), 'HostConfig.Devices');
  const gpu = host.at('DeviceRequests').list().some((one) => one.at('Capabilities').list().some((set) => set.list().some((capability) => capability.value === 'gpu')));
  draft.knew('os.gpu', gpu ? 'shared' : 'none', 'HostConfig.DeviceRequests');
  draft.knew('os.sysctls', host.at('Sysctls').entries().map(([name]) => name), 'HostConfig.Sysctls');
  writeEbpf(draft, { paths, capabilities, hostProcesses, privileged }, 'HostConfig.CapAdd');
  writeModules(draft, capabilities, paths, privileged, 'HostConfig.CapAdd');
}

function positive(value: number | undefined, factor = 1): number | undefined {
  return value === undefined || value <= 0 ? undefined : value * factor;
}

/** 0 is “no limit” here, which says nothing about the need. */
function writeResources(draft: WorkloadDraft, host: SourceNode): void {
  const put = (path: string, value: number | undefined, from: string): void => (value === undefined ? draft.unknown(path, from) : draft.knew(path, value, from));
  const quota = positive(host.at('CpuQuota').number());
  const period = positive(host.at('CpuPeriod').number()) ?? 100_000;
  put('resources.limits.memoryBytes', positive(host.at('Memory').number()), 'HostConfig.Memory');
  put('resources.requests.memoryBytes', positive(host.at('MemoryReservation').number()), 'HostConfig.MemoryReservation');
  put('resources.limits.cpus', positive(host.at('NanoCpus').number(), 1e-9) ?? (quota === undefined ? undefined : quota / period), 'HostConfig.NanoCpus');
}

/** `8080/tcp` */
function portNumber(key: string): number {
  return Number(key.split('/')[0]);
}

function writePorts(draft: WorkloadDraft, host: SourceNode, config: SourceNode): void {
  const published = host.at('PortBindings').entries().filter(([, bindings]) => bindings.list().length > 0);
  const open = published.filter(([, bindings]) => bindings.list().some((one) => !/^(127\.|::1$)/.test(one.at('HostIp').text() ?? '')));
  if (host.at('NetworkMode').text() === 'none') draft.inferred('trust.internetFacing', false, 'It has no network.', 'HostConfig.NetworkMode');
  else if (open.length === 0 && host.at('NetworkMode').text() !== 'host') draft.inferred('trust.internetFacing', false, 'It publishes no port beyond this host.', 'HostConfig.PortBindings');
  else draft.unknown('trust.internetFacing', 'HostConfig.PortBindings: a published port does not say who reaches it');
  writeSsh(draft, [...published, ...config.at('ExposedPorts').entries()].map(([key]) => portNumber(key)).filter((port) => Number.isInteger(port) && port > 0), 'HostConfig.PortBindings');
}
