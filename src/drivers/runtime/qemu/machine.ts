/** From a unit's plan to what `berth-native vm` needs: the jail, the descriptors, the command line. */
import fs from 'node:fs';
import { BerthError } from '../../../model/errors.ts';
import { FORM_LABEL } from '../../../model/forms.ts';
import type { GroupLimits } from '../../../host/cgroup.ts';
import type { VirtiofsdProgram } from '../../../host/virtiofsd.ts';
import type { InterfacePlan, ResourcePlan, UnitPlan, VolumeDiskPlan } from '../driver.ts';
import { MAX_ISOS } from './disk-command-line.ts';
import { DESCRIPTOR, JAIL, OVERHEAD_MIB, qemuCommandLine, tcgBufferMiB } from './command-line.ts';
import { SHARE_OVERHEAD_MIB, virtiofsdCommandLine } from './virtiofsd.ts';
import type { UnitRecord } from './unit-record.ts';
import type { LaunchPlan, SharesPlan, TapPlan } from './vm-plan.ts';

const MIB = 1024 * 1024;
/** Less does not boot: the kernel alone takes 40 MiB. */
export const LEAST_MEMORY_MIB = 96;
const DEFAULT_MEMORY_MIB = 256;
const MAX_VIRTUAL_CPUS = 64;
const MAX_INTERFACES = 16;
const MAX_VOLUMES = 8;
/** Places for virtio devices on this machine type; five are ours. */
const MAX_DEVICES = 19;
/** virtio_blk.h: VIRTIO_BLK_ID_BYTES. */
const MAX_SERIAL_BYTES = 20;
/** Numbers of Linux. */
export const RLIMIT = { fileSize: 1, core: 4, openFiles: 7 } as const;

export interface MachineParts {
  readonly qemu: string;
  readonly vmlinux: string;
  readonly initramfs: string;
  readonly tscKhz: number;
  readonly cgroupFiles: readonly string[];
  /** Where the plan has directories. */
  readonly virtiofsd?: VirtiofsdProgram | undefined;
}

/** Errors: `invalid`, `unsupported`: what a machine cannot do, said before anything was made. */
export function checkPlan(plan: UnitPlan): void {
  if (plan.form !== 'microVM' && plan.form !== 'vm') throw new BerthError('unsupported', 'This runtime makes microVMs and VMs only.');
  const machine = `A ${FORM_LABEL[plan.form]}`;
  const volumes = (plan.volumeDisks ?? []).length + plan.mounts.length;
  if (plan.root.disk !== undefined && plan.mounts.length > 0) throw new BerthError('unsupported', `${machine} of a disk image shares no directory: nobody inside would mount it.`, { hint: 'Copy over its network, or give the disk an image of layers.' });
  if (volumes > MAX_VOLUMES || volumes + plan.network.interfaces.length > MAX_DEVICES) throw new BerthError('unsupported', `${machine} has at most ${MAX_VOLUMES} volumes.`, { fields: [{ path: 'spec.volumes', message: `more than ${MAX_VOLUMES}` }] });
  if (plan.root.disk !== undefined && plan.root.disk.isoFiles.length > MAX_ISOS) throw new BerthError('invalid', `${machine} takes at most ${MAX_ISOS} ISOs.`, { fields: [{ path: 'spec.iso', message: `more than ${MAX_ISOS}` }] });
  if (plan.root.disk === undefined && (plan.root.flat === true ? plan.root.upperDisk : plan.root.imageFile) === undefined) throw new BerthError('invalid', `${machine} needs its root as one file.`);
  if (memoryMiB(plan) < LEAST_MEMORY_MIB) {
    throw new BerthError('invalid', `${machine} needs at least ${LEAST_MEMORY_MIB} MiB of memory.`, { fields: [{ path: 'spec.memoryBytes', message: `less than ${LEAST_MEMORY_MIB} MiB` }] });
  }
  if (virtualCpus(plan) > MAX_VIRTUAL_CPUS) throw new BerthError('invalid', `${machine} has at most ${MAX_VIRTUAL_CPUS} CPUs.`);
  if (plan.network.interfaces.length > MAX_INTERFACES) throw new BerthError('invalid', `${machine} has at most ${MAX_INTERFACES} interfaces.`);
  for (const one of plan.network.interfaces) tapOf(one, 0);
}

export function memoryMiB(plan: UnitPlan): number {
  return plan.resources.memoryBytes === undefined ? DEFAULT_MEMORY_MIB : Math.floor(plan.resources.memoryBytes / MIB);
}

export function virtualCpus(plan: UnitPlan): number {
  return Math.max(1, Math.ceil(plan.resources.cpus ?? 1));
}

/** A machine that resumes from a template, or becomes one. */
export type WarmParts =
  | { readonly memory: 'clone'; readonly ramFile: string; readonly stateFile: string }
  | { readonly memory: 'template'; readonly ramFile: string; readonly saveSocket: string };

/** What is the same in all machines that can resume from one template. */
export function machineShape(plan: UnitPlan, accelerator: 'kvm' | 'tcg', qemu: string): readonly string[] {
  return qemuCommandLine({
    qemu, name: '', accelerator, memoryMiB: memoryMiB(plan), virtualCpus: virtualCpus(plan), tscKhz: 0, nonce: '',
    upperDisk: plan.root.upperDisk !== undefined, macs: plan.network.interfaces.map((_one, index) => templateMac(index)), memory: 'clone',
  });
}

/** What a guest's interfaces are known by until it has its own identity. */
export function templateMac(index: number): string {
  return `02:00:00:00:00:${index.toString(16).padStart(2, '0')}`;
}

