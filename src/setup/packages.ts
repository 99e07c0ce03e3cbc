/** The Debian packages that Berth calls or builds with, each with the reason why it is there. */

import fs from 'node:fs';
import { suiteOf } from './estate.ts';

/** run: every host · vm: hosts that run VMs · build: compiles the native programs · test: the test lanes only */
export type PackageUse = 'run' | 'vm' | 'build' | 'test';

export interface DebianPackage {
  readonly name: string;
  readonly use: PackageUse;
  readonly why: string;
  /** Releases of Debian that have it; all of ours when missing. */
  readonly suites?: readonly string[] | undefined;
}

export const DEBIAN_PACKAGES: readonly DebianPackage[] = [
  { name: 'libatomic1', use: 'run', why: 'the pinned Node links to it' },
  { name: 'crun', use: 'run', why: 'starts containers' },
  { name: 'conmon', use: 'run', why: 'monitors instances and keeps their logs and exit codes' },
  { name: 'nftables', use: 'run', why: 'packet rules of networks and published ports' },
  { name: 'netbase', use: 'run', why: 'names of protocols, which nft looks up' },
  { name: 'iproute2', use: 'run', why: 'shows links, routes and sockets to doctor' },
  { name: 'dnsmasq-base', use: 'run', why: 'names and addresses on networks' },
  { name: 'erofs-utils', use: 'run', why: 'packs an image for virtual machines' },
  { name: 'e2fsprogs', use: 'run', why: 'formats upper disks and block volumes' },
  { name: 'mmdebstrap', use: 'run', why: 'image bootstrap debian:…' },
  { name: 'busybox-static', use: 'run', why: 'image bootstrap busybox' },
  { name: 'uidmap', use: 'run', why: 'id maps of unprivileged helpers' },
  { name: 'kmod', use: 'run', why: 'loads overlay, tun and bridge where they are modules; orders guest modules' },
  { name: 'lxcfs', use: 'run', why: 'shows OS containers their own memory, processors, load and uptime' },
  { name: 'qemu-system-x86', use: 'vm', why: 'runs virtual machines' },
  { name: 'qemu-utils', use: 'vm', why: 'converts qcow2 disk images, jailed' },
  { name: 'xz-utils', use: 'vm', why: 'unpacks kernels and modules for guests, jailed' },
  { name: 'virtiofsd', use: 'vm', why: 'shows directories to virtual machines', suites: ['trixie'] },
  { name: 'ovmf', use: 'vm', why: 'UEFI firmware of VMs that boot a disk image' },
  { name: 'gcc', use: 'build', why: 'compiles the native programs' },
  { name: 'libc6-dev', use: 'build', why: 'headers for the native programs' },
  { name: 'zlib1g-dev', use: 'build', why: 'gzip layers in the unpack helper' },
  { name: 'libzstd-dev', use: 'build', why: 'zstd layers in the unpack helper' },
  { name: 'curl', use: 'test', why: 'asks published ports as a user would' },
  { name: 'iputils-ping', use: 'test', why: 'who reaches whom on networks' },
  { name: 'isc-dhcp-client', use: 'test', why: 'asks networks for addresses as systems do' },
  { name: 'fdisk', use: 'test', why: 'partitions a disk that boots' },
  { name: 'mtools', use: 'test', why: 'fills the ESP of a disk that boots' },
  { name: 'ipxe', use: 'test', why: 'a foreign system that is small: it boots from a CD-ROM and has its own e1000 driver' },
  { name: 'openssh-client', use: 'test', why: 'logs in to systems as their users would' },
  { name: 'procps', use: 'test', why: 'ps, as a second opinion on processes' },
  { name: 'etcd-server', use: 'test', why: 'the store conformance suite runs on a real etcd' },
  { name: 'docker-registry', use: 'test', why: 'the registry contract runs on a real registry' },
  { name: 'chromium', use: 'test', why: 'reports are looked at in a real browser' },
  { name: 'skopeo', use: 'test', why: 'a second opinion on exported images' },
];

/** `suite` is the host's when missing. */
export function packagesFor(uses: readonly PackageUse[], suite: string = hostSuite()): readonly DebianPackage[] {
  return DEBIAN_PACKAGES.filter((one) => uses.includes(one.use) && (one.suites === undefined || one.suites.includes(suite)));
}

function hostSuite(): string {
  return suiteOf(fs.existsSync('/etc/os-release') ? fs.readFileSync('/etc/os-release', 'utf8') : '');
}
