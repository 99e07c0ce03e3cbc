/** QEMU's command line for a machine, built as data. Pure: what is to be opened is opened before and named by number. */

/** What every machine has, whatever boots it. */
export interface MachineBasics {
  readonly qemu: string;
  /** Shown by `ps`. */
  readonly name: string;
  readonly accelerator: 'kvm' | 'tcg';
  readonly memoryMiB: number;
  readonly virtualCpus: number;
  /** Hexadecimal, 16 bytes, new for each boot; how QEMU is known among processes. */
  readonly nonce: string;
  readonly macs: readonly string[];
}

export interface MachinePlan extends MachineBasics {
  /** Rate of the host's time stamp counter; a guest under TCG cannot measure it. */
  readonly tscKhz: number;
  readonly upperDisk: boolean;
  /** The upper disk is the whole root. */
  readonly flat?: boolean | undefined;
  /** Where the guest's memory is: anonymous when missing; a file that becomes a template; a private view of such a file, to resume from. */
  readonly memory?: 'template' | 'clone' | undefined;
  /** Volumes, in the order of their descriptors. */
  readonly volumes?: readonly { readonly serial: string; readonly readOnly: boolean }[];
  /** How many directories it shares with the host. */
  readonly shares?: number | undefined;
}

/** Descriptors that QEMU inherits (0 is the workload's input, 1 nothing, 2 QEMU's complaints). */
export const DESCRIPTOR = { agent: 3, qmp: 4, root: 5, upper: 6, stdout: 7, stderr: 8, state: 9, restore: 10, firstTap: 20, firstVolume: 40, firstShare: 60 } as const;

/**
 * Where the jail shows what QEMU reads; `save` is a socket of the daemon. Nothing is at `ram`: its creation is answered
 * from outside (native/vm-ram.c).
 */
export const JAIL = { kernel: '/kernel/vmlinux', initramfs: '/kernel/initramfs', ram: '/ram', save: '/save' } as const;

/**
 * The name is QEMU's. Without one QEMU takes what the packager called `bios-microvm.bin`: SeaBIOS on Debian 13, which lays
 * ACPI's tables at the end of memory, where the initramfs is written over them: a guest without devices and without a timer.
 */
const FIRMWARE = 'qboot.rom';

/** What the guest mounts a shared directory by. */
export function shareTag(index: number): string {
  return `s${index}`;
}

/** What QEMU itself takes beside the guest's memory and TCG's code buffer; for the control group. */
export const OVERHEAD_MIB = 160;

/**
 * Of translated code. 32 is enough for one application's; a system that runs a compiler, or a program with a compiler of
 * its own in it (V8, the JVM), would translate all of it again and again. What is not used is not there either.
 */
export function tcgBufferMiB(memoryMiB: number): number {
  return Math.min(512, Math.max(32, Math.floor(memoryMiB / 8)));
}
/** Of a small machine that does not boot: what it translates once for good is less, and the buffer is much of what it takes. */
const SMALL_TCG_BUFFER_MIB = 16, SMALL_MEMORY_MIB = 128;

/**
 * Initialisers of the kernel that a guest has no use for and that take a tenth of its boot under emulation: files for
 * tracing, a self-test that `cryptomgr.notests` does not cover. A kernel without them takes no notice.
 */
const SKIPPED_INITCALLS = ['init_kprobe_trace', 'init_trace_printk_function_export', 'crypto_kdf108_init'];

export function kernelCommandLine(plan: MachinePlan): string {
  return [
    'reboot=t', 'panic=-1', 'loglevel=4', 'cryptomgr.notests', 'audit=0', `initcall_blacklist=${SKIPPED_INITCALLS.join()}`,
    // Its counter is the host's. On a busy host the watchdog would blame it, and leave a clock of 4 ms steps.
    ...(plan.accelerator === 'tcg' ? [`tsc_early_khz=${plan.tscKhz}`, 'tsc=reliable', ...(plan.virtualCpus === 1 ? ['noreplace-smp'] : [])] : []),
    `berth.nonce=${plan.nonce}`,
  ].join(' ');
}

