/** What a Proxmox guest's settings mean, from `qm config`, `pct config` or the same as JSON (qm.conf(5), pct.conf(5)). */
import type { ImportProblem } from './import-result.ts';
import { writeContainerToday, writeHostPaths } from './container-rules.ts';
import { writeOs } from './operating-systems.ts';
import type { WorkloadDraft } from './workload-draft.ts';

/** A setting with its line; undefined lines come from JSON. */
export interface Setting {
  readonly value: string;
  readonly line: number | undefined;
}

export type Settings = ReadonlyMap<string, Setting>;

/** qm.conf(5), ostype. */
const OS_TYPES: Readonly<Record<string, string>> = {
  wxp: 'Windows XP', w2k: 'Windows 2000', w2k3: 'Windows Server 2003', w2k8: 'Windows Server 2008', wvista: 'Windows Vista', win7: 'Windows 7', win8: 'Windows 8', win10: 'Windows 10', win11: 'Windows 11',
  l24: 'Linux', l26: 'Linux', solaris: 'Solaris',
};

const DISK = /^(scsi|virtio|sata|ide)\d+$/;
const MIB = 1024 * 1024;

export function isContainer(settings: Settings): boolean {
  return settings.has('rootfs') || settings.has('unprivileged') || settings.has('arch');
}

export function writeGuest(draft: WorkloadDraft, settings: Settings, problems: ImportProblem[]): void {
  const report = (key: string, message: string): void => void problems.push({ file: draft.origin.file, line: settings.get(key)?.line ?? draft.origin.line, field: key, message });
  draft.inferred('replicas', 1, 'It is one guest.', 'name');
  draft.meta('purpose', decoded(settings.get('description')?.value));
  for (const tag of settings.get('tags')?.value.split(/[;, ]+/) ?? []) draft.label(`proxmox.tag/${tag}`, 'true');
  number(draft, settings, 'memory', 'resources.requests.memoryBytes', report, (value) => value * MIB);
  if (isContainer(settings)) writeLxc(draft, settings, report);
  else writeQemu(draft, settings, report);
}

type Report = (key: string, message: string) => void;

function number(draft: WorkloadDraft, settings: Settings, key: string, path: string, report: Report, convert: (value: number) => number): void {
  // memory may be a property string: `current=4096`.
  const text = settings.get(key)?.value.replace(/^current=/, '');
  if (text === undefined) return draft.unknown(path, key);
  if (!/^\d+(\.\d+)?$/.test(text)) {
    report(key, `${JSON.stringify(text.slice(0, 40))} is no number.`);
    return draft.unknown(path, key);
  }
  draft.knew(path, convert(Number(text)), key);
}

function writeQemu(draft: WorkloadDraft, settings: Settings, report: Report): void {
  draft.knew('change.currentForm', 'vm', 'qm config');
  const type = settings.get('ostype')?.value;
  if (type === 'l24' || type === 'l26') draft.knew('os.family', 'linux', 'ostype');
  else if (type !== undefined && type !== 'other' && Object.hasOwn(OS_TYPES, type)) writeOs(draft, OS_TYPES[type]!, 'ostype');
  else draft.unknown('os.family', 'ostype');
  const sockets = Number(settings.get('sockets')?.value ?? 1);
  number(draft, settings, 'cores', 'resources.requests.cpus', report, (value) => value * (Number.isInteger(sockets) && sockets > 0 ? sockets : 1));
  const limit = Number(settings.get('cpulimit')?.value ?? 0);
  if (limit > 0) draft.knew('resources.limits.cpus', limit, 'cpulimit');
  const disks = [...settings].filter(([key, { value }]) => DISK.test(key) && !value.includes('media=cdrom'));
  writeDisk(draft, disks, report);
  const first = disks[0];
  if (first !== undefined) {
    draft.knew('source.diskImage', first[1].value.split(',')[0], first[0]);
    draft.inferred('source.kind', 'diskImage', 'It boots from its disk.', first[0]);
    draft.unknown('source.ownBootLoader', 'disk: every VM boots from its disk; whether it could run any other way is not said');
  }
  const passed = [...settings].filter(([key]) => /^(hostpci|usb|serial|parallel)\d+$/.test(key)).filter(([key, { value }]) => !(key.startsWith('usb') && value.startsWith('spice')) && !(key.startsWith('serial') && value === 'socket'));
  draft.knew('os.devices', passed.map(([key, { value }]) => `${key} ${value.split(',')[0]!}`), 'hostpci');
  if (passed.some(([key, { value }]) => key.startsWith('hostpci') && /x-vga=1/.test(value))) draft.inferred('os.gpu', 'passthrough', 'A PCI device is its primary display.', 'hostpci');
  else if (passed.every(([key]) => !key.startsWith('hostpci'))) draft.inferred('os.gpu', 'none', 'No PCI device is passed through.', 'hostpci');
  else draft.unknown('os.gpu', 'hostpci: a device is passed through, and its kind is not said');
  const arguments_ = settings.get('args')?.value;
  if (arguments_ !== undefined && /-(kernel|append)\b/.test(arguments_)) draft.inferred('os.ownKernel', true, 'A kernel is given to it on the command line.', 'args');
  else draft.unknown('os.ownKernel', 'qm config: a VM today has its own kernel; whether it needs one is not said');
  draft.unknown('state.kind', 'disks: what is on them is not said');
  draft.unknown('lifecycle.liveMigration', 'qm config: it can move; whether it must is not said');
}

