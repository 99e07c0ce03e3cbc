/** Docker Compose files, after the Compose Specification (github.com/compose-spec/compose-spec, 05-services.md, deploy.md). */
import { parseBytes } from '../../lib/bytes.ts';
import type { Workload } from '../../model/workload.ts';
import { capabilityNames, isRootUser, writeCommand, writeContainerToday, writeEbpf, writeHostPaths, writeModules, writeSecrets, writeSsh, writeState, type HostPath } from './container-rules.ts';
import type { ImportProblem } from './import-result.ts';
import { isMap, type SourceDocument, type SourceNode } from './source-node.ts';
import { openDraft, type WorkloadDraft } from './workload-draft.ts';

export function importCompose(document: SourceDocument, problems: ImportProblem[]): readonly Workload[] {
  const { root } = document;
  const project = root.at('name').missing ? undefined : root.at('name').text();
  const workloads: Workload[] = [];
  for (const [name, service] of root.at('services').entries()) {
    if (!isMap(service.value)) {
      service.problem('A service is an object.');
      continue;
    }
    const draft = openDraft(name, { file: document.file, line: service.line() });
    draft.label('compose.project', project);
    writeService(draft, service);
    const done = draft.finish();
    problems.push(...done.problems);
    if (done.workload !== undefined) workloads.push(done.workload);
  }
  return workloads;
}

function writeService(draft: WorkloadDraft, service: SourceNode): void {
  writeContainerToday(draft, 'appContainer', 'services');
  if (!service.at('extends').missing) service.at('extends').problem('What `extends` brings in is not read: facts of this service may be missing.');
  writeSource(draft, service);
  writeCommand(draft, [...words(service.at('entrypoint')), ...words(service.at('command'))], 'command');
  writeReplicas(draft, service);
  writeResources(draft, service);
  const paths = writeVolumes(draft, service);
  writePrivileges(draft, service, paths);
  const env = environment(service.at('environment'));
  writeSecrets(draft, env, 'environment');
  if (!service.at('env_file').missing) draft.unknown('inside.envSecrets', 'env_file');
  const ports = publishedPorts(service.at('ports'));
  writeSsh(draft, ports, 'ports');
  if (ports.length === 0) draft.inferred('trust.internetFacing', false, 'It publishes no port.', 'ports');
  else draft.unknown('trust.internetFacing', 'ports: a published port does not say who reaches it');
  const labels = pairs(service.at('labels'));
  draft.meta('owner', labels.get('owner') ?? labels.get('maintainer'));
  draft.meta('purpose', labels.get('org.opencontainers.image.description') ?? labels.get('description'));
}

function writeSource(draft: WorkloadDraft, service: SourceNode): void {
  const image = interpolated(draft, service.at('image'), 'source.image');
  if (image !== undefined) draft.knew('source.image', image, 'image');
  if (image !== undefined || !service.at('build').missing) draft.knew('source.kind', 'image', image === undefined ? 'build' : 'image');
  if (service.at('build').missing) draft.unknown('trust.code', 'image');
  else {
    draft.inferred('trust.code', 'own', 'It is built from a directory beside the Compose file.', 'build');
    draft.knew('change.packagingExists', true, 'build');
    draft.inferred('lifecycle.patching', 'rebuild', 'It is built from a Dockerfile.', 'build');
  }
}

function writeReplicas(draft: WorkloadDraft, service: SourceNode): void {
  const replicas = service.at('deploy', 'replicas').missing ? service.at('scale') : service.at('deploy', 'replicas');
  if (service.at('deploy', 'mode').value === 'global') draft.unknown('replicas', 'deploy.mode: global, one on each host');
  else if (replicas.missing) draft.inferred('replicas', 1, 'Compose runs one unless told otherwise.', 'deploy.replicas');
  else draft.knew('replicas', numberOf(draft, replicas, 'replicas'), 'deploy.replicas');
}

function first(...nodes: readonly SourceNode[]): SourceNode {
  return nodes.find((one) => !one.missing) ?? nodes[0]!;
}

