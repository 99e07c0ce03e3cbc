/** Kernel features, each tried rather than read from a configuration. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { probeIdmappedMount } from '../../host/idmap-probe.ts';
import { finding, type Check } from './finding.ts';

const OLDEST_KERNEL: readonly [number, number] = [6, 1];

export const kernelVersion: Check = (host) => {
  const release = host.readText('/proc/sys/kernel/osrelease')?.trim() ?? 'unknown';
  const [major = 0, minor = 0] = release.split('.').map((part) => Number.parseInt(part, 10));
  const old = major < OLDEST_KERNEL[0] || (major === OLDEST_KERNEL[0] && minor < OLDEST_KERNEL[1]);
  return [finding('kernel.version', 'Kernel', old ? 'warn' : 'ok', release,
    old ? 'Berth is tested on Linux 6.1 and newer; disks of containers need idmapped mounts of that age.' : 'New enough.',
    old ? 'Boot a kernel of at least 6.1.' : '')];
};

export const userNamespaces: Check = async (host) => {
  const title = 'User namespaces';
  const answer = await host.run('unshare', ['--user', 'true']);
  const most = host.readText('/proc/sys/user/max_user_namespaces')?.trim() ?? 'unknown';
  if (answer?.code === 0) return [finding('kernel.user-namespaces', title, 'ok', `work, at most ${most}`, 'Root inside a container is nobody on the host.')];
  return [finding('kernel.user-namespaces', title, 'fail', answer?.stderr.trim() ?? 'unshare is not installed', 'Berth never runs a container with the ids of the host, so none can start.',
    most === '0' ? 'sysctl user.max_user_namespaces=100000' : 'Look for kernel.unprivileged_userns_clone, a seccomp profile or an LSM that forbids unshare(2).')];
};

export const idmappedMounts: Check = async (host) => {
  const title = 'Idmapped mounts';
  if (!host.isRoot) return [finding('kernel.idmapped-mounts', title, 'info', 'not tried', 'Only root can try it.', 'sudo berth doctor')];
  const dir = host.exists('/var/lib/berth') ? '/var/lib/berth' : '/var/lib';
  const problem = await probeIdmappedMount(dir);
  return [problem === undefined
    ? finding('kernel.idmapped-mounts', title, 'ok', `work on ${dir}`, 'Image layers are shared by all instances, each with ids of its own.')
    : finding('kernel.idmapped-mounts', title, 'fail', problem, `Containers cannot use disks on the file system of ${dir}.`, 'Put the root directory (--root) on ext4, xfs or btrfs, with a kernel of at least 6.1.')];
};

export const overlay: Check = async (host) => {
  const title = 'Overlay file system';
  if (!host.isRoot) return [finding('kernel.overlay', title, 'info', 'not tried', 'Only root can try it.', 'sudo berth doctor')];
  const dir = fs.mkdtempSync(path.join(host.exists('/var/tmp') ? '/var/tmp' : os.tmpdir(), 'berth-doctor-'));
  try {
    for (const name of ['lower', 'upper', 'work', 'merged']) fs.mkdirSync(path.join(dir, name));
    const options = `userxattr,lowerdir=${dir}/lower,upperdir=${dir}/upper,workdir=${dir}/work`;
    const answer = await host.run('unshare', ['--mount', 'mount', '-t', 'overlay', 'overlay', '-o', options, `${dir}/merged`]);
    return [answer?.code === 0
      ? finding('kernel.overlay', title, 'ok', 'mounts, userxattr too', 'An instance starts from its image without a copy.')
      : finding('kernel.overlay', title, 'fail', answer?.stderr.trim() ?? 'unshare is not installed', 'No instance can start.', 'modprobe overlay')];
  } finally {
    fs.rmSync(dir, { recursive: true, force: true });
  }
};

export const seccomp: Check = (host) => {
  const actions = host.readText('/proc/sys/kernel/seccomp/actions_avail')?.trim();
  return [actions?.includes('errno') === true
    ? finding('kernel.seccomp', 'Seccomp filters', 'ok', actions, 'System calls that no application needs are refused.')
    : finding('kernel.seccomp', 'Seccomp filters', 'fail', actions ?? 'missing', 'Berth starts no container without its system call filter.', 'Boot a kernel with CONFIG_SECCOMP_FILTER.')];
};

export const pidDescriptors: Check = async (host) => {
  const [major = 0, minor = 0] = (host.readText('/proc/sys/kernel/osrelease') ?? '').split('.').map((part) => Number.parseInt(part, 10));
  const there = major > 5 || (major === 5 && minor >= 3);
  return [finding('kernel.pidfd', 'Process descriptors', there ? 'ok' : 'fail', there ? 'there' : 'missing', 'A signal reaches the process that was meant, also when its number was reused.', there ? '' : 'Boot a kernel of at least 5.3.')];
};

export const cgroups: Check = (host) => {
  const mode = cgroupMode(host.readText('/proc/self/mountinfo') ?? '');
  const controllers = mode === 'v2' ? (host.readText('/sys/fs/cgroup/cgroup.controllers') ?? '').trim().split(/\s+/) : v1Controllers(host.readText('/proc/self/mountinfo') ?? '');
  const missing = ['cpu', 'memory', 'pids'].filter((name) => !controllers.includes(name));
  const found = `${mode}: ${controllers.filter((name) => name !== '').join(' ') || 'no controllers'}`;
  if (missing.length > 0) return [finding('kernel.cgroups', 'Control groups', 'fail', found, `Limits of ${missing.join(', ')} cannot be enforced.`, `Enable the controllers ${missing.join(', ')} (kernel command line: cgroup_enable=…, or systemd's delegation).`)];
  return [mode === 'v2'
    ? finding('kernel.cgroups', 'Control groups', 'ok', found, 'Limits, accounting and out-of-memory events work.')
    : finding('kernel.cgroups', 'Control groups', 'ok', found, 'Limits work through the older hierarchy; pressure figures are missing.')];
};

/** From /proc/self/mountinfo: which cgroup hierarchies this host mounts. */
export function cgroupMode(mountinfo: string): 'v1' | 'hybrid' | 'v2' | 'none' {
  const types = new Set(cgroupMounts(mountinfo).map((one) => one.type));
  if (types.has('cgroup')) return types.has('cgroup2') ? 'hybrid' : 'v1';
  return types.has('cgroup2') ? 'v2' : 'none';
}

