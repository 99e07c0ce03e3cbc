/** From the plan of a VM of a disk image to what `berth-native vm` needs. */
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import type { ObjectId } from '../../../model/ids.ts';
import type { DiskRootPlan, UnitPlan } from '../driver.ts';
import { DESCRIPTOR } from './command-line.ts';
import { DISK_DESCRIPTOR, diskCommandLine } from './disk-command-line.ts';
import { seedFile, variablesFile, type FirmwareFiles } from './firmware.ts';
import { memoryMiB, RLIMIT, systemJail, tapOf, virtualCpus } from './machine.ts';
import type { UnitRecord } from './unit-record.ts';
import type { LaunchPlan } from './vm-plan.ts';

export interface DiskMachineParts {
  readonly qemu: string;
  readonly firmware: FirmwareFiles;
  readonly cgroupFiles: readonly string[];
}

export function diskLaunchPlan(plan: UnitPlan, disk: DiskRootPlan, record: UnitRecord, parts: DiskMachineParts): LaunchPlan {
  const variables = disk.firmware === 'uefi' ? variablesFile(disk) : undefined;
  return {
    uid: record.uid, gid: record.uid,
    cgroupFiles: parts.cgroupFiles,
    taps: plan.network.interfaces.map((one, index) => tapOf(one, index)),
    files: [
      { fd: DISK_DESCRIPTOR.disk, path: disk.file, writable: true },
      ...(variables === undefined ? [] : [{ fd: DISK_DESCRIPTOR.firmwareCode, path: parts.firmware.uefiCode, writable: false }, { fd: DISK_DESCRIPTOR.firmwareVariables, path: variables, writable: true }]),
      ...(disk.seed === undefined ? [] : [{ fd: DISK_DESCRIPTOR.seed, path: seedFile(disk), writable: false }]),
      ...disk.isoFiles.map((path, index) => ({ fd: DISK_DESCRIPTOR.firstIso + index, path, writable: false })),
    ],
    sockets: [{ fd: DESCRIPTOR.qmp, name: 'qmp.sock' }],
    ...systemJail([parts.qemu, parts.firmware.biosDir]),
    kvm: record.accelerator === 'kvm',
    stdoutFd: DISK_DESCRIPTOR.console, stderrFd: DESCRIPTOR.stderr, stateFd: DESCRIPTOR.state,
    ownInit: true,
    rlimits: [
      { resource: RLIMIT.core, value: 0 }, { resource: RLIMIT.openFiles, value: 1024 },
      { resource: RLIMIT.fileSize, value: Math.max(...[disk.file, ...(variables === undefined ? [] : [variables])].map((file) => fs.statSync(file).size)) },
    ],
    args: diskCommandLine({
      qemu: parts.qemu, name: plan.id, accelerator: record.accelerator, memoryMiB: memoryMiB(plan), virtualCpus: virtualCpus(plan), nonce: record.nonce,
      macs: plan.network.interfaces.map((one) => one.mac), uuid: hardwareId(plan.id), firmware: disk.firmware, preset: disk.preset, isoCount: disk.isoFiles.length, seed: disk.seed !== undefined,
    }),
  };
}

/** As a UUID of version 8 (RFC 9562): licences and first-boot tools hang on it. */
function hardwareId(id: ObjectId): string {
  const hash = createHash('sha256').update(id).digest('hex');
  return `${hash.slice(0, 8)}-${hash.slice(8, 12)}-8${hash.slice(13, 16)}-8${hash.slice(17, 20)}-${hash.slice(20, 32)}`;
}
