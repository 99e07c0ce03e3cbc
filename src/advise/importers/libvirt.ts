/** `virsh dumpxml`, after libvirt.org/formatdomain.html: one domain, or several in a row. */
import type { XmlElement } from '../../lib/xml.ts';
import type { Workload } from '../../model/workload.ts';
import type { ImportProblem } from './import-result.ts';
import { osFacts, writeOs } from './operating-systems.ts';
import { openDraft, type WorkloadDraft } from './workload-draft.ts';

export function isLibvirt(element: XmlElement): boolean {
  return element.name === 'domain' || element.name === 'domains';
}

export function importLibvirt(file: string, elements: readonly XmlElement[], problems: ImportProblem[]): readonly Workload[] {
  const domains = elements.flatMap((one) => (one.name === 'domains' ? one.children : [one])).filter((one) => one.name === 'domain');
  return domains.flatMap((domain) => {
    const name = child(domain, 'name')?.text ?? '';
    if (name === '') {
      problems.push({ file, line: domain.line, field: 'domain.name', message: 'The domain has no name.' });
      return [];
    }
    const draft = openDraft(name, { file, line: domain.line });
    const report = (element: XmlElement, field: string, message: string): void => void problems.push({ file, line: element.line, field, message });
    writeDomain(draft, domain, report);
    const done = draft.finish();
    problems.push(...done.problems);
    return done.workload === undefined ? [] : [done.workload];
  });
}

type Report = (element: XmlElement, field: string, message: string) => void;

function child(element: XmlElement | undefined, ...path: readonly string[]): XmlElement | undefined {
  return path.reduce<XmlElement | undefined>((at, name) => at?.children.find((one) => one.name === name), element);
}

function writeDomain(draft: WorkloadDraft, domain: XmlElement, report: Report): void {
  const isContainer = domain.attributes['type'] === 'lxc' || child(domain, 'os', 'type')?.text === 'exe';
  draft.knew('change.currentForm', isContainer ? 'osContainer' : 'vm', 'domain type');
  draft.inferred('replicas', 1, 'It is one domain.', 'domain');
  draft.meta('purpose', child(domain, 'description')?.text || child(domain, 'title')?.text);
  writeSystem(draft, domain, isContainer);
  writeResources(draft, domain, report);
  writeKernel(draft, domain);
  writeDevices(draft, domain, isContainer);
  draft.unknown('lifecycle.liveMigration', 'domain: it can move; whether it must is not said');
  draft.unknown('state.kind', 'devices.disk: what is on its disks is not said');
}

