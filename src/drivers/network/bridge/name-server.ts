/**
 * The name server of one network: a dnsmasq that outlives the daemon. It answers the network's own names and asks the
 * host's resolvers for the rest (an internal network: nothing). It also gives addresses, to ports that are known to ask,
 * and those that are theirs. Names and ports live in one file each; dnsmasq sees new ones by itself and reads all again
 * at SIGHUP.
 */
import fs from 'node:fs';
import path from 'node:path';
import { addressBytes, canonicalAddress, networkAddress } from '../../../lib/ip-address.ts';
import { BerthError } from '../../../model/errors.ts';
import { NAME_PATTERN } from '../../../model/ids.ts';
import { readBounded, writeFileAtomic } from '../../../host/files.ts';
import { findProcess, identify, isAlive, signalProcess } from '../../../host/process.ts';
import type { ProcessIdentity } from '../../../host/process.ts';
import { run } from '../../../host/run.ts';
import type { NameRecord, NetworkPlan, PortPlan } from '../driver.ts';

export interface NameServerOptions {
  /** A directory of this network alone. */
  readonly dir: string;
  readonly program: string;
  /** The host's resolv.conf. */
  readonly resolvConf: string;
  /** Whom it becomes after it has its sockets. */
  readonly user: string;
}

const MAX_FILE_BYTES = 64 * 1024;
const MAX_LEASE_BYTES = 4 * 1024 * 1024;
/** Names that vanish together cause one re-reading. */
const REREAD_DELAY_MS = 40;
const START_TIMEOUT_MS = 10_000;
const MAX_LOG_BYTES = 256 * 1024;

/** Text of the configuration. Every value was validated as an address, a name or a path of ours. */
export function configuration(plan: NetworkPlan, bridge: string, { dir, resolvConf, user }: NameServerOptions): string {
  const lines = [
    `pid-file=${path.join(dir, 'pid')}`,
    `user=${user}`,
    'group=nogroup',
    `interface=${bridge}`,
    'except-interface=lo',
    'bind-interfaces',
    `listen-address=${plan.ipv4.gateway}`,
    `listen-address=${plan.ipv6.gateway}`,
    'no-hosts',
    `hostsdir=${path.join(dir, 'names')}`,
    'local=/berth/',
    `local=/${reverseZone(plan.ipv4.gateway, plan.ipv4.prefixLength)}/`,
    `local=/${reverseZone(plan.ipv6.gateway, plan.ipv6.prefixLength)}/`,
    'domain-needed',
    ...addressLines(plan, bridge, dir),
    'local-ttl=0',
    'cache-size=500',
    // A file of its own: dnsmasq gives its log to its user, and the host's /dev/null must not be given away.
    `log-facility=${path.join(dir, 'log')}`,
    ...(plan.internal ? ['no-resolv'] : [`resolv-file=${resolvConf}`]),
  ];
  return `${lines.join('\n')}\n`;
}

/**
 * A lease over IPv6 belongs to an identifier that each system makes up for itself: one that is installed anew waits for
 * the end of its own. Over IPv4 the reservation says whose lease may be taken over.
 */
const LEASE4 = '1h', LEASE6 = '2m';

function addressLines(plan: NetworkPlan, bridge: string, dir: string): readonly string[] {
  const { gateway, prefixLength } = plan.ipv4;
  return [
    `dhcp-range=${networkAddress(gateway, prefixLength)},static,${networkAddress('255.255.255.255', prefixLength)},${LEASE4}`,
    `dhcp-range=${plan.ipv6.gateway},static,${plan.ipv6.prefixLength},${LEASE6}`,
    'dhcp-ignore=tag:!known',
    // Names are given by us: what an instance calls itself is its own business.
    'dhcp-ignore-names',
    'dhcp-authoritative',
    `dhcp-hostsdir=${path.join(dir, 'ports')}`,
    `dhcp-leasefile=${path.join(dir, 'leases')}`,
    `domain=${plan.project}.berth`,
    `dhcp-option=option6:domain-search,${plan.project}.berth`,
    'enable-ra',
    ...(plan.internal ? ['dhcp-option=option:router', `ra-param=${bridge},0,0`] : []),
    ...(plan.mtu === 1500 ? [] : [`dhcp-option=option:mtu,${plan.mtu}`]),
    // Instances would write as much into the log as they like.
    'quiet-dhcp', 'quiet-dhcp6', 'quiet-ra',
  ];
}

