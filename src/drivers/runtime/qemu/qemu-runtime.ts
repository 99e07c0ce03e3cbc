/** Opens the runtime of virtual machines on this host: the kernel from the root's cache, the probed accelerator, leased user ids. */
import path from 'node:path';
import { probeAccelerator, type AcceleratorProbe } from '../../../host/accelerator.ts';
import { openControlGroups, type ControlGroups } from '../../../host/cgroup.ts';
import { prepareGuestInitramfs } from '../../../host/guest-initramfs.ts';
import { cachedGuestKernels } from '../../../host/guest-kernel.ts';
import { openKernel, type KernelFiles } from '../../../host/kernel-layout.ts';
import type { Leases } from '../../../host/leases.ts';
import { ACCELERATOR_PROBE, GUEST_AGENT } from '../../../host/native.ts';
import { probeVirtiofsd, type VirtiofsdProgram } from '../../../host/virtiofsd.ts';
import { BerthError } from '../../../model/errors.ts';
import { DEBIAN_FIRMWARE, type FirmwareFiles } from './firmware.ts';
import type { GuestKernelFiles, MicroVmDeadlines, MicroVmRuntimeOptions } from './microvm-options.ts';
import { MicroVmRuntime } from './microvm-runtime.ts';
import type { WarmStartMode } from './warm-starts.ts';

export interface QemuRuntimeOptions {
  /** State that outlives a reboot: kernels, logs. */
  readonly rootDir: string;
  /** State that does not. */
  readonly runDir: string;
  /** Names of the root on this host: control groups are `berth-TAG/ID`. */
  readonly rootTag: string;
  readonly nativeProgram: string;
  readonly conmon: string;
  /** One user id for each machine, and a range of them for those who show it directories. */
  readonly leases: Pick<Leases, 'takeVmUid' | 'keepVmUid' | 'giveVmUid' | 'takeIdRange' | 'keepIdRange' | 'giveIdRange'>;
  readonly qemu?: string | undefined;
  readonly agent?: string | undefined;
  readonly probe?: string | undefined;
  /** Where `prepareGuestKernel` put the kernels; ROOT/kernels when missing. */
  readonly kernelDir?: string | undefined;
  readonly deadlines?: Partial<MicroVmDeadlines> | undefined;
  /** The judge of what accelerates; the probe when missing. */
  readonly accelerator?: MicroVmRuntimeOptions['accelerator'] | undefined;
  /** The distribution's when missing. */
  readonly firmware?: FirmwareFiles | undefined;
  /** Debian's when missing. */
  readonly virtiofsd?: VirtiofsdProgram | undefined;
  readonly warmStart?: WarmStartMode | undefined;
  readonly templateDir?: string | undefined;
  readonly templateLimits?: MicroVmRuntimeOptions['templateLimits'];
  readonly templateDelayMs?: number | undefined;
  readonly timings?: MicroVmRuntimeOptions['timings'];
  readonly complain?: MicroVmRuntimeOptions['complain'];
  readonly guards?: MicroVmRuntimeOptions['guards'];
  /** Replaces single groups' limits in tests. */
  readonly groups?: ((plain: ControlGroups) => ControlGroups) | undefined;
}

const QEMU = '/usr/bin/qemu-system-x86_64';

export async function openQemuRuntime(options: QemuRuntimeOptions): Promise<MicroVmRuntime> {
  const { leases, rootDir } = options;
  const qemu = options.qemu ?? QEMU;
  const groups = openControlGroups(`berth-${options.rootTag}`);
  let probed: Promise<AcceleratorProbe> | undefined;
  return new MicroVmRuntime({
    rootDir, runDir: options.runDir, nativeProgram: options.nativeProgram, conmon: options.conmon, qemu,
    groups: options.groups?.(groups) ?? groups,
    uids: { take: () => leases.takeVmUid(), keep: (uid) => leases.keepVmUid(uid), give: (uid) => leases.giveVmUid(uid) },
    idRanges: { take: () => leases.takeIdRange(), keep: (base) => leases.keepIdRange(base), give: (base) => leases.giveIdRange(base) },
    sharing: () => probeVirtiofsd(options.virtiofsd),
    kernel: () => guestKernel(options.kernelDir ?? path.join(rootDir, 'kernels'), options.agent ?? GUEST_AGENT),
    ownKernel: async (dir) => bootFiles(await openKernel(dir), options.agent ?? GUEST_AGENT),
    accelerator: options.accelerator ?? (() => (probed ??= probeAccelerator({ qemu, probe: options.probe ?? ACCELERATOR_PROBE, cacheFile: path.join(options.runDir, 'accelerator.json') }))),
    firmware: options.firmware ?? DEBIAN_FIRMWARE, deadlines: options.deadlines, warmStart: options.warmStart ?? 'off', templateDir: options.templateDir, templateLimits: options.templateLimits, templateDelayMs: options.templateDelayMs, timings: options.timings, complain: options.complain, guards: options.guards,
  });
}

async function guestKernel(kernelDir: string, agent: string): Promise<GuestKernelFiles> {
  const [kernel] = await cachedGuestKernels(kernelDir);
  if (kernel === undefined) throw new BerthError('unavailable', 'No kernel for virtual machines was fetched yet.', { hint: '`berth up` fetches it from the distribution.' });
  return bootFiles(kernel, agent);
}

async function bootFiles(kernel: KernelFiles, agent: string): Promise<GuestKernelFiles> {
  const initramfs = await prepareGuestInitramfs(kernel, agent);
  return { release: kernel.release, vmlinux: kernel.vmlinux, initramfs: initramfs.file, digest: `${kernel.sha256.vmlinux} ${initramfs.sha256}` };
}