function writeResources(draft: WorkloadDraft, service: SourceNode): void {
  const limits = service.at('deploy', 'resources', 'limits');
  const reservations = service.at('deploy', 'resources', 'reservations');
  size(draft, 'resources.limits.memoryBytes', first(limits.at('memory'), service.at('mem_limit')));
  size(draft, 'resources.requests.memoryBytes', first(reservations.at('memory'), service.at('mem_reservation')));
  cores(draft, 'resources.limits.cpus', first(limits.at('cpus'), service.at('cpus')));
  cores(draft, 'resources.requests.cpus', reservations.at('cpus'));
  const devices = reservations.at('devices').list();
  const gpu = devices.some((one) => one.at('capabilities').list().some((capability) => capability.value === 'gpu')) || !service.at('gpus').missing;
  draft.inferred('os.gpu', gpu ? 'shared' : 'none', gpu ? 'It reserves a GPU; containers share its driver with the host.' : 'It reserves no GPU.', 'deploy.resources.reservations.devices');
}

function size(draft: WorkloadDraft, path: string, at: SourceNode): void {
  const text = interpolated(draft, at, path);
  if (text === undefined) return draft.unknown(path, at.path.slice(2).join('.'));
  try {
    draft.knew(path, parseBytes(text), at.path.slice(2).join('.'));
  } catch (error) {
    at.problem((error as Error).message);
    draft.unknown(path, at.path.slice(2).join('.'));
  }
}

function cores(draft: WorkloadDraft, path: string, at: SourceNode): void {
  const value = numberOf(draft, at, path);
  if (value === undefined || value === 0) draft.unknown(path, at.path.slice(2).join('.'));
  else draft.knew(path, value, at.path.slice(2).join('.'));
}

function numberOf(draft: WorkloadDraft, at: SourceNode, path: string): number | undefined {
  const text = interpolated(draft, at, path);
  if (text === undefined) return undefined;
  const value = Number(text);
  if (text.trim() !== '' && Number.isFinite(value) && value >= 0) return value;
  at.problem(`${JSON.stringify(text.slice(0, 80))} is no number.`);
  return undefined;
}

/** Answers the host's paths. A volume that is written to is state. */
function writeVolumes(draft: WorkloadDraft, service: SourceNode): readonly HostPath[] {
  const paths: HostPath[] = [];
  const kept: string[] = [];
  for (const one of service.at('volumes').list()) {
    const mount = mountOf(one);
    if (mount === undefined) continue;
    if (mount.kind === 'bind') paths.push({ path: mount.source, readOnly: mount.readOnly });
    if (!mount.readOnly && mount.kind !== 'tmpfs' && !/^\/(var\/run|run|dev|proc|sys)\b/.test(mount.source)) kept.push(mount.target);
  }
  writeState(draft, kept, 'volumes');
  writeHostPaths(draft, paths, 'volumes');
  if (kept.length > 0) draft.unknown('state.bytes', 'volumes: Compose does not say how large');
  return paths;
}

interface Mount {
  readonly kind: string;
  readonly source: string;
  readonly target: string;
  readonly readOnly: boolean;
}

function mountOf(one: SourceNode): Mount | undefined {
  if (isMap(one.value)) {
    const source = one.at('source').text() ?? '';
    return { kind: one.at('type').text() ?? 'volume', source, target: one.at('target').text() ?? '', readOnly: one.at('read_only').flag() ?? false };
  }
  const text = one.text();
  if (text === undefined || text.length > MAX_INTERPOLATED) return undefined;
  // [SOURCE:]TARGET[:MODE]; a variable may hold a colon with its default.
  const [before = '', second, mode] = text.replaceAll(/\$\{[^}]*\}/g, (variable) => variable.replaceAll(':', '\u0001')).split(':').map((part) => part.replaceAll('\u0001', ':'));
  if (second === undefined) return { kind: 'volume', source: '', target: before, readOnly: false };
  return { kind: /^[./~]|^\$\{?(PWD|HOME)/.test(before) ? 'bind' : 'volume', source: before, target: second, readOnly: mode?.split(',').includes('ro') ?? false };
}