/** The number alone makes it one of its own; the name is for people. */
export function volumeSerial(index: number, { name }: VolumeDiskPlan): string {
  return `v${index}-${name}`.slice(0, MAX_SERIAL_BYTES);
}

export function launchPlan(plan: UnitPlan, record: UnitRecord, parts: MachineParts, warm?: WarmParts): LaunchPlan {
  const upper = plan.root.upperDisk, volumes = plan.volumeDisks ?? [];
  const written = [...(upper === undefined ? [] : [upper]), ...volumes.filter(({ readOnly }) => !readOnly).map(({ file }) => file)];
  return {
    uid: record.uid, gid: record.uid,
    cgroupFiles: parts.cgroupFiles,
    taps: warm?.memory === 'template' ? [] : plan.network.interfaces.map((one, index) => tapOf(one, index)),
    files: [
      ...(plan.root.imageFile === undefined ? [] : [{ fd: DESCRIPTOR.root, path: plan.root.imageFile, writable: false }]),
      ...(upper === undefined ? [] : [{ fd: DESCRIPTOR.upper, path: upper, writable: true }]),
      ...(warm?.memory === 'clone' ? [{ fd: DESCRIPTOR.restore, path: warm.stateFile, writable: false }] : []),
      ...volumes.map(({ file, readOnly }, index) => ({ fd: DESCRIPTOR.firstVolume + index, path: file, writable: !readOnly })),
    ],
    ram: warm === undefined ? undefined : { path: warm.ramFile, writable: warm.memory === 'template' },
    shares: sharesPlan(plan, record, parts.virtiofsd),
    sockets: [{ fd: DESCRIPTOR.agent, name: 'agent.sock' }, { fd: DESCRIPTOR.qmp, name: 'qmp.sock' }],
    ...systemJail([parts.qemu], [
      { source: parts.vmlinux, target: JAIL.kernel }, { source: parts.initramfs, target: JAIL.initramfs },
      ...(warm?.memory === 'template' ? [{ source: warm.saveSocket, target: JAIL.save }] : []),
    ]),
    kvm: record.accelerator === 'kvm',
    stdoutFd: DESCRIPTOR.stdout, stderrFd: DESCRIPTOR.stderr, stateFd: DESCRIPTOR.state,
    rlimits: [
      { resource: RLIMIT.core, value: 0 }, { resource: RLIMIT.openFiles, value: 1024 },
      // Memory that is shared is a file to the kernel.
      { resource: RLIMIT.fileSize, value: Math.max(plan.mounts.length > 0 ? record.memoryBytes : 0, ...written.map((file) => fs.statSync(file).size)) },
    ],
    args: qemuCommandLine({
      qemu: parts.qemu, name: plan.id, accelerator: record.accelerator, memoryMiB: memoryMiB(plan), virtualCpus: virtualCpus(plan),
      tscKhz: parts.tscKhz, nonce: record.nonce, upperDisk: upper !== undefined, flat: plan.root.flat, memory: warm?.memory,
      macs: plan.network.interfaces.map((one, index) => (warm === undefined ? one.mac : templateMac(index))),
      volumes: volumes.map((one, index) => ({ serial: volumeSerial(index, one), readOnly: one.readOnly })), shares: plan.mounts.length,
    }),
  };
}

function sharesPlan(plan: UnitPlan, record: UnitRecord, program: VirtiofsdProgram | undefined): SharesPlan | undefined {
  if (plan.mounts.length === 0) return undefined;
  if (program === undefined || record.idBase === undefined) throw new BerthError('internal', 'A machine with directories has nobody to show them.');
  return {
    idBase: record.idBase, args: virtiofsdCommandLine(program.command), binds: [...systemJail([]).binds, ...program.binds],
    directories: plan.mounts.map(({ source, readOnly }, index) => ({ fd: DESCRIPTOR.firstShare + index, path: source, readOnly })),
  };
}

export function tapOf(one: InterfacePlan, index: number): TapPlan {
  if (one.tap === undefined) throw new BerthError('invalid', `The interface ${one.name} of a machine has no tap.`);
  return { fd: DESCRIPTOR.firstTap + index, name: one.tap.name, bridge: one.tap.bridge, mtu: one.mtu };
}

/** Programs and firmware, QEMU's libraries, what else is named; nothing more of the host. */
export function systemJail(own: readonly string[], more: LaunchPlan['binds'] = []): Pick<LaunchPlan, 'binds' | 'links'> {
  const system = [...own, '/usr/lib', '/usr/lib64', '/usr/share/qemu', '/etc/ld.so.cache'].filter((path) => fs.existsSync(path));
  return {
    binds: [...system.map((path) => ({ source: path, target: path })), ...more],
    links: [{ to: 'usr/lib', at: 'lib' }, ...(fs.existsSync('/usr/lib64') ? [{ to: 'usr/lib64', at: 'lib64' }] : [])],
  };
}

/** The guest's RAM, or what a balloon left of it, what QEMU takes beside it, and each virtiofsd; the number of threads is theirs, the guest counts its own processes. */
export function groupLimits({ memoryBytes, shares }: Pick<UnitRecord, 'memoryBytes' | 'shares'>, resources: ResourcePlan, nowBytes = memoryBytes): GroupLimits {
  return {
    memoryBytes: nowBytes + (OVERHEAD_MIB + tcgBufferMiB(memoryBytes / MIB) + shares * SHARE_OVERHEAD_MIB) * MIB,
    cpus: resources.cpus, cpuWeight: resources.cpuWeight, pids: 128,
  };
}

