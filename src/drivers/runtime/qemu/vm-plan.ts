/** What `berth-native vm` is told (native/vm.c): `key=value` texts, each ended by NUL. */
import { BerthError } from '../../../model/errors.ts';

export interface TapPlan {
  readonly fd: number;
  readonly name: string;
  readonly bridge: string;
  readonly mtu: number;
}

export interface SharesPlan {
  /** First of the 65,536 ids of the host that virtiofsd has; on disk they are 0 and what follows. */
  readonly idBase: number;
  /** Of virtiofsd, in its jail; the socket is its descriptor 3 and the directory is /share. */
  readonly args: readonly string[];
  /** Shown read-only in its jail. */
  readonly binds: LaunchPlan['binds'];
  /** `fd` is QEMU's end. */
  readonly directories: readonly { readonly fd: number; readonly path: string; readonly readOnly: boolean }[];
}

export interface LaunchPlan {
  /** At least 1. */
  readonly uid: number;
  readonly gid: number;
  /** Files that take a 0 to join (`tasks` of v1, `cgroup.procs` of v2). */
  readonly cgroupFiles: readonly string[];
  readonly taps: readonly TapPlan[];
  readonly files: readonly { readonly fd: number; readonly path: string; readonly writable: boolean }[];
  /** The file of the guest's memory, where it has one; what is shared by many is not writable. */
  readonly ram?: { readonly path: string; readonly writable: boolean } | undefined;
  /** Directories that a virtiofsd each shows to the guest (native/vm-share.c). */
  readonly shares?: SharesPlan | undefined;
  /** Sockets in the bundle. */
  readonly sockets: readonly { readonly fd: number; readonly name: string }[];
  /** Shown read-only in the jail. */
  readonly binds: readonly { readonly source: string; readonly target: string }[];
  readonly links: readonly { readonly to: string; readonly at: string }[];
  readonly kvm: boolean;
  /** Descriptors that QEMU writes the guest's output and state to. */
  readonly stdoutFd: number;
  readonly stderrFd: number;
  readonly stateFd: number;
  /** Nobody inside will say how it ended: QEMU's own end is the workload's. */
  readonly ownInit?: boolean | undefined;
  /** Number of the resource (Linux) and its limit. */
  readonly rlimits: readonly { readonly resource: number; readonly value: number }[];
  readonly args: readonly string[];
}

export function encodeLaunchPlan(plan: LaunchPlan): Buffer {
  const items: (readonly [string, string | number])[] = [
    ['uid', plan.uid], ['gid', plan.gid],
    ...plan.cgroupFiles.map((file) => ['cgroup', file] as const),
    ...plan.taps.map((tap) => ['tap', `${tap.fd} ${tap.name} ${tap.bridge} ${tap.mtu}`] as const),
    ...plan.files.map((file) => ['open', `${file.fd} ${file.writable ? 'w' : 'r'} ${file.path}`] as const),
    ...(plan.ram === undefined ? [] : [['ram', `${plan.ram.writable ? 'w' : 'r'} ${plan.ram.path}`] as const]),
    ...shareItems(plan.shares),
    ...plan.sockets.map((socket) => ['listen', `${socket.fd} ${socket.name}`] as const),
    ...plan.binds.map((bind) => ['bind', `${bind.source}\t${bind.target}`] as const),
    ...plan.links.map((link) => ['link', `${link.to}\t${link.at}`] as const),
    ...(plan.kvm ? [['kvm', 1] as const] : []),
    ['stdout', plan.stdoutFd], ['stderr', plan.stderrFd], ['state', plan.stateFd],
    ...(plan.ownInit === true ? [['own-init', 1] as const] : []),
    ...plan.rlimits.map((limit) => ['rlimit', `${limit.resource} ${limit.value}`] as const),
    ...plan.args.map((arg) => ['arg', arg] as const),
  ];
  for (const [key, value] of items) {
    if (/[\0\n]/.test(String(value))) throw new BerthError('invalid', `A value of '${key}' holds a control character.`);
  }
  return Buffer.from(items.map(([key, value]) => `${key}=${value}\0`).join(''));
}

function shareItems(shares: SharesPlan | undefined): readonly (readonly [string, string | number])[] {
  if (shares === undefined) return [];
  return [
    ['share-base', shares.idBase],
    ...shares.directories.map(({ fd, path, readOnly }) => ['share', `${fd} ${readOnly ? 'r' : 'w'} ${path}`] as const),
    ...shares.binds.map((bind) => ['share-bind', `${bind.source}\t${bind.target}`] as const),
    ...shares.args.map((arg) => ['share-arg', arg] as const),
  ];
}
