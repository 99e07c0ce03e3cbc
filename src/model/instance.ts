/** Instance: one running unit of any form. Every field has one meaning, written per form in `means`. */
import * as z from 'zod';
import { byBoundary, byForm, everyForm, field, type Meaning } from './define.ts';
import { ISOLATIONS, MODES } from './forms.ts';
import { cloudInitText, userDataSchema } from './user-data.ts';
import { bytesNumber, dataText, environmentName, insidePath, mountTarget, nameText, plainText, workDirectory } from './text.ts';

/** What a VM of a disk image starts with, and which devices its system finds. */
export const FIRMWARES = ['bios', 'uefi'] as const;
export const MACHINE_PRESETS = ['virtio', 'ahci-e1000'] as const;

/** Of a VM: the image's layers under a writable part, or one file system of its own. */
export const ROOTS = ['layers', 'flat'] as const;

export const RESTART_POLICIES = ['no', 'on-failure', 'always', 'unless-stopped'] as const;

const SIGNAL = z.string().regex(/^SIG[A-Z0-9+-]{2,12}$/, 'not a signal name such as SIGTERM');
const CAPABILITY = z.string().regex(/^[A-Z][A-Z_]{2,40}$/, 'not a capability name such as NET_BIND_SERVICE');
const IP_TEXT = z.string().max(45).regex(/^[0-9a-fA-F.:]+$/, 'not an IP address');
const PORT = z.number().int().min(1).max(65535);
const ULIMITS = ['core', 'cpu', 'data', 'fsize', 'memlock', 'msgqueue', 'nofile', 'nproc', 'rss', 'sigpending', 'stack'] as const;

const DISKS: Meaning = 'Block volumes, each a disk that the agent mounts nosuid and nodev; made when missing. Volumes that are directories, and hostPath, where this host has virtiofsd (Debian 13): shared with all who have them, by virtio-fs, ids unshifted on disk; such a machine boots, for memory that is shared cannot be resumed from a template.';
const NO_FIRST_BOOT: Meaning = { refused: 'An application has no first boot; give it its configuration by env or volumes.' };

const NO_FIRMWARE: Meaning = { refused: 'A container shares the host’s kernel: it boots no disk. Use a VM.' };
const NO_BOOT: Meaning = { refused: 'A microVM is started with our own kernel and the image’s entrypoint. Use a VM.' };

const SHARES_KERNEL: Meaning = { refused: 'A container shares the host’s kernel. Use a microVM or a VM.' };

const LAYERS_ARE_HERE: Meaning = { refused: 'Its root is the image’s layers, in the host’s memory once for all. A VM can have it flat.' };
const NO_FLAT_APP: Meaning = { refused: 'An application’s root is the image’s layers and what it wrote, thrown away with it. A VM can have it flat.' };

const portSchema = z.strictObject({
  protocol: z.enum(['tcp', 'udp']).default('tcp'),
  hostAddress: IP_TEXT.optional().describe('127.0.0.1 and ::1 when missing.'),
  hostPort: PORT.optional().describe('A free port when missing.'),
  targetPort: PORT,
});

const volumeSchema = z.strictObject({
  volume: nameText.optional().describe('A volume of the project; made when missing.'),
  hostPath: insidePath.optional().describe('A directory of the host; only for uid 0 on the socket or allowed paths.'),
  target: mountTarget,
  readOnly: z.boolean().default(false),
}).refine((mount) => (mount.volume === undefined) !== (mount.hostPath === undefined), { message: 'give either volume or hostPath' });