function v1Controllers(mountinfo: string): readonly string[] {
  return [...new Set(cgroupMounts(mountinfo).filter((one) => one.type === 'cgroup').flatMap((one) => one.options))].filter((name) => /^[a-z_]+$/.test(name) && name !== 'rw' && name !== 'ro').sort();
}

function cgroupMounts(mountinfo: string): readonly { type: string; options: readonly string[] }[] {
  return mountinfo.split('\n').flatMap((line) => {
    const [type, , options] = (line.split(' - ')[1] ?? '').split(' ');
    return type === 'cgroup' || type === 'cgroup2' ? [{ type, options: (options ?? '').split(',') }] : [];
  });
}

const FAMILIES = ['ip', 'ip6', 'inet', 'bridge', 'netdev'] as const;

export const packetFilter: Check = async (host) => {
  const title = 'Packet filter (nftables)';
  if (!host.isRoot) return [finding('kernel.nftables', title, 'info', 'not tried', 'Only root can try it.', 'sudo berth doctor')];
  const failed: string[] = [];
  for (const family of FAMILIES) {
    // In a network namespace of its own: the host's rules are neither read nor touched.
    const answer = await host.run('unshare', ['--net', 'nft', '-j', '-f', '-'], JSON.stringify({ nftables: [{ add: { table: { family, name: 'probe' } } }] }));
    if (answer?.code !== 0) failed.push(family);
  }
  return [failed.length === 0
    ? finding('kernel.nftables', title, 'ok', FAMILIES.join(' '), 'Networks are filtered, translated and protected against spoofing.')
    : finding('kernel.nftables', title, 'fail', `no ${failed.join(', ')}`, 'Networks cannot be made safe, so instances with a network do not start.', 'apt-get install nftables; modprobe nf_tables')];
};

const LINK_KINDS: readonly (readonly [kind: string, args: readonly string[]])[] = [
  ['bridge', ['name', 'probe0', 'type', 'bridge']],
  ['veth', ['name', 'probe0', 'type', 'veth', 'peer', 'name', 'probe1']],
];

export const links: Check = async (host) => {
  const title = 'Virtual network links';
  if (!host.isRoot) return [finding('kernel.links', title, 'info', 'not tried', 'Only root can try it.', 'sudo berth doctor')];
  const failed: string[] = [];
  for (const [kind, args] of LINK_KINDS) {
    const answer = await host.run('unshare', ['--net', 'ip', 'link', 'add', ...args]);
    if (answer?.code !== 0) failed.push(kind);
  }
  return [failed.length === 0
    ? finding('kernel.links', title, 'ok', LINK_KINDS.map(([kind]) => kind).join(' '), 'Instances get an interface on their networks.')
    : finding('kernel.links', title, 'fail', `no ${failed.join(', ')}`, 'Instances cannot be connected.', `modprobe ${failed.join(' ')}`)];
};

export const tun: Check = (host) => {
  const there = host.exists('/dev/net/tun') && canOpen('/dev/net/tun');
  if (!host.isRoot && host.exists('/dev/net/tun')) return [finding('kernel.tun', 'Tap devices', 'info', 'not tried', 'Only root can try it.', 'sudo berth doctor')];
  return [there
    ? finding('kernel.tun', 'Tap devices', 'ok', '/dev/net/tun', 'Virtual machines get an interface on their networks.')
    : finding('kernel.tun', 'Tap devices', 'warn', '/dev/net/tun is missing or does not open', 'Virtual machines run without a network.', 'modprobe tun')];
};

function canOpen(file: string): boolean {
  try {
    fs.closeSync(fs.openSync(file, 'r+'));
    return true;
  } catch {
    return false;
  }
}

export const KERNEL_CHECKS: readonly Check[] = [kernelVersion, userNamespaces, idmappedMounts, overlay, seccomp, pidDescriptors, cgroups, packetFilter, links, tun];

