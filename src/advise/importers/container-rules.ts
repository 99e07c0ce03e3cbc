/** Rules that hold for containers of every engine: what variables, mounts, capabilities and commands give away. */
import type { WorkloadDraft } from './workload-draft.ts';

const SECRET_NAME = /(PASS(WORD|WD|PHRASE)?|SECRET|TOKEN|API_?KEY|PRIVATE_?KEY|ACCESS_?KEY|CREDENTIALS?|DSN)$/i;

/** Names of variables whose values are secrets: by name, with a value that is no file and no reference. */
export function secretNames(env: readonly (readonly [string, string | undefined])[]): readonly string[] {
  return env
    .filter(([name, value]) => (SECRET_NAME.test(name) && value !== undefined && value !== '' && !value.includes('${')) || (value !== undefined && /^[a-z][a-z0-9+]*:\/\/[^\s/:@]+:[^\s/@]+@/.test(value) && !value.includes('${')))
    .map(([name]) => name)
    .toSorted();
}

export function writeSecrets(draft: WorkloadDraft, env: readonly (readonly [string, string | undefined])[], from: string): void {
  draft.inferred('inside.envSecrets', secretNames(env), 'Variables are secrets when their name ends like one (PASSWORD, SECRET, TOKEN, KEY) or their value is an address with a password, and the value stands there itself.', from);
}

/** Where the official images of data bases keep their data. */
const DATABASE_DIRECTORIES = ['/var/lib/mysql', '/var/lib/postgresql', '/var/lib/pgsql', '/data/db', '/var/opt/mssql', '/opt/oracle/oradata', '/var/lib/cassandra', '/var/lib/couchdb', '/var/lib/clickhouse', '/usr/share/elasticsearch/data', '/var/lib/mongodb', '/var/lib/influxdb', '/var/lib/neo4j', '/bitnami/postgresql', '/bitnami/mariadb', '/bitnami/mysql', '/bitnami/mongodb'];

/** `targets`: where volumes that outlive the container are mounted and can be written. */
export function writeState(draft: WorkloadDraft, targets: readonly string[], from: string): void {
  const database = targets.find((target) => DATABASE_DIRECTORIES.some((directory) => target === directory || target.startsWith(`${directory}/`)));
  if (database !== undefined) draft.inferred('state.kind', 'database', `A data base keeps its data in ${database}.`, from);
  else if (targets.length > 0) draft.inferred('state.kind', 'files', 'It writes to volumes that outlive it.', from);
  else draft.inferred('state.kind', 'none', 'No volume outlives it.', from);
}

export interface HostPath {
  readonly path: string;
  readonly readOnly?: boolean | undefined;
}

export function writeHostPaths(draft: WorkloadDraft, paths: readonly HostPath[], from: string): void {
  draft.knew('privileges.hostPaths', paths.map(({ path, readOnly }) => ({ path, ...(readOnly === undefined ? {} : { readOnly }) })), from);
}

const EBPF_PATHS = ['/sys/fs/bpf', '/sys/kernel/debug', '/sys/kernel/tracing'];

/** eBPF over the host is seen by its tools: the file systems of BPF and tracing, or the capabilities for it with the host's processes. */
export function writeEbpf(draft: WorkloadDraft, { paths, capabilities, hostProcesses, privileged }: { readonly paths: readonly HostPath[]; readonly capabilities: readonly string[]; readonly hostProcesses: boolean; readonly privileged: boolean }, from: string): void {
  const tracing = paths.find(({ path }) => EBPF_PATHS.some((one) => path === one || path.startsWith(`${one}/`)));
  const allowed = capabilities.some((one) => one === 'BPF' || one === 'PERFMON' || one === 'SYS_ADMIN');
  if (tracing !== undefined && (allowed || privileged)) draft.inferred('os.ebpf', 'host', `It has ${tracing.path} of the host and the rights to use it.`, from);
  else if (allowed && hostProcesses && capabilities.includes('BPF')) draft.inferred('os.ebpf', 'host', 'It has the capability BPF and sees the host’s processes.', from);
  else if (!allowed && !privileged) draft.inferred('os.ebpf', 'none', 'It asks for none of the capabilities BPF, PERFMON and SYS_ADMIN.', from);
  else draft.unknown('os.ebpf', from);
}

