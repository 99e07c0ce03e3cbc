/**
 * Workload: what somebody runs or wants to run, described far enough to choose a form for it. Nothing of it runs; an
 * instance does. Every fact is optional, and a missing one is *unknown*, never a default: `berth advise` says which
 * unknown facts would change its answer.
 */
import * as z from 'zod';
import { everyForm, field } from './define.ts';
import { FORMS } from './forms.ts';
import { API_VERSION, labels } from './meta.ts';
import { bytesNumber, plainText } from './text.ts';

/** A fact of a workload: it means the same for all forms, because it is there before one is chosen. */
function fact<T extends z.ZodType>(schema: T, describe: string): z.ZodOptional<T> {
  return field(schema.optional(), describe, { change: 'live', means: everyForm('Weighed when a form is chosen.') });
}

const count = z.number().int().min(0).max(1_000_000);
const amount = z.number().min(0).max(2 ** 53 - 1);
/** Names of workloads come from other tools (`SRV ERP (old)`), so they are free text; unique within one estate. */
const workloadName = plainText(253, 'a name').min(1);
const names = (what: string, most = 64): z.ZodArray<z.ZodString> => z.array(plainText(253, what).min(1)).max(most);
const yes = z.boolean();

export const ENVIRONMENTS = ['dev', 'test', 'prod', 'dr'] as const;
export const SOURCE_KINDS = ['image', 'packages', 'diskImage', 'name'] as const;
export const STATE_KINDS = ['none', 'files', 'database'] as const;
export const OS_FAMILIES = ['linux', 'windows', 'bsd', 'other'] as const;
export const EBPF_SCOPES = ['none', 'own', 'host'] as const;
export const GPU_USES = ['none', 'shared', 'passthrough'] as const;
export const CODE_ORIGINS = ['own', 'third-party', 'tenant'] as const;
export const STAFF = ['nobody', 'own', 'tenant'] as const;
export const SENSITIVITIES = ['public', 'internal', 'confidential', 'secret'] as const;
export const TRUST_DEMANDS = ['lowered', 'normal', 'raised'] as const;
export const PATCHINGS = ['rebuild', 'in-place'] as const;
export const LICENCE_UNITS = ['core', 'machine', 'instance', 'user'] as const;
/** What it runs as today. */
export const CURRENT_FORMS = ['physical', ...FORMS] as const;
export const TEAM_TOOLS = ['containers', 'vms', 'both'] as const;

/** cpus are cores' worth of time; bytes are bytes; iops and bytes per second are of the disk. */
const resourceAmounts = z.strictObject({
  cpus: z.number().min(0).max(65_536).optional(),
  memoryBytes: bytesNumber.optional(),
  diskBytes: bytesNumber.optional(),
  iops: amount.optional(),
  ioBytesPerSecond: amount.optional(),
});
export type ResourceAmounts = z.infer<typeof resourceAmounts>;