export const SANDBOX = ['-sandbox', 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny'] as const;

export function commonArguments(plan: MachineBasics): readonly string[] {
  return [
    plan.qemu, '-name', `guest=${plan.name} berth.nonce=${plan.nonce}`, '-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot', '-msg', 'timestamp=on',
    // Power-off and reboot end QEMU alike; the watcher (native/vm.c) tells them apart by this.
    '-trace', 'qemu_system_shutdown_request',
  ];
}

export function qemuCommandLine(plan: MachinePlan): readonly string[] {
  const inherited = [...(plan.flat === true ? [] : [DESCRIPTOR.root]), ...(plan.upperDisk ? [DESCRIPTOR.upper] : []), DESCRIPTOR.stdout, DESCRIPTOR.stderr, DESCRIPTOR.state, ...(plan.volumes ?? []).map((_, index) => DESCRIPTOR.firstVolume + index)];
  const memory = memoryBackend(plan), shares = Array.from({ length: plan.shares ?? 0 }, (_, index) => index);
  return [
    ...commonArguments(plan),
    ...memory,
    '-machine', `microvm,acpi=on,rtc=on,pic=off,pit=off,dump-guest-core=off${memory.length === 0 ? '' : ',memory-backend=ram'}`,
    ...(plan.accelerator === 'kvm'
      ? ['-accel', 'kvm', '-cpu', 'host']
      // 6.12 kernels hang in cmpxchg16b as QEMU 7.2 emulates it.
      : ['-accel', `tcg,tb-size=${plan.memory === 'clone' && plan.memoryMiB <= SMALL_MEMORY_MIB ? SMALL_TCG_BUFFER_MIB : tcgBufferMiB(plan.memoryMiB)}`, '-cpu', 'qemu64,-cx16']),
    '-m', String(plan.memoryMiB), '-smp', String(plan.virtualCpus),
    '-bios', FIRMWARE, '-kernel', JAIL.kernel, '-initrd', JAIL.initramfs, '-append', kernelCommandLine(plan),
    ...inherited.flatMap((fd) => ['-add-fd', `fd=${fd},set=${fd}`]),
    '-chardev', `socket,id=qmp,fd=${DESCRIPTOR.qmp},server=on,wait=off`, '-mon', 'chardev=qmp,mode=control',
    // A queue pair per port is made whether used or not: as few as there are.
    '-device', 'virtio-serial-device,max_ports=6',
    ...port('agent', 1, `socket,id=agent,fd=${DESCRIPTOR.agent},server=on,wait=off`),
    ...port('state', 2, fileChardev('state', DESCRIPTOR.state)),
    ...port('stdin', 3, 'stdio,id=stdin,signal=off'),
    ...port('stdout', 4, fileChardev('stdout', DESCRIPTOR.stdout)),
    ...port('stderr', 5, fileChardev('stderr', DESCRIPTOR.stderr)),
    ...(plan.flat === true ? [] : disk('root', DESCRIPTOR.root, true)),
    ...(plan.upperDisk ? disk('upper', DESCRIPTOR.upper, false) : []),
    ...(plan.volumes ?? []).flatMap(({ serial, readOnly }, index) => disk(`volume${index}`, DESCRIPTOR.firstVolume + index, readOnly, serial)),
    ...shares.flatMap((index) => [
      '-chardev', `socket,id=share${index},fd=${DESCRIPTOR.firstShare + index}`,
      '-device', `vhost-user-fs-device,chardev=share${index},tag=${shareTag(index)}`,
    ]),
    ...plan.macs.flatMap((mac, index) => [
      // A template's interfaces lead nowhere.
      ...(plan.memory === 'template' ? [] : ['-netdev', `tap,id=net${index},fd=${DESCRIPTOR.firstTap + index}`]),
      '-device', `virtio-net-device,${plan.memory === 'template' ? '' : `netdev=net${index},`}mac=${mac}`,
    ]),
    '-device', 'virtio-rng-device',
    '-device', 'virtio-balloon-device,id=balloon,free-page-reporting=on',
    ...SANDBOX,
  ];
}

function memoryBackend({ memory, memoryMiB, shares = 0 }: MachinePlan): readonly string[] {
  // virtiofsd reads requests and writes answers in the guest's memory itself.
  if (shares > 0) return ['-object', `memory-backend-memfd,id=ram,size=${memoryMiB}M,share=on`];
  if (memory === undefined) return [];
  return [
    '-object', `memory-backend-file,id=ram,size=${memoryMiB}M,mem-path=${JAIL.ram},share=${memory === 'template' ? 'on' : 'off'}`,
    ...(memory === 'clone' ? ['-incoming', 'defer'] : []),
  ];
}

function port(name: string, number: number, chardev: string): readonly string[] {
  return ['-chardev', chardev, '-device', `virtserialport,chardev=${name},name=berth.${name},nr=${number}`];
}

function fileChardev(id: string, fd: number): string {
  return `file,id=${id},path=/dev/fdset/${fd},append=on`;
}

/** Formats are named, never probed: a guest could write another header onto its raw disk. */
export function blockNode(name: string, fd: number, readOnly: boolean): object {
  return {
    driver: 'raw', 'node-name': name, 'read-only': readOnly, ...(readOnly ? {} : { discard: 'unmap' }),
    // All machines share an image; of a machine's own disk QEMU's lock says that nobody else writes it.
    file: { driver: 'file', filename: `/dev/fdset/${fd}`, ...(readOnly ? { locking: 'off' } : {}) },
  };
}

function disk(name: string, fd: number, readOnly: boolean, serial: string = name): readonly string[] {
  // A pool that is full is the guest's to know; QEMU would stop the machine and tell nobody.
  return ['-blockdev', JSON.stringify(blockNode(name, fd, readOnly)), '-device', `virtio-blk-device,drive=${name},serial=${serial}${readOnly ? '' : ',werror=report'}`];
}
