/** Hardware virtualisation, tried by booting a small program: a device that opens says nothing. */
import { probeAccelerator, type AcceleratorProbe } from '../../host/accelerator.ts';
import { cachedGuestKernels } from '../../host/guest-kernel.ts';
import { ACCELERATOR_PROBE } from '../../host/native.ts';
import { probeVirtiofsd } from '../../host/virtiofsd.ts';
import { finding, type Check, type Finding, type HostView } from './finding.ts';

const QEMU = '/usr/bin/qemu-system-x86_64';
const ID = 'vm.accelerator';
const TITLE = 'Hardware virtualisation (KVM)';

export const accelerator: Check = async (host) => acceleratorFinding(host, () => probeAccelerator({ qemu: QEMU, probe: ACCELERATOR_PROBE }));

export async function acceleratorFinding(host: HostView, probe: () => Promise<AcceleratorProbe>): Promise<readonly Finding[]> {
  if (!host.exists(QEMU)) return [finding(ID, TITLE, 'info', 'not tried: QEMU is not installed', 'Virtual machines cannot run; containers can.', 'apt-get install --no-install-recommends qemu-system-x86')];
  if (!host.exists(ACCELERATOR_PROBE)) return [finding(ID, TITLE, 'info', 'not tried: the probe is not compiled yet', '`berth up` compiles it.', 'sudo berth up')];
  if (!host.isRoot) return [finding(ID, TITLE, 'info', 'not tried', 'Only root can try it.', 'sudo berth doctor')];
  const { accelerator: found, reason, stage } = await probe();
  if (found === 'kvm') return [finding(ID, TITLE, 'ok', reason, 'Virtual machines are a hardware boundary, and fast.')];
  return [finding(ID, TITLE, 'warn', stage === '' ? reason : `${reason} (stages passed: ${stage})`,
    'Virtual machines run emulated: slower, marked `emulated`, and no security boundary. What needs a hardware boundary is refused.',
    'Enable VT-x or AMD-V in the firmware; in a cloud or VM, choose a kind of machine with nested virtualisation.')];
}

const KERNELS = '/var/lib/berth/kernels';

/** The kernel that guests boot, fetched from the distribution. */
export const guestKernel: Check = async () => {
  const [kernel] = await cachedGuestKernels(KERNELS);
  return [kernel === undefined
    ? finding('vm.kernel', 'Kernel of virtual machines', 'info', 'not fetched yet', 'Virtual machines cannot run; containers can.', 'sudo berth up')
    : finding('vm.kernel', 'Kernel of virtual machines', 'ok', kernel.release, 'Virtual machines boot it, whatever the host runs.')];
};

/** What shows directories to machines: the one in Rust, which not every release has. */
export const sharing: Check = async (host) => {
  const found = await probeVirtiofsd(undefined, host), id = 'vm.virtiofsd', title = 'virtiofsd';
  return [found.ok
    ? finding(id, title, 'ok', found.version, 'Virtual machines can have volumes that are directories, shared with containers.')
    : finding(id, title, 'info', found.reason, 'Virtual machines have block volumes; those that are directories are refused.', found.hint)];
};
