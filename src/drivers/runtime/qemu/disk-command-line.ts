/** QEMU's command line for a machine whose firmware boots a disk. Pure, as command-line.ts; what is the same is there. */
import { blockNode, commonArguments, DESCRIPTOR, SANDBOX, tcgBufferMiB, type MachineBasics } from './command-line.ts';

export interface DiskMachinePlan extends MachineBasics {
  /** Of the hardware as the guest sees it: the same at every boot. */
  readonly uuid: string;
  readonly firmware: 'bios' | 'uefi';
  readonly preset: 'virtio' | 'ahci-e1000';
  readonly isoCount: number;
  readonly seed: boolean;
}

/** Beside those of every machine. The console is QEMU's 0 and 1: what comes in and what goes out. */
export const DISK_DESCRIPTOR = { disk: 5, firmwareCode: 10, firmwareVariables: 11, seed: 12, firstIso: 13, console: 1 } as const;
/** The chipset's controller has six places: the disk, the seed, and these. */
export const MAX_ISOS = 4;

/**
 * Every x86-64 system since 2009 runs on it. Without cmpxchg16b, in which Linux 6.12 hangs as QEMU 7.2 emulates it.
 */
const EMULATED_CPU = 'qemu64,-cx16,+ssse3,+sse4.1,+sse4.2,+popcnt';

export function diskCommandLine(plan: DiskMachinePlan): readonly string[] {
  const uefi = plan.firmware === 'uefi', virtio = plan.preset === 'virtio';
  const isos = Array.from({ length: plan.isoCount }, (_, index) => index);
  const inherited = [
    DISK_DESCRIPTOR.disk, ...(uefi ? [DISK_DESCRIPTOR.firmwareCode, DISK_DESCRIPTOR.firmwareVariables] : []), ...(plan.seed ? [DISK_DESCRIPTOR.seed] : []),
    ...isos.map((index) => DISK_DESCRIPTOR.firstIso + index),
  ];
  return [
    ...commonArguments(plan),
    // Frozen until it is started: what attaches before misses nothing.
    '-S',
    '-uuid', plan.uuid, '-rtc', 'base=utc',
    '-machine', ['q35', 'dump-guest-core=off', 'vmport=off', 'smm=off', ...(uefi ? ['pflash0=code', 'pflash1=vars'] : [])].join(),
    // Nobody presses a key to wake a system that puts itself to sleep for being idle.
    '-global', 'ICH9-LPC.disable_s3=1',
    ...(plan.accelerator === 'kvm' ? ['-accel', 'kvm', '-cpu', 'host'] : ['-accel', `tcg,tb-size=${tcgBufferMiB(plan.memoryMiB)}`, '-cpu', EMULATED_CPU]),
    '-m', String(plan.memoryMiB), '-smp', String(plan.virtualCpus),
    '-boot', 'menu=off,strict=on',
    ...inherited.flatMap((fd) => ['-add-fd', `fd=${fd},set=${fd}`]),
    ...(uefi ? [
      '-blockdev', JSON.stringify(blockNode('code', DISK_DESCRIPTOR.firmwareCode, true)),
      '-blockdev', JSON.stringify(blockNode('vars', DISK_DESCRIPTOR.firmwareVariables, false)),
    ] : []),
    '-chardev', `socket,id=qmp,fd=${DESCRIPTOR.qmp},server=on,wait=off`, '-mon', 'chardev=qmp,mode=control',
    '-chardev', 'stdio,id=console,signal=off', '-device', 'isa-serial,chardev=console',
    '-device', 'VGA',
    // A kernel that dies says so; the machine ends, and how it ended is known.
    '-device', 'pvpanic', '-action', 'panic=exit-failure',
    ...disk(virtio),
    ...(plan.seed ? seed(virtio) : []),
    ...isos.flatMap((index) => [
      '-blockdev', JSON.stringify(blockNode(`iso${index}`, DISK_DESCRIPTOR.firstIso + index, true)),
      '-device', `ide-cd,bus=ide.${2 + index},drive=iso${index},bootindex=${1 + index}`,
    ]),
    ...plan.macs.flatMap((mac, index) => [
      '-netdev', `tap,id=net${index},fd=${DESCRIPTOR.firstTap + index}`,
      // No boot program of its own: what is booted is on the disks.
      '-device', `${virtio ? 'virtio-net-pci' : 'e1000'},netdev=net${index},mac=${mac},romfile=`,
    ]),
    ...(virtio ? ['-device', 'virtio-rng-pci', '-device', 'virtio-balloon-pci,id=balloon,free-page-reporting=on'] : []),
    ...SANDBOX,
  ];
}

function disk(virtio: boolean): readonly string[] {
  return [
    '-blockdev', JSON.stringify(blockNode('disk', DISK_DESCRIPTOR.disk, false)),
    // A pool that is full is the guest's to know; QEMU would stop the machine and tell nobody.
    '-device', virtio ? 'virtio-blk-pci,drive=disk,serial=disk,werror=report,bootindex=0' : 'ide-hd,bus=ide.0,drive=disk,serial=disk,werror=report,bootindex=0',
  ];
}

function seed(virtio: boolean): readonly string[] {
  return ['-blockdev', JSON.stringify(blockNode('seed', DISK_DESCRIPTOR.seed, true)), '-device', virtio ? 'virtio-blk-pci,drive=seed,serial=seed' : 'ide-cd,bus=ide.1,drive=seed'];
}