/** capabilities(7), Linux 6.18. */
const ALL_CAPABILITIES = [
  'AUDIT_CONTROL', 'AUDIT_READ', 'AUDIT_WRITE', 'BLOCK_SUSPEND', 'BPF', 'CHECKPOINT_RESTORE', 'CHOWN', 'DAC_OVERRIDE', 'DAC_READ_SEARCH', 'FOWNER', 'FSETID', 'IPC_LOCK', 'IPC_OWNER', 'KILL',
  'LEASE', 'LINUX_IMMUTABLE', 'MAC_ADMIN', 'MAC_OVERRIDE', 'MKNOD', 'NET_ADMIN', 'NET_BIND_SERVICE', 'NET_BROADCAST', 'NET_RAW', 'PERFMON', 'SETFCAP', 'SETGID', 'SETPCAP', 'SETUID',
  'SYSLOG', 'SYS_ADMIN', 'SYS_BOOT', 'SYS_CHROOT', 'SYS_MODULE', 'SYS_NICE', 'SYS_PACCT', 'SYS_PTRACE', 'SYS_RAWIO', 'SYS_RESOURCE', 'SYS_TIME', 'SYS_TTY_CONFIG', 'WAKE_ALARM',
];

/** Without CAP_ and in capitals; `ALL` is all of them by name. */
export function capabilityNames(names: readonly string[]): readonly string[] {
  const plain = names.map((one) => one.toUpperCase().replace(/^CAP_/, ''));
  return plain.includes('ALL') ? ALL_CAPABILITIES : [...new Set(plain)].toSorted();
}

export function writeModules(draft: WorkloadDraft, capabilities: readonly string[], paths: readonly HostPath[], privileged: boolean, from: string): void {
  const loads = capabilities.includes('SYS_MODULE') || paths.some(({ path }) => path === '/lib/modules');
  if (loads) draft.unknown('os.modules', `${from}: it may load kernel modules, and nothing says which`);
  else if (!privileged) draft.inferred('os.modules', [], 'Without the capability SYS_MODULE it cannot load any.', from);
}

const INIT = /^(?:.*\/)?(systemd|init|openrc-init|runit|runit-init|s6-svscan|s6-overlay-init)$/;
const SUPERVISOR = /^(?:.*\/)?(supervisord|s6-svscan|s6-overlay|runsvdir|monit|circusd|pm2-runtime|multirun|goreman|honcho|foreman)$/;

/** What the first words of its command give away about what is inside. */
export function writeCommand(draft: WorkloadDraft, words: readonly string[], from: string): void {
  const first = words.find((word) => !/^(?:.*\/)?(env|exec|sh|bash|tini|dumb-init|docker-init|catatonit|gosu|su-exec|-c|--|-s|-g)$/.test(word));
  if (first === undefined) return;
  if (INIT.test(first)) draft.inferred('inside.needsInit', true, `Its first process is ${clipped(first)}.`, from);
  else if (SUPERVISOR.test(first)) {
    draft.inferred('inside.applications', 2, `It starts ${clipped(first)}, which supervises several: at least two.`, from);
    draft.inferred('inside.needsInit', true, `It starts ${clipped(first)}, which does an init’s work.`, from);
  } else draft.inferred('inside.needsInit', false, `Its first process is ${clipped(first)}, which is no init.`, from);
}

function clipped(text: string): string {
  return text.slice(0, 80);
}

/** `0`, `root`, `0:0` is root; any other name or number is not. undefined: the image decides, and nobody looked. */
export function isRootUser(user: string | undefined): boolean | undefined {
  if (user === undefined || user === '') return undefined;
  const name = user.split(':')[0]!;
  return name === '0' || name === 'root';
}

/** A port of sshd inside: 22, as published or exposed. */
export function writeSsh(draft: WorkloadDraft, ports: readonly number[], from: string): void {
  if (ports.includes(22)) draft.inferred('inside.sshLogins', true, 'Port 22 leads inside.', from);
  else if (ports.length > 0) draft.inferred('inside.sshLogins', false, 'Port 22 does not lead inside.', from);
}

/** A running container shares the host's kernel: it has none of its own and boots nothing. */
export function writeContainerToday(draft: WorkloadDraft, form: 'appContainer' | 'osContainer', from: string): void {
  draft.knew('change.currentForm', form, from);
  draft.inferred('os.family', 'linux', 'Containers of this kind run on Linux.', from);
  draft.inferred('os.ownKernel', false, 'It runs on the kernel of its host today.', from);
  draft.inferred('os.kernelParameters', [], 'It runs on the kernel of its host today.', from);
}