/** The zone in which addresses of this prefix are looked up, cut down to a whole label. */
export function reverseZone(address: string, prefixLength: number): string {
  const bytes = [...addressBytes(address)];
  if (bytes.length === 4) return `${bytes.slice(0, prefixLength >> 3).toReversed().join('.')}.in-addr.arpa`;
  const digits = bytes.flatMap((byte) => [byte >> 4, byte & 15]).slice(0, prefixLength >> 2);
  return `${digits.toReversed().map((digit) => digit.toString(16)).join('.')}.ip6.arpa`;
}

/** Lines of hosts(5): the full name first, so that a reverse lookup gives it. */
export function hostsFile(records: readonly NameRecord[], domain: string): string {
  return records.flatMap(({ name, addresses }) => {
    if (!NAME_PATTERN.test(name)) throw new BerthError('invalid', `'${name.slice(0, 63)}' cannot be a DNS name.`, { hint: 'Use 1–63 lower-case letters, digits and dashes.' });
    return addresses.map((address) => `${canonicalAddress(address)} ${name}.${domain} ${name}\n`);
  }).join('');
}

/**
 * A line of dhcp-host: who asks with this MAC gets these addresses. `before` is whose lease of the IPv4 address is still
 * written down: it may be taken over.
 */
export function reservation(port: Pick<PortPlan, 'mac' | 'ipv4' | 'ipv6'>, before: string | undefined): string {
  const macs = [port.mac.toLowerCase(), ...(before === undefined || before === port.mac.toLowerCase() ? [] : [before])];
  if (!macs.every((mac) => /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/.test(mac))) throw new BerthError('invalid', 'A port has a MAC of six bytes.');
  return `${macs.join(',')},${canonicalAddress(port.ipv4)},[${canonicalAddress(port.ipv6)}]\n`;
}

export class NameServer implements AsyncDisposable {
  readonly #options: NameServerOptions;
  #domain = '';
  #reread: NodeJS.Timeout | undefined;
  #adopted = false;

  constructor(options: NameServerOptions) {
    this.#options = options;
  }