/** libosinfo's id (`http://debian.org/debian/12`) is the only place where a domain names its system. */
function writeSystem(draft: WorkloadDraft, domain: XmlElement, isContainer: boolean): void {
  const id = child(domain, 'metadata')?.children.flatMap((one) => one.children).find((one) => one.name.endsWith(':os'))?.attributes['id'];
  if (id !== undefined && osFacts(id.replace(/^https?:\/\//, '')) !== undefined) writeOs(draft, id.replace(/^https?:\/\/[^/]*\//, '').replaceAll('/', ' ').replace(/^win /, 'Windows win'), 'metadata libosinfo');
  else if (isContainer) draft.inferred('os.family', 'linux', 'Containers of this kind run on Linux.', 'domain type');
  else if (child(domain, 'features', 'hyperv') !== undefined) draft.inferred('os.family', 'windows', 'It has the Hyper-V features that libvirt sets for Windows guests.', 'features.hyperv');
  else draft.unknown('os.family', 'metadata libosinfo');
}

/** Units of libvirt: KiB when missing; KB and MB are 1000s, k and KiB 1024s. */
const UNITS: Readonly<Record<string, number>> = {
  b: 1, bytes: 1, KB: 1000, k: 1024, KiB: 1024, MB: 1000 ** 2, M: 1024 ** 2, MiB: 1024 ** 2, GB: 1000 ** 3, G: 1024 ** 3, GiB: 1024 ** 3, TB: 1000 ** 4, T: 1024 ** 4, TiB: 1024 ** 4,
};

function writeResources(draft: WorkloadDraft, domain: XmlElement, report: Report): void {
  const memory = child(domain, 'memory');
  const factor = UNITS[memory?.attributes['unit'] ?? 'KiB'];
  if (memory === undefined) draft.unknown('resources.requests.memoryBytes', 'memory');
  else if (!/^\d{1,15}$/.test(memory.text) || factor === undefined) report(memory, 'domain.memory', `${JSON.stringify(memory.text.slice(0, 40))} ${memory.attributes['unit'] ?? 'KiB'} is no size.`);
  else draft.knew('resources.requests.memoryBytes', Number(memory.text) * factor, 'memory');
  const vcpu = child(domain, 'vcpu');
  if (vcpu === undefined) draft.unknown('resources.requests.cpus', 'vcpu');
  else if (!/^\d{1,5}$/.test(vcpu.text)) report(vcpu, 'domain.vcpu', `${JSON.stringify(vcpu.text.slice(0, 40))} is no number of CPUs.`);
  else draft.knew('resources.requests.cpus', Number(vcpu.attributes['current'] ?? vcpu.text), 'vcpu');
  draft.unknown('resources.requests.diskBytes', 'devices.disk: libvirt does not write sizes here');
}

function writeKernel(draft: WorkloadDraft, domain: XmlElement): void {
  const kernel = child(domain, 'os', 'kernel')?.text;
  if (kernel !== undefined && kernel !== '') {
    draft.inferred('os.ownKernel', true, `It boots a kernel that was given to it: ${kernel.slice(0, 120)}.`, 'os.kernel');
    const line = child(domain, 'os', 'cmdline')?.text ?? '';
    // console= and root= are how every guest with such a kernel starts; they ask for nothing.
    draft.knew('os.kernelParameters', line.split(/\s+/).filter((one) => one !== '' && !/^(console|root|ro|rw|quiet|splash)(=|$)/.test(one)).slice(0, 64), 'os.cmdline');
  } else if (child(domain, 'os', 'loader') !== undefined || child(domain, 'os', 'boot') !== undefined) {
    draft.inferred('source.kind', 'diskImage', 'It boots from its disk.', 'os.boot');
    draft.unknown('source.ownBootLoader', 'os.boot: every VM boots from its disk; whether it could run any other way is not said');
    draft.unknown('os.ownKernel', 'os: a VM today has its own kernel; whether it needs one is not said');
  }
}

function writeDevices(draft: WorkloadDraft, domain: XmlElement, isContainer: boolean): void {
  const devices = child(domain, 'devices');
  const raw: string[] = [];
  let gpu = false;
  for (const one of devices?.children ?? []) {
    if (one.name === 'hostdev') {
      const address = child(one, 'source', 'address')?.attributes;
      const text = address === undefined ? `${one.attributes['type'] ?? 'host device'}` : one.attributes['type'] === 'pci' ? `pci ${hex(address['domain'])}:${hex(address['bus'])}:${hex(address['slot'])}.${hex(address['function'])}` : `${one.attributes['type'] ?? 'device'} ${Object.values(address).join(':')}`;
      if (one.attributes['model'] === 'vfio-pci' && one.attributes['type'] === 'mdev') gpu = true;
      else raw.push(text);
    } else if (one.name === 'disk' && one.attributes['device'] === 'lun') raw.push(child(one, 'source')?.attributes['dev'] ?? 'lun');
  }
  draft.knew('os.devices', raw, 'devices.hostdev');
  if (gpu) draft.inferred('os.gpu', 'shared', 'It has a mediated device, which is how GPUs are shared among VMs.', 'devices.hostdev');
  else if (raw.length === 0) draft.inferred('os.gpu', 'none', 'Nothing of the host is passed through.', 'devices.hostdev');
  else draft.unknown('os.gpu', 'devices.hostdev: a device is passed through, and libvirt does not say what it is');
  const image = devices?.children.find((one) => one.name === 'disk' && (one.attributes['device'] ?? 'disk') === 'disk');
  const source = child(image, 'source')?.attributes;
  const path = source?.['file'] ?? source?.['dev'] ?? source?.['volume'];
  if (path !== undefined && !isContainer) draft.knew('source.diskImage', path, 'devices.disk');
  const nested = child(domain, 'cpu')?.children.some((one) => one.name === 'feature' && ['vmx', 'svm'].includes(one.attributes['name'] ?? '') && one.attributes['policy'] === 'require');
  if (nested === true) draft.inferred('os.nestedVirtualization', true, 'Its processor must have vmx or svm.', 'cpu.feature');
  else draft.unknown('os.nestedVirtualization', 'cpu');
}

function hex(text: string | undefined): string {
  return (text ?? '0').replace(/^0x/, '');
}