export const instanceSpec = z.strictObject({
  running: field(z.boolean().optional(), 'Should it run?', { change: 'live', means: everyForm('Started when true, stopped when false.') }),
  isolation: field(z.enum(ISOLATIONS).optional(), 'The boundary asked for.', {
    change: 'never', flag: 'isolation', value: 'container|vm|auto',
    means: { appContainer: 'Namespaces of the host kernel.', osContainer: 'Namespaces of the host kernel.', microVM: 'A kernel of its own.', vm: 'A kernel of its own.' },
  }),
  mode: field(z.enum(MODES).optional(), 'The life style.', {
    change: 'never', means: { appContainer: 'PID 1 is the image’s entrypoint.', osContainer: 'PID 1 is the image’s init; the root is kept.', microVM: 'The agent starts the image’s entrypoint.', vm: 'PID 1 of its own kernel is the image’s init; the root is kept.' },
  }),
  image: field(plainText(512, 'an image reference').min(1), 'Reference of the image.', {
    change: 'never', means: byForm('The root file system and the defaults of the process; a disk image is refused: it has a kernel of its own.', 'The root file system; a disk image is refused: it has a kernel of its own.', 'The root file system and the defaults of the process; a disk image is refused: it boots by its firmware.', 'The root file system; or the disk that is booted, a copy of its own; or the CD of an empty disk.'),
  }),
  firmware: field(z.enum(FIRMWARES).optional(), 'What starts the system of a disk image; bios when missing.', {
    change: 'restart', flag: 'firmware', value: 'bios|uefi', means: byForm(NO_FIRMWARE, NO_FIRMWARE, NO_BOOT, 'SeaBIOS or OVMF; refused for an image without a boot loader of its own.'),
  }),
  machinePreset: field(z.enum(MACHINE_PRESETS).optional(), 'The devices that the system of a disk image finds; virtio when missing.', {
    change: 'restart', flag: 'machine-preset', value: 'virtio|ahci-e1000', means: byForm(NO_FIRMWARE, NO_FIRMWARE, NO_BOOT, 'ahci-e1000 is for systems without virtio drivers; refused for an image without a boot loader of its own.'),
  }),
  iso: field(z.array(plainText(512, 'an image reference').min(1)).max(4).optional(), 'CDs in its drives when it boots: images of type iso.', {
    change: 'restart', flag: 'iso', value: 'IMAGE', repeat: true, means: byForm(NO_FIRMWARE, NO_FIRMWARE, NO_BOOT, 'Read-only; the disk is tried first, then the CDs. Refused for an image without a boot loader of its own.'),
  }),
  kernel: field(plainText(512, 'an image reference').min(1).optional(), 'A kernel of one’s own: an image that holds /boot/vmlinuz-RELEASE and /lib/modules/RELEASE; the distribution’s when missing.', {
    change: 'restart', flag: 'kernel', value: 'IMAGE', means: byForm(SHARES_KERNEL, SHARES_KERNEL, 'What its machine boots, with our agent and the modules that a guest needs.', 'What it boots, with our agent and the modules that a guest needs; refused for a disk image, which boots its own.'),
  }),
  entrypoint: field(z.array(dataText(131_072)).max(1024).optional(), 'Replaces the image’s entrypoint.', {
    change: 'restart', flag: 'entrypoint', value: 'COMMAND', means: byForm('First words of the process.', 'The init and its first arguments; /sbin/init when the image names none.', 'First words of the process in the guest.', 'The init and its first arguments; /sbin/init when the image names none.'),
  }),
  command: field(z.array(dataText(131_072)).max(4096).optional(), 'Replaces the image’s command.', {
    change: 'restart', means: byForm('Arguments after the entrypoint.', 'Arguments of the init.', 'Arguments after the entrypoint.', 'Arguments of the init.'),
  }),
  env: field(z.record(environmentName, dataText(131_072)).optional(), 'Environment of the process, over the image’s.', {
    change: 'restart', secret: true, flag: 'env', short: 'e', value: 'NAME[=VALUE]', repeat: true,
    means: byForm('Environment of PID 1 and of every exec.', 'Environment of the init and of every exec; services have their own.', 'Environment of the workload and of every exec.', 'Environment of the init and of every exec; services have their own.'),
  }),
  workdir: field(workDirectory.optional(), 'Working directory; made when missing.', {
    change: 'restart', flag: 'workdir', short: 'w', value: 'DIR', means: byForm('Where the process starts.', { refused: 'An init starts in /; give services their directory in their units.' }, 'Where the process starts in the guest.', { refused: 'An init starts in /; give services their directory in their units.' }),
  }),
  user: field(plainText(256, 'a user').optional(), 'USER[:GROUP], names or numbers.', {
    change: 'restart', flag: 'user', short: 'u', value: 'USER[:GROUP]', means: byForm('User inside a private range of host ids.', { refused: 'An init is root, inside a private range of host ids; `berth exec --user` takes another one.' }, 'User of the workload in the guest.', { refused: 'An init is root in its own machine; `berth exec --user` takes another one.' }),
  }),
  hostname: field(nameText.optional(), 'Host name; the instance’s name when missing.', {
    change: 'restart', flag: 'hostname', value: 'NAME', means: byForm('Name in the UTS namespace.', 'Name in the UTS namespace and in /etc/hostname, where it stays as the system changes it.', 'The guest’s host name.', 'The guest’s host name and /etc/hostname, where it stays as the system changes it; told to the cloud-init of a disk image.'),
  }),
  userData: field(userDataSchema.optional(), 'What to make of the system at its first boot: users, keys, files, commands; the part of cloud-config that Berth applies itself.', {
    change: 'never', secret: true, flag: 'user-data', value: 'FILE',
    means: { appContainer: NO_FIRST_BOOT, osContainer: 'Applied inside before the init starts, or handed to the image’s own cloud-init.', microVM: NO_FIRST_BOOT, vm: 'Applied inside before the init starts, or handed to the image’s own cloud-init; of a disk image always the latter (NoCloud).' },
  }),
  cloudInit: field(cloudInitText.optional(), 'User data for the image’s own cloud-init, as it is (NoCloud).', {
    change: 'never', secret: true,
    means: { appContainer: NO_FIRST_BOOT, osContainer: 'Laid out for cloud-init; refused where the image has none.', microVM: NO_FIRST_BOOT, vm: 'Laid out for cloud-init; refused where the image has none. For a disk image on a CD, whether it has cloud-init or not.' },
  }),
  terminal: field(z.boolean().optional(), 'Give the process a terminal.', {
    change: 'restart', flag: 'tty', short: 't', means: byForm('A pseudo-terminal held by the monitor.', 'Always so: the system’s console, held by the monitor.', 'A pseudo-terminal in the guest.', 'Always so: the system’s console, a pseudo-terminal in the guest.'),
  }),
  stdin: field(z.boolean().optional(), 'Keep standard input open for attach.', {
    change: 'restart', flag: 'interactive', short: 'i', means: byForm('A pipe held by the monitor.', 'Always so: `berth console` logs in.', 'A port to the guest held by the monitor.', 'Always so: `berth console` logs in.'),
  }),
  init: field(z.boolean().optional(), 'A small init reaps orphans.', {
    change: 'restart', flag: 'init', means: byForm('A static init is PID 1, the process its child.', { refused: 'PID 1 is the image’s own init.' }, 'Always so: the agent is PID 1.', { refused: 'PID 1 is the image’s own init.' }),
  }),
  readOnlyRoot: field(z.boolean().optional(), 'Nothing may be written to the root file system.', {
    change: 'restart', flag: 'read-only', means: byForm('The root is mounted read-only.', { refused: 'A system keeps its state on its root; use an app container.' }, 'The root is mounted read-only in the guest.', { refused: 'A system keeps its state on its root; use a microVM.' }),
  }),
  memoryBytes: field(bytesNumber.min(4 * 1024 * 1024).optional(), 'Memory that it may use.', {
    change: 'live', flag: 'memory', short: 'm', value: 'BYTES', means: byBoundary('cgroup limit, swap included.', 'RAM of the guest; while it runs a balloon takes and gives back within what it was started with, and more comes with its next start.'),
  }),
  cpus: field(z.number().min(0.01).max(1024).optional(), 'CPUs’ worth of time; 0.5 is half of one.', {
    change: 'live', flag: 'cpus', value: 'N', means: byBoundary('CFS quota.', 'vCPUs (rounded up) and a quota on their threads; while it runs the quota changes up to its vCPUs, and more of them come with its next start.'),
  }),
  cpuWeight: field(z.number().int().min(1).max(10_000).optional(), 'Share of CPU time when others want it too; 100 is normal.', {
    change: 'live', flag: 'cpu-weight', value: 'N', means: byBoundary('cgroup weight.', 'cgroup weight of the VM’s process.'),
  }),
  pids: field(z.number().int().min(3, 'a start alone takes 3 processes: the runtime makes the first process of the instance inside its limit').max(4_194_304).optional(), 'Most processes and threads.', {
    change: 'live', flag: 'pids-limit', value: 'N', means: byForm('cgroup limit.', 'cgroup limit.', 'cgroup limit that the agent sets in the guest.', { refused: 'Its kernel is its own; systemd’s TasksMax limits a service.' }),
  }),
  ulimits: field(z.partialRecord(z.enum(ULIMITS), z.strictObject({ soft: z.number().int().min(-1), hard: z.number().int().min(-1) })).optional(), 'Resource limits of the process; −1 is unlimited.', {
    change: 'restart', flag: 'ulimit', value: 'NAME=SOFT[:HARD]', repeat: true, means: byForm('setrlimit(2), clamped to the daemon’s own.', 'setrlimit(2) of the init, clamped to the daemon’s own; services may lower theirs.', 'setrlimit(2) in the guest.', 'setrlimit(2) of the init; services may change theirs.'),
  }),
  shmBytes: field(bytesNumber.optional(), 'Size of /dev/shm.', {
    change: 'restart', flag: 'shm-size', value: 'BYTES', means: byForm('Size of the tmpfs.', 'Size of the tmpfs.', 'Size of the tmpfs in the guest.', 'Size of the tmpfs in the guest.'),
  }),
  rootDiskBytes: field(bytesNumber.min(16 * 1024 * 1024).optional(), 'Size of the writable part of the root.', {
    change: 'never', flag: 'disk', value: 'BYTES', means: byForm('Refused where the pool has no quotas.', 'Refused where the pool has no quotas.', 'Size of the upper disk.', 'Size of the upper disk, or of the copy of a disk image, which is as large as the image when missing and never smaller.'),
  }),
  root: field(z.enum(ROOTS).optional(), 'How the root is made of the image; layers when missing.', {
    change: 'never', flag: 'root', value: 'layers|flat', means: byForm(LAYERS_ARE_HERE, LAYERS_ARE_HERE, NO_FLAT_APP, 'layers: one read-only disk for all, and an upper one of its own. flat: an ext4 of its own with a copy of the image in it, as large as --disk says. Refused for a disk image.'),
  }),
  tmpfs: field(z.array(z.strictObject({ target: mountTarget, sizeBytes: bytesNumber.min(4096) })).max(32).optional(), 'Memory-backed directories.', {
    change: 'restart', flag: 'tmpfs', value: 'DIR[:size=BYTES]', repeat: true, means: byForm('tmpfs, counted as the instance’s memory.', 'tmpfs, counted as the instance’s memory.', 'tmpfs in the guest.', 'tmpfs in the guest.'),
  }),
  volumes: field(z.array(volumeSchema).max(64).optional(), 'Data that outlives the instance.', {
    change: 'never', flag: 'volume', short: 'v', value: 'VOLUME:DIR[:ro]', repeat: true,
    means: { appContainer: 'Bind mount, ids unshifted on disk.', osContainer: 'Bind mount, ids unshifted on disk.', microVM: DISKS, vm: DISKS },
  }),
  networks: field(z.array(z.strictObject({ name: nameText, ipv4: IP_TEXT.optional(), ipv6: IP_TEXT.optional() })).max(8).optional(), 'Networks, in the order of eth0, eth1 …; [] is none; `default` when missing.', {
    change: 'never', flag: 'network', value: 'NAME|none', repeat: true, means: byForm('A veth in its own network namespace.', 'A veth in its own network namespace, addressed before the init starts.', 'A virtio NIC on a tap.', 'A virtio NIC on a tap, addressed by the agent before the init starts.'),
  }),
  ports: field(z.array(portSchema).max(128).optional(), 'Ports of the host that lead inside.', {
    change: 'never', flag: 'publish', short: 'p', value: '[ADDR:][HOSTPORT:]PORT[/udp]', repeat: true, means: everyForm('Destination NAT in the kernel; loopback unless an address is given.'),
  }),
  capabilities: field(z.strictObject({ add: z.array(CAPABILITY).max(64).default([]), drop: z.array(CAPABILITY).max(64).default([]) }).optional(), 'Linux capabilities over the form’s own set.', {
    change: 'restart', means: byForm('Within the user namespace.', 'Within the user namespace, over the set that an init needs.', 'Of the workload in the guest.', 'Of the init in the guest: all, unless dropped.'),
  }),
  restart: field(z.strictObject({ policy: z.enum(RESTART_POLICIES), maxRetries: z.number().int().min(1).max(1000).optional() }).optional(), 'What happens when it ends by itself.', {
    change: 'live', flag: 'restart', value: 'no|on-failure[:N]|always|unless-stopped', means: everyForm('Started again with a growing pause.'),
  }),
  stopSignal: field(SIGNAL.optional(), 'Signal that asks it to end.', {
    change: 'live', flag: 'stop-signal', value: 'SIGNAL', means: byForm('Sent to PID 1.', 'In place of the power-off that its init understands.', 'Sent to the workload by the agent.', 'In place of the power-off that its init understands.'),
  }),
  stopGraceMs: field(z.number().int().min(0).max(3_600_000).optional(), 'How long it may take to end before it is killed.', {
    change: 'live', flag: 'stop-timeout', value: 'SECONDS', means: everyForm('Then it is killed.'),
  }),
  log: field(z.strictObject({ maxBytes: bytesNumber.min(64 * 1024).max(1024 ** 4), maxFiles: z.number().int().min(1).max(100) }).optional(), 'How much output is kept.', {
    change: 'restart', means: byForm('Files written by the monitor.', 'What the console showed, in files written by the monitor.', 'Files written by the monitor.', 'What the console showed, in files written by the monitor.'),
  }),
  removeOnExit: field(z.boolean().optional(), 'Delete it when it ends.', { change: 'never', flag: 'rm', means: everyForm('Deleted with its root after the exit code was told.') }),
});
export type InstanceSpec = z.infer<typeof instanceSpec>;

export type PortSpec = z.infer<typeof portSchema>;
export type VolumeMountSpec = z.infer<typeof volumeSchema>;
export { portSchema, volumeSchema };
