/**
 * The OCI configuration of an application container, as data: a pure function of the plan and of where things lie. crun
 * trusts this file and nothing in the root file system, so that this generator is the boundary: nothing of the image
 * reaches it but arguments, environment, working directory and numeric user; annotations are ours alone.
 */
import { BerthError } from '../../../model/errors.ts';
import { printable } from '../../../model/ids.ts';
import { RESERVED_DIRECTORIES, reservedDirectory } from '../../../model/text.ts';
import type { ExecPlan, ProcessPlan, Rlimit, UnitPlan } from '../driver.ts';
import { PROGRAM_INSIDE } from '../program-inside.ts';
import { osMounts } from './os-mounts.ts';
import type { OciMount, OciProcess, OciSeccomp, OciSpec } from './oci-types.ts';

/** Where the driver put what the container is made of; paths as seen in the private mount namespace. */
export interface SpecSurroundings {
  readonly rootPath: string;
  /** One per `plan.mounts`, shifted. */
  readonly volumeSources: readonly string[];
  readonly hostsFile: string;
  readonly hostnameFile: string;
  readonly resolverFile: string;
  /** Our program inside: copies files, is the init that a plan asks for, boots an OS container. */
  readonly initProgram: string;
  /** What an OS container is told at its boot: see boot-seed.ts. */
  readonly seedFile: string;
  /** Directory of files with the unit's own values, laid out as /; where there are such. */
  readonly ownValues?: string | undefined;
  /** What a mount of the unit's own control groups is called here. */
  readonly groupsType: 'cgroup' | 'cgroup2';
  readonly userNamespacePath: string;
  readonly networkNamespacePath: string;
  readonly idBase: number;
  readonly idCount: number;
  readonly maskedPaths: readonly string[];
  readonly readOnlyPaths: readonly string[];
  /** Compiled (base64) or as rules; neither: no filter. */
  readonly seccomp: { readonly bpf: string } | { readonly rules: OciSeccomp } | undefined;
  readonly ceilings: Ceilings;
}

/** What this daemon may hand on at most. */
export interface Ceilings {
  /** Hard limits by RLIMIT name; Infinity where there is none. */
  readonly rlimits: ReadonlyMap<string, number>;
  /** The daemon's own oom_score_adj when above 0: it cannot be lowered without a privilege that hosts may withhold. */
  readonly oomScoreAdj: number;
}

/** Inside: the seed of an OS container. Its root may read it: it is about nobody else. */
export const SEED_PATH = '/dev/.seed';

const SYSCTLS = /^(net\.[a-z0-9_.*/-]+|kernel\.(msgmax|msgmnb|msgmni|sem|shmall|shmmax|shmmni|shm_rmid_forced)|fs\.mqueue\.[a-z_]+)$/;
/** Group 0 of the container may send ICMP echo without a raw socket. */
const DEFAULT_SYSCTLS: Readonly<Record<string, string>> = { 'net.ipv4.ping_group_range': '0 0' };

