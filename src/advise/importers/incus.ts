/** `incus list --format json` (also LXD's), after the REST API's InstanceFull and linuxcontainers.org/incus/docs: instance options, devices. */
import { parseBytes } from '../../lib/bytes.ts';
import type { Workload } from '../../model/workload.ts';
import { writeContainerToday, writeHostPaths } from './container-rules.ts';
import type { ImportProblem } from './import-result.ts';
import { writeOs } from './operating-systems.ts';
import { isMap, type SourceDocument, type SourceNode } from './source-node.ts';
import { openDraft, type WorkloadDraft } from './workload-draft.ts';

export function isIncusList(value: unknown): boolean {
  return Array.isArray(value) && isMap(value[0]) && isMap(value[0]['expanded_config']) && isMap(value[0]['expanded_devices']);
}

export function importIncus(document: SourceDocument, problems: ImportProblem[]): readonly Workload[] {
  return document.root.list().flatMap((node) => {
    const name = node.at('name').text();
    if (name === undefined || !isMap(node.at('expanded_config').value)) {
      node.problem('This is no instance as `incus list --format json` writes it: it has no name or no expanded_config.');
      return [];
    }
    const draft = openDraft(name, { file: document.file, line: node.line() });
    writeInstance(draft, node);
    const done = draft.finish();
    problems.push(...done.problems);
    return done.workload === undefined ? [] : [done.workload];
  });
}

function writeInstance(draft: WorkloadDraft, node: SourceNode): void {
  const config = node.at('expanded_config');
  const isVm = node.at('type').text() === 'virtual-machine';
  const isApplication = config.at('volatile.container.oci').value === 'true' || config.at('image.type').value === 'oci';
  const system = [config.at('image.os').text(), config.at('image.release').text()].filter((one) => one !== undefined).join(' ');
  writeOs(draft, system === '' ? config.at('image.description').text() : system, 'config image.os');
  if (isVm) writeVm(draft);
  else writeContainerToday(draft, isApplication ? 'appContainer' : 'osContainer', 'type');
  draft.inferred('replicas', 1, 'It is one instance.', 'name');
  if (!isApplication) draft.inferred('inside.needsInit', true, 'It is a system container or a VM: an init starts it.', 'type');
  draft.label('incus.project', node.at('project').text() === 'default' ? undefined : node.at('project').text());
  draft.label('incus.status', node.at('status').text());
  draft.meta('owner', config.at('user.owner').text());
  draft.meta('purpose', node.at('description').text());
  const location = node.at('location').text();
  if (location !== undefined && location !== 'none' && location !== '') draft.knew('change.currentHost', location, 'location');
  writeResources(draft, node, config, isVm);
  writeDevices(draft, node.at('expanded_devices'), isVm);
  if (!isVm) writePrivileges(draft, config);
  if (config.at('migration.stateful').flag() === true && isVm) draft.inferred('lifecycle.liveMigration', true, 'migration.stateful is on.', 'migration.stateful');
  else draft.unknown('lifecycle.liveMigration', 'migration.stateful');
}

function writeVm(draft: WorkloadDraft): void {
  draft.knew('change.currentForm', 'vm', 'type');
  draft.unknown('os.ownKernel', 'type: a VM today has its own kernel; whether it needs one is not said');
}

function writeResources(draft: WorkloadDraft, node: SourceNode, config: SourceNode, isVm: boolean): void {
  const kind = isVm ? 'requests' : 'limits';
  const memory = config.at('limits.memory');
  const bytes = sizeOf(memory);
  if (bytes === undefined) draft.unknown(`resources.${kind}.memoryBytes`, 'limits.memory');
  else draft.knew(`resources.${kind}.memoryBytes`, bytes, 'limits.memory');
  const cpus = cpusOf(config.at('limits.cpu').text(), config.at('limits.cpu.allowance').text());
  if (cpus === undefined) draft.unknown(`resources.${kind}.cpus`, 'limits.cpu');
  else draft.knew(`resources.${kind}.cpus`, cpus, 'limits.cpu');
  const used = node.at('state', 'memory', 'usage').number();
  const peak = node.at('state', 'memory', 'usage_peak').number();
  if (used !== undefined && used > 0) draft.knew('resources.mean.memoryBytes', used, 'state.memory.usage');
  if (peak !== undefined && peak > 0) draft.knew('resources.peak.memoryBytes', peak, 'state.memory.usage_peak');
  const processes = node.at('state', 'processes').number();
  if (processes !== undefined && processes > 0) draft.knew('evidence.processes', processes, 'state.processes');
  const disk = node.at('state', 'disk', 'root', 'usage').number();
  if (disk !== undefined && disk > 0) draft.knew('resources.mean.diskBytes', disk, 'state.disk.root.usage');
}