function writeLxc(draft: WorkloadDraft, settings: Settings, report: Report): void {
  draft.knew('os.family', 'linux', 'ostype');
  writeContainerToday(draft, 'osContainer', 'pct config');
  const type = settings.get('ostype')?.value;
  if (type !== undefined && type !== 'unmanaged') writeOs(draft, type, 'ostype');
  draft.inferred('inside.needsInit', true, 'A system container is started by an init.', 'pct config');
  number(draft, settings, 'cores', 'resources.limits.cpus', report, (value) => value);
  const limit = Number(settings.get('cpulimit')?.value ?? 0);
  if (limit > 0) draft.knew('resources.limits.cpus', limit, 'cpulimit');
  const mounts = [...settings].filter(([key]) => /^mp\d+$/.test(key));
  const volumes = mounts.filter(([, { value }]) => !value.startsWith('/'));
  writeDisk(draft, [...[...settings].filter(([key]) => key === 'rootfs'), ...volumes], report);
  const paths = mounts.filter(([, { value }]) => value.startsWith('/')).map(([, { value }]) => ({ path: value.split(',')[0]!, readOnly: /,ro=1/.test(value) }));
  writeHostPaths(draft, paths, 'mp');
  if (mounts.length > 0) draft.inferred('state.kind', 'files', 'It has mount points that outlive it.', mounts[0]![0]);
  else draft.unknown('state.kind', 'rootfs: what is on it is not said');
  const unprivileged = settings.get('unprivileged')?.value;
  draft[unprivileged === undefined ? 'inferred' : 'knew']('privileges.privileged', unprivileged !== '1', unprivileged === undefined ? 'pct.conf(5): privileged unless written.' : 'unprivileged', 'unprivileged');
  draft.inferred('privileges.hostNetwork', false, 'Proxmox gives a network of its own.', 'net');
  draft.inferred('privileges.hostProcesses', false, 'Proxmox gives processes of its own.', 'pct config');
  const raw = [...settings].filter(([key]) => /^dev\d+$/.test(key)).map(([, { value }]) => value.split(',')[0]!);
  const low = [...settings].filter(([key]) => key.startsWith('lxc.')).map(([key, { value }]) => `${key} ${value}`);
  draft.knew('os.devices', [...raw, ...low.filter((one) => /^lxc\.cgroup2?\.devices\.allow/.test(one)).map((one) => one.replace(/^\S+\s+/, ''))], 'dev');
  draft.unknown('os.modules', 'pct.conf has no place for them');
}

/** Sizes of volumes: `local-lvm:vm-100-disk-0,iothread=1,size=32G`. */
function writeDisk(draft: WorkloadDraft, disks: readonly (readonly [string, Setting])[], report: Report): void {
  let sum = 0;
  for (const [key, { value }] of disks) {
    const size = /(?:^|,)size=([^,]*)/.exec(value)?.[1];
    if (size === undefined) return draft.unknown('resources.requests.diskBytes', `${key}: no size`);
    const parts = /^(\d+(?:\.\d+)?)([KMGT]?)$/.exec(size);
    if (parts === null) {
      report(key, `${JSON.stringify(size.slice(0, 40))} is no size.`);
      return draft.unknown('resources.requests.diskBytes', key);
    }
    sum += Number(parts[1]) * 1024 ** ' KMGT'.indexOf(parts[2] === '' ? ' ' : parts[2]!);
  }
  if (disks.length === 0) draft.unknown('resources.requests.diskBytes', 'disks');
  else draft.knew('resources.requests.diskBytes', Math.round(sum), disks.map(([key]) => key).join(', '));
}

/** Descriptions are kept with %-escapes. */
function decoded(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
