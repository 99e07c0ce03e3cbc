/** KubeVirt's VirtualMachine (kubevirt.io/api-reference, v1 VirtualMachineSpec). */
import { bytesOf } from './kubernetes-pod.ts';
import { osFacts, writeOs } from './operating-systems.ts';
import type { SourceNode } from './source-node.ts';
import type { WorkloadDraft } from './workload-draft.ts';

export function writeVirtualMachine(draft: WorkloadDraft, node: SourceNode, kind: string): void {
  const spec = kind === 'VirtualMachine' ? node.at('spec', 'template', 'spec') : node.at('spec');
  const domain = spec.at('domain');
  draft.knew('change.currentForm', 'vm', 'kind');
  const running = node.at('spec', 'running').flag() ?? (node.at('spec', 'runStrategy').missing ? true : node.at('spec', 'runStrategy').value !== 'Halted');
  if (running) draft.inferred('replicas', 1, 'A VirtualMachine is one.', 'kind');
  else draft.unknown('replicas', 'spec.runStrategy: it is halted');
  writeAmounts(draft, domain);
  writeSystem(draft, node, spec);
  writeDisks(draft, node, spec);
  const devices = domain.at('devices');
  draft.knew('os.devices', [...devices.at('hostDevices').list()].flatMap((one) => one.at('deviceName').text() ?? []), 'devices.hostDevices');
  draft.knew('os.gpu', devices.at('gpus').list().length > 0 ? 'passthrough' : 'none', 'devices.gpus');
  const kernel = domain.at('firmware', 'kernelBoot');
  if (kernel.missing) draft.unknown('os.ownKernel', 'firmware.kernelBoot: a VM today has its own kernel; whether it needs one is not said');
  else {
    draft.knew('os.ownKernel', true, 'firmware.kernelBoot');
    draft.knew('os.kernelParameters', (kernel.at('kernelArgs').text() ?? '').split(/\s+/).filter((one) => one !== ''), 'firmware.kernelBoot.kernelArgs');
  }
  const eviction = spec.at('evictionStrategy').text();
  if (eviction === 'LiveMigrate') draft.knew('lifecycle.liveMigration', true, 'evictionStrategy');
  else draft.unknown('lifecycle.liveMigration', 'evictionStrategy');
  const nested = domain.at('cpu', 'features').list().some((one) => ['vmx', 'svm'].includes(one.at('name').text() ?? '') && one.at('policy').value === 'require');
  if (nested) draft.inferred('os.nestedVirtualization', true, 'Its processor must have vmx or svm.', 'domain.cpu.features');
  else draft.unknown('os.nestedVirtualization', 'domain.cpu.features');
}

function writeAmounts(draft: WorkloadDraft, domain: SourceNode): void {
  const cpu = domain.at('cpu');
  const counts = ['cores', 'sockets', 'threads'].map((key) => cpu.at(key).number());
  if (counts.some((one) => one !== undefined)) draft.knew('resources.requests.cpus', counts.reduce<number>((total, one) => total * (one ?? 1), 1), 'domain.cpu');
  else draft.unknown('resources.requests.cpus', 'domain.cpu: an instance type may say it');
  const memory = domain.at('memory', 'guest').missing ? domain.at('resources', 'requests', 'memory') : domain.at('memory', 'guest');
  const bytes = bytesOf(memory);
  if (bytes === undefined) draft.unknown('resources.requests.memoryBytes', 'domain.memory.guest: an instance type may say it');
  else draft.knew('resources.requests.memoryBytes', bytes, memory.path.slice(-2).join('.'));
}

/** Nothing of the spec names the system; labels, a preference or the Hyper-V features give it away. */
function writeSystem(draft: WorkloadDraft, node: SourceNode, spec: SourceNode): void {
  const preference = node.at('spec', 'preference', 'name').text();
  const labels = [...node.at('metadata', 'labels').entries(), ...node.at('spec', 'template', 'metadata', 'labels').entries()];
  const label = labels.find(([key]) => key === 'kubevirt.io/os' || key.startsWith('os.template.kubevirt.io/'));
  const name = preference ?? (label === undefined ? undefined : label[0] === 'kubevirt.io/os' ? label[1].text() : label[0].slice('os.template.kubevirt.io/'.length));
  const readable = name?.replaceAll('.', ' ');
  if (readable !== undefined && osFacts(readable) !== undefined) writeOs(draft, readable, preference === undefined ? 'metadata.labels' : 'spec.preference.name');
  else if (!spec.at('domain', 'features', 'hyperv').missing) draft.inferred('os.family', 'windows', 'It has the Hyper-V features that are set for Windows guests.', 'domain.features.hyperv');
  else draft.unknown('os.family', 'spec.preference');
}

function writeDisks(draft: WorkloadDraft, node: SourceNode, spec: SourceNode): void {
  const volumes = spec.at('volumes').list();
  const image = volumes.map((one) => one.at('containerDisk', 'image').text()).find((one) => one !== undefined);
  draft.knew('source.kind', 'diskImage', 'spec.volumes');
  draft.knew('source.diskImage', image, 'volumes.containerDisk.image');
  draft.unknown('source.ownBootLoader', 'spec.volumes: every VM boots from its disk; whether it could run any other way is not said');
  const templates = node.at('spec', 'dataVolumeTemplates').list();
  const sizes = templates.map((one) => bytesOf(one.at('spec', one.at('spec', 'storage').missing ? 'pvc' : 'storage', 'resources', 'requests', 'storage')));
  if (templates.length > 0 && sizes.every((one) => one !== undefined)) draft.knew('resources.requests.diskBytes', sizes.reduce<number>((total, one) => total + one!, 0), 'spec.dataVolumeTemplates');
  else draft.unknown('resources.requests.diskBytes', 'spec.volumes: the claim says how large, elsewhere');
  const kept = volumes.some((one) => !one.at('dataVolume').missing || !one.at('persistentVolumeClaim').missing);
  if (kept) draft.inferred('state.kind', 'files', 'It has volumes that outlive it.', 'spec.volumes');
  else draft.inferred('state.kind', 'none', 'No volume outlives it.', 'spec.volumes');
}