/** `4GiB`, `512MB` (1000s), `4294967296`; a share of the host's memory (`50%`) says nothing without the host. */
function sizeOf(at: SourceNode): number | undefined {
  const text = at.text();
  if (text === undefined || text.endsWith('%')) return undefined;
  const decimal = /^(\d+)\s*([kMGTPE])B$/.exec(text);
  try {
    return decimal === null ? parseBytes(text) : Number(decimal[1]) * 1000 ** (' kMGTPE'.indexOf(decimal[2]!));
  } catch (error) {
    at.problem((error as Error).message);
    return undefined;
  }
}

/** A number, or a set of cores (`0-3,7`); an allowance in percent of one core each, or as `25ms/100ms`. */
function cpusOf(cpu: string | undefined, allowance: string | undefined): number | undefined {
  const share = /^(\d+)%$/.exec(allowance ?? '');
  const time = /^(\d+)ms\/(\d+)ms$/.exec(allowance ?? '');
  if (time !== null && Number(time[2]) > 0) return Number(time[1]) / Number(time[2]);
  const cores = cpu === undefined ? undefined : /^\d+$/.test(cpu) ? Number(cpu) : countCores(cpu);
  if (share === null) return cores;
  return (cores ?? 1) * (Number(share[1]) / 100);
}

function countCores(text: string): number | undefined {
  let count = 0;
  for (const part of text.split(',')) {
    const range = /^(\d+)(?:-(\d+))?$/.exec(part.trim());
    if (range === null) return undefined;
    count += range[2] === undefined ? 1 : Number(range[2]) - Number(range[1]) + 1;
  }
  return count > 0 && count < 100_000 ? count : undefined;
}

function writeDevices(draft: WorkloadDraft, devices: SourceNode, isVm: boolean): void {
  const raw: string[] = [];
  const paths: { path: string; readOnly: boolean }[] = [];
  let gpu = false;
  let kept = false;
  for (const [name, device] of devices.entries()) {
    const type = device.at('type').text();
    if (type === 'gpu') gpu = true;
    else if (type !== undefined && ['unix-char', 'unix-block', 'unix-hotplug', 'usb', 'pci', 'tpm', 'infiniband'].includes(type) && !(type === 'tpm' && isVm)) raw.push(device.at('source').text() ?? device.at('address').text() ?? name);
    else if (type === 'disk' && device.at('path').text() === '/') {
      const bytes = sizeOf(device.at('size'));
      if (bytes === undefined) draft.unknown('resources.requests.diskBytes', `device ${name}, size`);
      else draft.knew('resources.requests.diskBytes', bytes, `device ${name}, size`);
    } else if (type === 'disk') {
      const source = device.at('source').text();
      if (device.at('pool').missing && source?.startsWith('/') === true) paths.push({ path: source, readOnly: device.at('readonly').flag() ?? false });
      kept = true;
    }
  }
  draft.knew('os.devices', raw, 'expanded_devices');
  draft.knew('os.gpu', gpu ? (isVm ? 'passthrough' : 'shared') : 'none', 'expanded_devices');
  writeHostPaths(draft, paths, 'expanded_devices');
  if (kept) draft.inferred('state.kind', 'files', 'It has further disks that outlive it.', 'expanded_devices');
  else draft.unknown('state.kind', 'expanded_devices: what is on its root disk is not said');
}

function writePrivileges(draft: WorkloadDraft, config: SourceNode): void {
  const privileged = config.at('security.privileged').flag() ?? false;
  draft.knew('privileges.privileged', privileged, 'security.privileged');
  const modules = config.at('linux.kernel_modules').text();
  const own = modules === undefined ? [] : modules.split(',').map((one) => one.trim()).filter((one) => one !== '');
  draft[modules === undefined ? 'inferred' : 'knew']('os.modules', own, modules === undefined ? 'Incus loads none for it unless written.' : 'linux.kernel_modules', 'linux.kernel_modules');
  const sysctls = config.entries().filter(([key]) => key.startsWith('linux.sysctl.')).map(([key]) => key.slice('linux.sysctl.'.length));
  draft.knew('os.sysctls', sysctls, 'linux.sysctl.*');
  draft.inferred('privileges.hostNetwork', false, 'Incus gives a network of its own.', 'expanded_devices');
  draft.inferred('privileges.hostProcesses', false, 'Incus gives processes of its own.', 'type');
  if (config.at('security.nesting').flag() === true) draft.inferred('os.nestedVirtualization', false, 'Nesting is of containers: a system container starts no VMs without /dev/kvm.', 'security.nesting');
}