export function ociSpec(plan: UnitPlan, around: SpecSurroundings): OciSpec {
  const mappings = [{ containerID: 0, hostID: around.idBase, size: around.idCount }];
  const seccomp = around.seccomp;
  return Object.freeze({
    ociVersion: '1.0.2',
    process: {
      ...ociProcess(plan.process, plan, around.idCount),
      args: [...(plan.form === 'osContainer' ? [PROGRAM_INSIDE, 'boot', SEED_PATH, '--'] : []), ...(plan.init ? [PROGRAM_INSIDE, 'init', '--'] : []), ...plan.process.args],
      rlimits: clampRlimits(plan.rlimits, around.ceilings.rlimits),
      oomScoreAdj: around.ceilings.oomScoreAdj,
    },
    root: { path: around.rootPath, readonly: plan.root.readOnly },
    hostname: plan.hostname,
    mounts: plan.form === 'osContainer' ? osMounts(plan, around) : appMounts(plan, around),
    annotations: seccomp !== undefined && 'bpf' in seccomp ? { 'run.oci.seccomp_bpf_data': seccomp.bpf } : {},
    linux: {
      namespaces: [
        { type: 'user', path: around.userNamespacePath }, { type: 'network', path: around.networkNamespacePath },
        { type: 'pid' }, { type: 'ipc' }, { type: 'uts' }, { type: 'mount' }, { type: 'cgroup' }, { type: 'time' },
      ],
      uidMappings: mappings,
      gidMappings: mappings,
      devices: [],
      resources: {},
      rootfsPropagation: 'rprivate',
      maskedPaths: around.maskedPaths,
      readonlyPaths: around.readOnlyPaths,
      sysctl: { ...DEFAULT_SYSCTLS, ...checkedSysctls(plan.sysctls) },
      ...(seccomp !== undefined && 'rules' in seccomp ? { seccomp: seccomp.rules } : {}),
    },
  } satisfies OciSpec);
}

/** process.json of an exec: the same walls as the first process has. Never on crun's command line (CVE-2026-30892). */
export function execProcess(plan: ExecPlan, idCount: number): Omit<OciProcess, 'rlimits'> & { rlimits: [] } {
  return { ...ociProcess(plan, plan, idCount), rlimits: [] };
}

function ociProcess(
  plan: ProcessPlan, rights: { readonly capabilities: readonly string[]; readonly noNewPrivileges: boolean }, idCount: number,
): Omit<OciProcess, 'rlimits'> {
  const { uid, gid, additionalGids } = plan.user;
  for (const id of [uid, gid, ...additionalGids]) {
    if (!Number.isInteger(id) || id < 0 || id >= idCount) {
      throw new BerthError('invalid', `${printable(id)} is not a user or group id of this container.`, { hint: `Ids go from 0 to ${idCount - 1}.` });
    }
  }
  if (plan.args.length === 0 || plan.args[0] === '') throw new BerthError('invalid', 'There is no command to run.');
  for (const text of [...plan.args, ...plan.env, plan.cwd]) {
    if (text.includes('\0')) throw new BerthError('invalid', 'Arguments, environment and working directory cannot hold a NUL character.');
  }
  for (const entry of plan.env) {
    if (entry.indexOf('=') < 1) throw new BerthError('invalid', `'${printable(entry)}' is not NAME=value.`);
  }
  assertInside(plan.cwd, 'working directory');
  const capabilities = [...rights.capabilities];
  // crun passes over what it does not know: a misspelt name would be a right that silently is not there.
  const unknown = capabilities.find((name) => !/^CAP_[A-Z_]{2,40}$/.test(name));
  if (unknown !== undefined) throw new BerthError('invalid', `'${printable(unknown)}' is not a capability such as CAP_CHOWN.`);
  return {
    terminal: plan.terminal,
    ...(plan.terminal && plan.size !== undefined ? { consoleSize: { height: plan.size.rows, width: plan.size.columns } } : {}),
    user: { uid, gid, additionalGids: [...additionalGids], umask: 0o022 },
    args: [...plan.args],
    env: [...plan.env],
    cwd: plan.cwd,
    // Inheritable and ambient stay empty: what a program gains by execve is decided by its file alone.
    capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities, inheritable: [], ambient: [] },
    noNewPrivileges: rights.noNewPrivileges,
  };
}

/** Refuses paths whose meaning depends on the process that walks them (/proc/self/fd/N: CVE-2024-21626). */
export function assertInside(file: string, what: string): void {
  const parts = file.split('/').slice(1);
  if (!file.startsWith('/') || parts.includes('..') || parts.includes('.')) {
    throw new BerthError('invalid', `The ${what} '${printable(file)}' is not an absolute path without . and ...`);
  }
  const reserved = reservedDirectory(file);
  if (reserved !== undefined) throw new BerthError('invalid', `The ${what} '${printable(file)}' is below ${reserved}.`, { hint: `${RESERVED_DIRECTORIES.join(', ')} are made by Berth.` });
}

