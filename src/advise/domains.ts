/** What a fact could be instead: the domain that the search for the smallest change walks over. */
import { CODE_ORIGINS, EBPF_SCOPES, ENVIRONMENTS, GPU_USES, OS_FAMILIES, PATCHINGS, SENSITIVITIES, STAFF, STATE_KINDS, TEAM_TOOLS, TRUST_DEMANDS, type WorkloadSpec } from '../model/workload.ts';

export interface Domain {
  readonly field: string;
  /** In a sentence: “if {words} were {value}”. */
  readonly words: string;
  readonly values: readonly unknown[];
  /** May an owner give it up to make a form possible? Then it is searched for ways out. */
  readonly droppable?: unknown;
  /** “If its owner …”; without it: “gives up {words}”. */
  readonly gaveUp?: string;
  /** Seldom so: worth a question after all others, and no reason to doubt an answer that never heard of it. */
  readonly rare?: true;
  readonly unit?: 'bytes';
}

const YES_NO = [true, false] as const;
const GIB = 1024 ** 3;

/** The order is that of equally small changes in the answer. */
export const DOMAINS: readonly Domain[] = [
  { field: 'trust.demand', words: 'the trust demanded', values: TRUST_DEMANDS, droppable: 'lowered', gaveUp: 'lowers the trust demand', rare: true },
  { field: 'trust.code', words: 'whose code it is', values: CODE_ORIGINS },
  { field: 'trust.internetFacing', words: 'reachable from the internet', values: YES_NO },
  { field: 'source.signed', words: 'signed by its maker', values: YES_NO },
  { field: 'trust.regulated', words: 'regulated', values: YES_NO },
  { field: 'trust.sensitivity', words: 'the sensitivity of its data', values: SENSITIVITIES },
  { field: 'trust.noSharedKernelWith', words: 'what it may not share a kernel with', values: [[], ['tenants']], droppable: [], gaveUp: 'lets it share a kernel (or gives it a host of its own)', rare: true },
  { field: 'inside.administrators', words: 'who administers it from the inside', values: STAFF },
  { field: 'inside.applications', words: 'the number of applications inside', values: [1, 2, 5] },
  { field: 'inside.needsInit', words: 'the need for an init', values: YES_NO, droppable: false },
  { field: 'inside.sshLogins', words: 'logins by ssh', values: YES_NO },
  { field: 'inside.manualChanges', words: 'changes by hand', values: YES_NO },
  { field: 'inside.interactiveUsers', words: 'users who work in it', values: YES_NO },
  { field: 'lifecycle.liveMigration', words: 'live migration', values: YES_NO, droppable: false, rare: true },
  { field: 'lifecycle.patching', words: 'how it is patched', values: PATCHINGS },
  { field: 'lifecycle.releasesPerMonth', words: 'releases a month', values: [0.2, 1, 4, 30, 120] },
  { field: 'lifecycle.startMs', words: 'the milliseconds it may take to start', values: [200, 2000, 20_000, 120_000] },
  { field: 'lifecycle.uptimePercent', words: 'the uptime promised, in percent', values: [99, 99.99], rare: true },
  { field: 'lifecycle.offline', words: 'running without a registry', values: YES_NO, rare: true },
  { field: 'replicas', words: 'the number of copies', values: [1, 3, 10, 50] },
  { field: 'state.kind', words: 'its state', values: STATE_KINDS },
  { field: 'change.packagingExists', words: 'a build', values: YES_NO },
  { field: 'change.testsExist', words: 'tests', values: YES_NO },
  { field: 'change.teamTools', words: 'what its operators know', values: TEAM_TOOLS },
  { field: 'change.supportedForms', words: 'the forms its vendor supports', values: [], droppable: undefined, rare: true },
  { field: 'os.family', words: 'the operating system', values: OS_FAMILIES },
  { field: 'os.ownKernel', words: 'the need for a kernel of its own', values: YES_NO, droppable: false, rare: true },
  { field: 'os.modules', words: 'its kernel modules', values: [[], ['a module']], droppable: [], rare: true },
  { field: 'os.kernelParameters', words: 'its kernel parameters', values: [[], ['a parameter']], droppable: [], rare: true },
  { field: 'os.sysctls', words: 'the kernel settings it changes', values: [[], ['vm.a_setting']], droppable: [], rare: true },
  { field: 'os.devices', words: 'the devices it drives', values: [[], ['a device']], droppable: [], rare: true },
  { field: 'os.ebpf', words: 'its eBPF programs', values: EBPF_SCOPES, droppable: 'none', rare: true },
  { field: 'os.gpu', words: 'its GPU', values: GPU_USES, rare: true },
  { field: 'os.nestedVirtualization', words: 'VMs inside', values: YES_NO, droppable: false, rare: true },
  { field: 'source.ownBootLoader', words: 'a boot loader of its own', values: YES_NO, rare: true },
  { field: 'privileges.privileged', words: 'all privileges', values: YES_NO, droppable: false, rare: true },
  { field: 'privileges.hostPaths', words: 'the host’s directories it mounts', values: [[]], droppable: [], rare: true },
  { field: 'privileges.hostNetwork', words: 'the host’s network', values: YES_NO, droppable: false, rare: true },
  { field: 'privileges.hostProcesses', words: 'sight of the host’s processes', values: YES_NO, droppable: false, rare: true },
  { field: 'privileges.root', words: 'root inside', values: YES_NO },
  { field: 'environment', words: 'what it serves', values: ENVIRONMENTS },
  { field: 'resources.requests.memoryBytes', words: 'the memory it asks for', values: [GIB / 8, GIB, 16 * GIB], unit: 'bytes' },
  { field: 'host.hardwareVirtualization', words: 'hardware virtualization on the hosts', values: YES_NO },
];

/** A copy with one fact replaced; `undefined` takes it away. */
export function withFact(spec: WorkloadSpec, field: string, value: unknown): WorkloadSpec {
  return replaced(spec, field.split('.'), value) as WorkloadSpec;
}

function replaced(at: unknown, [first, ...rest]: readonly string[], value: unknown): unknown {
  const copy = { ...(at as object | undefined) } as Record<string, unknown>;
  if (rest.length > 0) copy[first!] = replaced(copy[first!], rest, value);
  else if (value === undefined) delete copy[first!];
  else copy[first!] = value;
  return copy;
}

export function shown(value: unknown, unit?: 'bytes'): string {
  if (value === undefined) return 'unknown';
  if (unit === 'bytes' && typeof value === 'number') return value >= GIB ? `${Math.round((value / GIB) * 10) / 10} GiB` : `${Math.round((value / GIB) * 1024)} MiB`;
  if (value === true) return 'yes';
  if (value === false) return 'no';
  if (Array.isArray(value)) return value.length === 0 ? 'none' : value.map((one) => (typeof one === 'string' ? one : String((one as { path?: unknown }).path ?? JSON.stringify(one)))).sort().join(', ');
  return String(value);
}
