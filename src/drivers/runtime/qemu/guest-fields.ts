/** A unit's plan in the words of the guest's agent. Pure. */
import type { Fields } from '../../../model/agent-protocol.ts';
import { BerthError } from '../../../model/errors.ts';
import { printable } from '../../../model/ids.ts';
import { bootSeed } from '../boot-seed.ts';
import type { ExecPlan, ProcessPlan, UnitPlan } from '../driver.ts';
import { PROGRAM_INSIDE } from '../program-inside.ts';
import { capabilityNumber, rlimitNumber } from './linux-numbers.ts';
import { shareTag } from './command-line.ts';
import { volumeSerial } from './machine.ts';

/** Where the agent shows the boot seed inside an image with an init of its own (native/agent/launch.c). */
const SEED_FILE = '/dev/.seed';

export interface BootFacts {
  /** Nanoseconds since 1970. */
  readonly clockNs: bigint;
  /** Randomness for the guest's pool, hexadecimal, 64 bytes. */
  readonly seed: string;
  /** Of a machine that resumed from a template: the word that it answers to from now on, and what its interfaces are called till now. */
  readonly identity?: { readonly nonce: string; readonly macOf: (index: number) => string } | undefined;
}

/** Network, names, root file system. */
export function setupFields(plan: UnitPlan, boot: BootFacts): Fields {
  const { interfaces } = plan.network;
  return {
    hostname: plan.hostname,
    hosts: hostsFile(plan),
    'resolv-conf': resolvConf(plan),
    'clock-ns': String(boot.clockNs), seed: boot.seed, ...(boot.identity === undefined ? {} : { nonce: boot.identity.nonce }),
    ...(plan.root.flat === true ? { flat: true } : { root: 'root' }), upper: plan.root.upperDisk === undefined ? undefined : 'upper',
    'read-only': plan.root.readOnly,
    'shm-bytes': plan.shmBytes,
    tmpfs: plan.tmpfs.map((tmpfs) => `${tmpfs.sizeBytes} ${absolutePath(tmpfs.target)}`),
    volume: volumes(plan),
    sysctl: Object.entries(plan.sysctls).map(([key, value]) => sysctl(key, value)),
    interface: interfaces.map((one, index) => `${one.name} ${one.mac} ${one.mtu}${boot.identity === undefined ? '' : ` ${boot.identity.macOf(index)}`}`),
    address: interfaces.flatMap((one) => one.addresses.map(({ address, prefixLength }) => `${one.name} ${address} ${prefixLength}`)),
    gateway: interfaces.flatMap((one) => one.gateways.map((gateway) => `${one.name} ${gateway}`)),
  };
}

/** Parents before children, else the parent would cover the child. */
function volumes(plan: UnitPlan): readonly string[] {
  const depth = ({ target }: { readonly target: string }): number => absolutePath(target).split('/').filter((part) => part !== '').length;
  return [
    ...(plan.volumeDisks ?? []).map((one, index) => ({ ...one, what: `${volumeSerial(index, one)} disk` })),
    ...plan.mounts.map((one, index) => ({ ...one, what: `${shareTag(index)} share` })),
  ].sort((a, b) => depth(a) - depth(b)).map(({ what, readOnly, target }) => `${what} ${readOnly ? 'ro' : 'rw'} ${target}`);
}

export function workloadFields(plan: UnitPlan): Fields {
  const ownInit = plan.form === 'vm';
  return {
    ...processFields(ownInit ? { ...plan.process, args: [PROGRAM_INSIDE, 'boot', SEED_FILE, '--', ...plan.process.args] } : plan.process, plan),
    ...(ownInit ? { 'own-init': true, 'boot-seed': Buffer.from(bootSeed(plan)).toString('hex') } : {}),
    stdin: plan.stdin || plan.process.terminal,
    init: plan.init,
    pids: plan.resources.pids,
    rlimit: plan.rlimits.map(({ type, soft, hard }) => `${rlimitNumber(type)} ${soft} ${hard}`),
  };
}

export function execFields(plan: ExecPlan, windowBytes: number): Fields {
  return { ...processFields(plan, plan), stdin: plan.stdin || plan.terminal, window: windowBytes };
}

function processFields(process: ProcessPlan, rights: { readonly capabilities: readonly string[]; readonly noNewPrivileges: boolean }): Fields {
  return {
    arg: process.args, env: process.env, cwd: absolutePath(process.cwd),
    uid: process.user.uid, gid: process.user.gid, group: process.user.additionalGids,
    terminal: process.terminal, rows: process.size?.rows, columns: process.size?.columns,
    capability: rights.capabilities.map((name) => capabilityNumber(name)),
    'no-new-privileges': rights.noNewPrivileges,
  };
}

function hostsFile(plan: UnitPlan): string {
  const own = plan.network.interfaces.flatMap((one) => one.addresses.map(({ address }) => `${address}\t${plan.hostname}`));
  return [
    '127.0.0.1\tlocalhost', '::1\tlocalhost ip6-localhost ip6-loopback', 'ff02::1\tip6-allnodes', 'ff02::2\tip6-allrouters',
    ...(own.length === 0 ? [`127.0.1.1\t${plan.hostname}`] : own), '',
  ].join('\n');
}

function resolvConf(plan: UnitPlan): string {
  const { searchDomains, nameservers } = plan.network;
  return [...(searchDomains.length === 0 ? [] : [`search ${searchDomains.join(' ')}`]), ...nameservers.map((address) => `nameserver ${address}`), ''].join('\n');
}

function absolutePath(path: string): string {
  if (path.startsWith('/')) return path;
  throw new BerthError('invalid', `'${printable(path)}' is not an absolute path.`);
}

/** All of a guest's settings are its own, but a value must stay one line of one file below /proc/sys. */
function sysctl(key: string, value: string): string {
  if (!/^[a-z][\w-]*([./][\w*:-]+)+$/.test(key) || /[\0-\x08\n-\x1f]/.test(value)) throw new BerthError('invalid', `'${printable(key)}' is not a kernel setting.`);
  return `${key}=${value}`;
}