/** Volumes and tmpfs of the plan. */
export function askedMounts(plan: UnitPlan, around: SpecSurroundings): readonly OciMount[] {
  const depth = (target: string): number => target.split('/').filter((part) => part !== '').length;
  const asked: OciMount[] = [
    ...plan.tmpfs.map((one) => tmpfs(one.target, ['nosuid', 'nodev', 'mode=1777', `size=${one.sizeBytes}`])),
    ...plan.mounts.map((one, index) => ({
      destination: one.target, type: 'bind', source: around.volumeSources[index]!, options: ['bind', 'nosuid', 'nodev', 'rprivate', one.readOnly ? 'ro' : 'rw'],
    })),
  ];
  for (const { destination } of asked) {
    assertInside(destination, 'mount target');
    if (depth(destination) === 0) throw new BerthError('invalid', 'Nothing can be mounted at /.');
  }
  // Parents before children, else the parent would cover the child.
  return asked.sort((a, b) => depth(a.destination) - depth(b.destination));
}

/** What the kernel shows, the same for both forms. */
export function kernelMounts(plan: UnitPlan): readonly OciMount[] {
  return [
    { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'noexec', 'nodev'] },
    { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'] },
    { destination: '/dev/pts', type: 'devpts', source: 'devpts', options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'] },
    { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: ['nosuid', 'noexec', 'nodev'] },
    tmpfs('/dev/shm', ['nosuid', 'noexec', 'nodev', 'mode=1777', `size=${plan.shmBytes}`]),
    { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['nosuid', 'noexec', 'nodev', 'ro'] },
  ];
}

/** A file of ours, which nothing inside may change. */
export function fileMount(destination: string, source: string, options: readonly string[] = ['noexec']): OciMount {
  return { destination, type: 'bind', source, options: ['bind', 'ro', 'nosuid', 'nodev', ...options, 'rprivate'] };
}

function appMounts(plan: UnitPlan, around: SpecSurroundings): readonly OciMount[] {
  return [
    ...kernelMounts(plan),
    { destination: '/sys/fs/cgroup', type: 'cgroup', source: 'cgroup', options: ['nosuid', 'noexec', 'nodev', 'relatime', 'ro'] },
    fileMount('/etc/resolv.conf', around.resolverFile), fileMount('/etc/hosts', around.hostsFile), fileMount('/etc/hostname', around.hostnameFile),
    fileMount(PROGRAM_INSIDE, around.initProgram, []),
    ...askedMounts(plan, around),
  ];
}

export function tmpfs(destination: string, options: readonly string[]): OciMount {
  return { destination, type: 'tmpfs', source: 'tmpfs', options };
}

/** A limit above the daemon's own fails the whole start on hosts that withhold CAP_SYS_RESOURCE. */
export function clampRlimits(rlimits: readonly Rlimit[], ceilings: ReadonlyMap<string, number>): readonly Rlimit[] {
  return rlimits.map(({ type, soft, hard }) => {
    const ceiling = ceilings.get(type);
    if (ceiling === undefined) throw new BerthError('invalid', `'${printable(type)}' is not a resource limit that this host knows.`);
    const top = Math.min(hard, ceiling);
    return { type, soft: Math.min(soft, top), hard: top };
  });
}

function checkedSysctls(sysctls: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  for (const [key, value] of Object.entries(sysctls)) {
    if (!SYSCTLS.test(key) || key.includes('..')) {
      throw new BerthError('invalid', `The kernel setting '${printable(key)}' does not belong to one container.`, { hint: 'net.*, kernel.shm*, kernel.msg*, kernel.sem and fs.mqueue.* do.' });
    }
    if (!/^[ -~\t]{0,256}$/.test(value)) throw new BerthError('invalid', `The kernel setting '${printable(key)}' has a value that is not plain text.`);
  }
  return sysctls;
}