function writePrivileges(draft: WorkloadDraft, service: SourceNode, paths: readonly HostPath[]): void {
  const privileged = flagOr(draft, service.at('privileged'), 'privileges.privileged');
  const capabilities = capabilityNames(service.at('cap_add').list().flatMap((one) => one.text() ?? []));
  if (service.at('cap_add').missing) draft.inferred('privileges.capabilities', [], 'Compose adds none unless written.', 'cap_add');
  else draft.knew('privileges.capabilities', capabilities, 'cap_add');
  const root = isRootUser(interpolated(draft, service.at('user'), 'privileges.root'));
  if (root === undefined) draft.unknown('privileges.root', 'user: the image decides');
  else draft.knew('privileges.root', root, 'user');
  flagOr(draft, service.at('read_only'), 'privileges.readOnlyRoot');
  const network = service.at('network_mode').text();
  draft[network === undefined ? 'inferred' : 'knew']('privileges.hostNetwork', network === 'host', network === undefined ? 'Compose gives a network of its own unless written.' : 'network_mode', 'network_mode');
  const hostProcesses = service.at('pid').text() === 'host';
  draft[service.at('pid').missing ? 'inferred' : 'knew']('privileges.hostProcesses', hostProcesses, service.at('pid').missing ? 'Compose gives processes of its own unless written.' : 'pid', 'pid');
  writeEbpf(draft, { paths, capabilities, hostProcesses, privileged: privileged === true }, 'cap_add');
  writeModules(draft, capabilities, paths, privileged === true, 'cap_add');
  const devices = service.at('devices').list().flatMap((one) => (isMap(one.value) ? one.at('source').text() : one.text())?.split(':')[0] ?? []);
  draft[service.at('devices').missing ? 'inferred' : 'knew']('os.devices', devices, service.at('devices').missing ? 'Compose gives none unless written.' : 'devices', 'devices');
  draft[service.at('sysctls').missing ? 'inferred' : 'knew']('os.sysctls', [...pairs(service.at('sysctls')).keys()], service.at('sysctls').missing ? 'Compose sets none unless written.' : 'sysctls', 'sysctls');
}

function flagOr(draft: WorkloadDraft, at: SourceNode, path: string): boolean | undefined {
  const from = String(at.path.at(-1));
  if (at.missing) {
    draft.inferred(path, false, 'Off in Compose unless written.', from);
    return false;
  }
  const value = at.flag();
  if (value === undefined) draft.unknown(path, from);
  else draft.knew(path, value, from);
  return value;
}

/** A list of words, or a line as a shell would split it at spaces. */
function words(at: SourceNode): readonly string[] {
  if (at.missing) return [];
  return Array.isArray(at.value) ? at.list().flatMap((one) => one.text() ?? []) : (at.text() ?? '').split(/\s+/).filter((one) => one !== '');
}

function environment(at: SourceNode): readonly (readonly [string, string | undefined])[] {
  return [...pairs(at)];
}

/** `NAME: value` or `- NAME=value`. */
function pairs(at: SourceNode): ReadonlyMap<string, string | undefined> {
  if (at.missing) return new Map();
  if (!Array.isArray(at.value)) return new Map(at.entries().map(([name, one]) => [name, one.text()]));
  return new Map(at.list().flatMap((one) => {
    const text = one.text();
    if (text === undefined) return [];
    const equals = text.indexOf('=');
    return [equals < 0 ? [text, undefined] as const : [text.slice(0, equals), text.slice(equals + 1)] as const];
  }));
}

/** `[::]:8000-9000:8000-9000/tcp` and its like are shorter. */
const MAX_PORT_TEXT = 64;

/** The container's side of `ports`. */
function publishedPorts(at: SourceNode): readonly number[] {
  return at.list().flatMap((one) => {
    const text = isMap(one.value) ? one.at('target').text() : one.text();
    const port = Number(/(\d{1,5})(?:-\d{1,5})?(?:\/\w{1,5})?$/.exec((text ?? '').slice(-MAX_PORT_TEXT))?.[1]);
    return Number.isInteger(port) && port > 0 && port < 65_536 ? [port] : [];
  });
}

const MAX_INTERPOLATED = 4096;
const VARIABLE = /\$\{([A-Za-z_]\w*)(?:(:?[-?+])([^}]*))?\}|\$([A-Za-z_]\w*)/g;

/** A variable's default stands for it; one without a default leaves the fact unknown. */
function interpolated(draft: WorkloadDraft, at: SourceNode, path: string): string | undefined {
  const text = at.text();
  if (text === undefined || !text.includes('$')) return text;
  if (text.length > MAX_INTERPOLATED) {
    at.problem('The text is too long to look for variables in it.');
    return undefined;
  }
  let open = false;
  const result = text.replaceAll('$$', '\u0001').replaceAll(VARIABLE, (_, _name: string, operator: string | undefined, fallback: string | undefined) => {
    if (operator?.endsWith('-') === true && fallback !== undefined) return fallback;
    open = true;
    return '';
  }).replaceAll('\u0001', '$');
  if (!open) return result;
  draft.unknown(path, `${at.path.slice(2).join('.')}: it comes from a variable of the environment`);
  return undefined;
}