export const workloadSpec = z.strictObject({
  environment: fact(z.enum(ENVIRONMENTS), 'What it serves: development, test, production, or disaster recovery.'),
  replicas: fact(count, 'How many of it run as a rule.'),
  replicasMax: fact(count, 'How many of it run at most.'),
  disasterRecoveryOf: fact(workloadName, 'The workload that this one replaces in a disaster.'),

  source: z.strictObject({
    kind: fact(z.enum(SOURCE_KINDS), 'What there is of it: an image, packages, a disk image, or just a name.'),
    image: fact(plainText(512, 'an image reference').min(1), 'Reference of its image.'),
    packages: fact(names('a package', 1024), 'Packages that it is installed from.'),
    diskImage: fact(plainText(1024, 'a disk image').min(1), 'File or reference of its disk image.'),
    ownBootLoader: fact(yes, 'Is it an appliance that works only as a machine of its own, boot loader and kernel inside? That a VM of today boots from its disk does not say so.'),
    signed: fact(yes, 'Is what it is made from signed by its maker, and checked?'),
  }).optional(),

  inside: z.strictObject({
    applications: fact(count, 'How many applications it holds (a supervisor with three daemons: three).'),
    needsInit: fact(yes, 'Does it need an init such as systemd?'),
    sshLogins: fact(yes, 'Do people log in by ssh?'),
    manualChanges: fact(yes, 'Do people change files or packages by hand?'),
    interactiveUsers: fact(yes, 'Do users work in it (shell, desktop)?'),
    administrators: fact(z.enum(STAFF), 'Who gets root or a shell inside: nobody, our own staff, or a tenant’s people.'),
    oneCommand: fact(yes, 'Does each copy run one command and end?'),
    envSecrets: fact(names('a variable'), 'Names of environment variables that hold secrets; [] when there are none.'),
  }).optional(),

  state: z.strictObject({
    kind: fact(z.enum(STATE_KINDS), 'What must outlive a restart.'),
    bytes: fact(bytesNumber, 'How much of it there is.'),
    ownPerReplica: fact(yes, 'Has each replica data of its own?'),
  }).optional(),

  os: z.strictObject({
    family: fact(z.enum(OS_FAMILIES), 'The operating system that it needs.'),
    distribution: fact(plainText(64, 'a distribution').min(1), 'The distribution that it needs or runs on.'),
    version: fact(plainText(64, 'a version').min(1), 'The version of it.'),
    unsupported: fact(yes, 'Does the base get no security updates any more?'),
    ownKernel: fact(yes, 'Does it need a kernel of its own (certified, old, patched)?'),
    kernelVersion: fact(plainText(64, 'a kernel version').min(1), 'The kernel version that it insists on.'),
    modules: fact(names('a module'), 'Kernel modules that it loads itself; [] when none.'),
    sysctls: fact(names('a sysctl', 256), 'Kernel settings that it changes; [] when none.'),
    kernelParameters: fact(names('a parameter'), 'Parameters of the kernel’s command line; [] when none.'),
    ebpf: fact(z.enum(EBPF_SCOPES), 'Does it load eBPF programs: none, for itself, or for the whole host?'),
    devices: fact(names('a device'), 'Raw devices that it drives (NVMe, serial, HSM); [] when none.'),
    gpu: fact(z.enum(GPU_USES), 'A GPU: none, shared, or passed through whole.'),
    nestedVirtualization: fact(yes, 'Does it start VMs itself?'),
  }).optional(),

  privileges: z.strictObject({
    root: fact(yes, 'Does the application run as root inside?'),
    capabilities: fact(z.array(z.string().max(41).regex(/^[A-Z][A-Z_]{2,40}$/, 'not a capability name such as NET_ADMIN')).max(64), 'Linux capabilities that it asks for; [] when none.'),
    hostPaths: fact(z.array(z.strictObject({ path: plainText(4096, 'a path').min(1), readOnly: z.boolean().optional() })).max(64), 'Directories of the host that it asks for; [] when none.'),
    hostNetwork: fact(yes, 'Does it ask for the host’s network?'),
    hostProcesses: fact(yes, 'Does it ask to see or trace the host’s processes?'),
    privileged: fact(yes, 'Does it ask for everything (`--privileged`)?'),
    readOnlyRoot: fact(yes, 'Is its root file system read-only?'),
  }).optional(),

  trust: z.strictObject({
    code: fact(z.enum(CODE_ORIGINS), 'Whose code it is: our own, a third party’s, or a tenant’s.'),
    tenant: fact(plainText(128, 'a tenant').min(1), 'The tenant it belongs to; tenants never share a kernel unless the demand is lowered.'),
    internetFacing: fact(yes, 'Can the internet reach it?'),
    sensitivity: fact(z.enum(SENSITIVITIES), 'How bad it is when its data leak.'),
    regulated: fact(yes, 'Is it under an audit or a law (cards, health, banking)?'),
    noSharedKernelWith: fact(names('a workload or class'), 'Workloads that may not share a kernel with it, by name, or `tenants` for every tenant’s code, or `*` for all others; [] when none.'),
    demand: fact(z.enum(TRUST_DEMANDS), 'The owner’s own word on the boundary: lowered accepts one kernel between parties that distrust each other.'),
  }).optional(),

  resources: z.strictObject({
    requests: fact(resourceAmounts, 'What it is sure to get.'),
    limits: fact(resourceAmounts, 'What it may not exceed.'),
    peak: fact(resourceAmounts, 'The most that was measured.'),
    mean: fact(resourceAmounts, 'What it uses on average.'),
    syscallHeavy: fact(yes, 'Does it make system calls all the time (small packets, small files)?'),
  }).optional(),

  lifecycle: z.strictObject({
    releasesPerMonth: fact(amount, 'Releases in a month; 30 is daily, 0.17 is two a year.'),
    startMs: fact(amount, 'Time to start that it can afford, in milliseconds.'),
    runMinutes: fact(amount, 'How long one copy lives, for jobs.'),
    uptimePercent: fact(z.number().min(0).max(100), 'Uptime promised, in percent of the year.'),
    liveMigration: fact(yes, 'Must it move between hosts without a stop?'),
    patching: fact(z.enum(PATCHINGS), 'Patched by a new image, or in place.'),
    offline: fact(yes, 'Must it run where neither a registry nor other hosts can be reached (laptop, ship, edge)?'),
  }).optional(),

  licences: fact(z.array(z.strictObject({
    product: plainText(128, 'a product').min(1),
    per: z.enum(LICENCE_UNITS),
    count: amount.optional(),
    costPerMonth: amount.optional().describe('For one unit, in the currency of the price file.'),
  })).max(64), 'Licences that it pays, per core, machine, instance or user; [] when none.'),

  change: z.strictObject({
    currentForm: fact(z.enum(CURRENT_FORMS), 'What it runs as today.'),
    currentHost: fact(plainText(253, 'a host').min(1), 'The host it runs on today.'),
    packagingExists: fact(yes, 'Is there a build that makes it from source or packages?'),
    testsExist: fact(yes, 'Are there tests that say whether it works?'),
    supportedForms: fact(z.array(z.enum(FORMS)).max(4), 'The forms that its vendor supports; missing when the vendor does not care.'),
    teamTools: fact(z.enum(TEAM_TOOLS), 'What its operators have tools and practice for.'),
  }).optional(),

  placement: z.strictObject({
    notOnHostWith: fact(names('a workload'), 'Workloads that may not lie on the same host.'),
    onHostWith: fact(names('a workload'), 'Workloads that must lie on the same host.'),
  }).optional(),

  /** What Berth or another tool measured on a running one. */
  evidence: z.strictObject({
    processes: fact(count, 'Processes that run in it.'),
    listeningPorts: fact(z.array(z.number().int().min(1).max(65_535)).max(1024), 'Ports that it listens on.'),
    packages: fact(count, 'Packages installed in it: the surface inside.'),
    capabilitiesUsed: fact(z.array(z.string().max(41)).max(64), 'Capabilities that it really used.'),
  }).optional(),
});
export type WorkloadSpec = z.infer<typeof workloadSpec>;

export const KNOWLEDGE = ['knew', 'inferred', 'unknown'] as const;
/** How an importer came to a field; the key is the field's path below `spec`: `os.family`. */
export const provenance = z.record(plainText(128, 'a field'), z.strictObject({
  how: z.enum(KNOWLEDGE),
  rule: plainText(512, 'a rule').optional().describe('For inferred ones: by which rule, in a sentence.'),
  from: plainText(512, 'an origin').optional().describe('Where it stood: a file’s own field name, a line.'),
}));
export type Provenance = z.infer<typeof provenance>;

export const workloadMeta = z.strictObject({
  name: workloadName,
  project: plainText(63, 'a project').optional(),
  labels: labels.optional(),
  owner: plainText(128, 'an owner').optional(),
  purpose: plainText(256, 'a purpose').optional(),
});

/** One document of an estate. */
export const workload = z.strictObject({
  apiVersion: z.literal(API_VERSION).optional(),
  kind: z.literal('Workload'),
  meta: workloadMeta,
  spec: workloadSpec.default({}),
  provenance: provenance.optional(),
});
export type Workload = z.infer<typeof workload>;