  /** Runs with this configuration when it resolves; true when it had to be started. An old one with another is replaced. */
  async ensure(plan: NetworkPlan, bridge: string): Promise<boolean> {
    const { dir, program } = this.#options;
    this.#domain = `${plan.project}.berth`;
    const wanted = configuration(plan, bridge, this.#options);
    const file = path.join(dir, 'dnsmasq.conf');
    const process = await this.process();
    const found = await readBounded(file, MAX_FILE_BYTES).then(String, () => '');
    if (process !== undefined && found === wanted) {
      // The daemon before this one may have ended between taking a name away and saying so.
      if (!this.#adopted) signalProcess(process, 'SIGHUP');
      this.#adopted = true;
      return false;
    }
    this.#adopted = true;
    await fs.promises.mkdir(path.join(dir, 'ports'), { recursive: true, mode: 0o755 });
    const isNew = await fs.promises.mkdir(path.join(dir, 'names'), { recursive: true, mode: 0o755 }) !== undefined;
    // One that lost its pid file still holds the addresses.
    const old = process ?? (isNew ? undefined : await this.#lost());
    if (old !== undefined) await end(old);
    await fs.promises.chmod(dir, 0o711); // the unprivileged server reads the names
    await fs.promises.chmod(path.join(dir, 'names'), 0o755);
    await fs.promises.chmod(path.join(dir, 'ports'), 0o755);
    await writeFileAtomic(file, wanted);
    // It goes to the background by itself once its sockets are bound, so its exit code says whether it can serve.
    const { code, stderr } = await run(program, [`--conf-file=${file}`], { timeoutMs: START_TIMEOUT_MS, allowFailure: true });
    if (code !== 0) throw new BerthError('unavailable', `The name server of network ${plan.name} did not start: ${stderr.trim().slice(0, 500)}`, { hint: 'Something else may listen on port 53 of all addresses; `berth doctor` names it.' });
    return true;
  }

  /** Makes these the names of `owner`. New ones are known at once, old ones forgotten within a moment of resolving. */
  async setNames(owner: string, records: readonly NameRecord[]): Promise<void> {
    const file = path.join(this.#options.dir, 'names', owner);
    const text = hostsFile(records, this.#domain);
    const before = await readBounded(file, MAX_FILE_BYTES).then(String, () => '');
    if (text === before) return;
    if (text === '') await fs.promises.rm(file, { force: true });
    else await replaceFile(file, path.join(this.#options.dir, `new-${owner}`), text);
    if (before !== '') this.#rereadSoon();
  }

  /** The port's addresses are given to who asks there; undefined: to nobody any more. */
  async setPort(portId: string, port: Pick<PortPlan, 'mac' | 'ipv4' | 'ipv6'> | undefined): Promise<void> {
    const file = path.join(this.#options.dir, 'ports', portId);
    const before = await readBounded(file, MAX_FILE_BYTES).then(String, () => '');
    if (port === undefined) await fs.promises.rm(file, { force: true });
    else {
      const plain = reservation(port, undefined), taken = plain.indexOf(',');
      // Whose lease was taken over is history.
      if (before.startsWith(plain.slice(0, taken)) && before.endsWith(plain.slice(taken))) return;
      const text = reservation(port, await this.#leaseholder(canonicalAddress(port.ipv4)));
      await replaceFile(file, path.join(this.#options.dir, `new-${portId}`), text);
    }
    if (before !== '') this.#rereadSoon();
  }

  /** Lines of `leases`: EXPIRY MAC ADDRESS NAME CLIENT. */
  async #leaseholder(ipv4: string): Promise<string | undefined> {
    const text = await readBounded(path.join(this.#options.dir, 'leases'), MAX_LEASE_BYTES).then(String, () => '');
    return text.split('\n').map((line) => line.split(' ')).find((words) => words[2] === ipv4)?.[1]?.toLowerCase();
  }

  /** Ends it and takes its files away. */
  async remove(): Promise<void> {
    clearTimeout(this.#reread);
    const process = (await this.process()) ?? (fs.existsSync(this.#options.dir) ? await this.#lost() : undefined);
    if (process !== undefined) await end(process);
    await fs.promises.rm(this.#options.dir, { recursive: true, force: true });
  }

  /** The running server, told from a stranger with its pid by its command line. */
  async process(): Promise<ProcessIdentity | undefined> {
    const text = await readBounded(path.join(this.#options.dir, 'pid'), 32).then(String, () => '');
    const pid = Number(text.trim());
    if (!Number.isSafeInteger(pid) || pid <= 1) return undefined;
    const identity = identify(pid);
    const command = await fs.promises.readFile(`/proc/${pid}/cmdline`, 'latin1').catch(() => '');
    return command.includes(`${this.#word}\0`) ? identity : undefined;
  }

  get #word(): string {
    return `--conf-file=${path.join(this.#options.dir, 'dnsmasq.conf')}`;
  }

  #lost(): Promise<ProcessIdentity | undefined> {
    return findProcess((words) => words.includes(this.#word));
  }

  /** What waits to be said is said; nothing is said any more. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#reread === undefined) return;
    clearTimeout(this.#reread);
    await this.#rereadNow();
  }

  /** Not waited for: a stop need not take the time. */
  #rereadSoon(): void {
    this.#reread ??= setTimeout(() => void this.#rereadNow(), REREAD_DELAY_MS);
  }

  async #rereadNow(): Promise<void> {
    this.#reread = undefined;
    const process = await this.process();
    if (process !== undefined) signalProcess(process, 'SIGHUP');
    await this.boundLog();
  }

  /** It grows by a few lines with every rereading; the server appends, so that it may be cut at any time. */
  async boundLog(): Promise<void> {
    const file = path.join(this.#options.dir, 'log');
    const stat = await fs.promises.lstat(file).catch(() => undefined);
    if (stat?.isFile() === true && stat.size > MAX_LOG_BYTES) await fs.promises.truncate(file);
  }
}

/** Seen by the reader as one event, never half written. No fsync: names are written anew after a reboot. */
async function replaceFile(file: string, temporary: string, text: string): Promise<void> {
  await fs.promises.writeFile(temporary, text, { mode: 0o644 });
  await fs.promises.rename(temporary, file);
}

async function end(process: ProcessIdentity): Promise<void> {
  const deadline = performance.now() + 5_000;
  signalProcess(process, 'SIGTERM');
  while (isAlive(process)) {
    if (performance.now() > deadline) signalProcess(process, 'SIGKILL');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
