/** The networks of this root as bridges of the host: made, found again after a restart, repaired, removed. */
import crypto from 'node:crypto';
import fs from 'node:fs';
import { isIPv4, isIPv6 } from 'node:net';
import path from 'node:path';
import { BerthError } from '../../../model/errors.ts';
import { isObjectId, NAME_PATTERN } from '../../../model/ids.ts';
import type { ObjectId } from '../../../model/ids.ts';
import { Links } from '../../../host/links.ts';
import type { Link, Prefix } from '../../../host/links.ts';
import { setInterfaceSwitches } from '../../../host/sysctl.ts';
import type { NetworkPlan } from '../driver.ts';
import { networkFacts } from './facts.ts';
import { NameServer } from './name-server.ts';
import type { HostNames } from './names.ts';
import type { RuleKeeper } from './rule-keeper.ts';

/** A network as it is on the host. */
export interface BuiltNetwork {
  readonly plan: NetworkPlan;
  readonly bridge: string;
  readonly bridgeIndex: number;
  readonly nameServer: NameServer;
}

export interface NetworksOptions {
  readonly names: HostNames;
  readonly rules: RuleKeeper;
  readonly rootTag: string;
  readonly runDir: string;
  readonly dnsmasq: string;
  readonly dnsUser: string | undefined;
  readonly resolvConf: string;
}

/** The bridge listens to nobody about routes and neighbours, and does not speak for other interfaces. */
const BRIDGE_SWITCHES = {
  'ipv4/conf/@/rp_filter': '1',
  'ipv4/conf/@/arp_ignore': '1',
  'ipv4/conf/@/send_redirects': '0',
  'ipv4/conf/@/accept_redirects': '0',
  'ipv4/conf/@/route_localnet': '0',
  'ipv6/conf/@/accept_ra': '0',
  'ipv6/conf/@/autoconf': '0',
  'ipv6/conf/@/accept_dad': '0',
  'ipv6/conf/@/accept_redirects': '0',
} as const;

export class Networks implements AsyncDisposable {
  readonly #options: NetworksOptions;
  readonly #links = new Links();
  #user: string | undefined;
  readonly #built = new Map<ObjectId, BuiltNetwork>();

  constructor(options: NetworksOptions) {
    this.#options = options;
  }

  get all(): readonly BuiltNetwork[] {
    return [...this.#built.values()];
  }

  get links(): Links {
    return this.#links;
  }

  has(id: string): boolean {
    return this.#built.has(id as ObjectId);
  }

  get(id: ObjectId): BuiltNetwork {
    const network = this.#built.get(id);
    if (network === undefined) throw new BerthError('notFound', `There is no network ${id} on this host.`);
    return network;
  }

  /** Idempotent. Answers a sentence for each thing that was there once and had to be made again. */
  async ensure(plan: NetworkPlan, ports: ReadonlySet<string> = new Set()): Promise<readonly string[]> {
    validate(plan);
    const { names, rules, rootTag } = this.#options;
    const repairs: string[] = [];
    const known = this.#built.get(plan.id);
    let link = await this.#find(plan.id);
    if (link === undefined) {
      if (known !== undefined) repairs.push(`The bridge of network ${plan.name} was gone; it was made again.`);
      // One without a label is what a crash left between making and labelling.
      for (const bridge of await this.bridges()) if (bridge.alias === '') await this.#links.remove(bridge.index);
      const name = await this.#freeName();
      const mac = macOf(`${rootTag} ${plan.id}`);
      await this.#links.createBridge(name, mac, plan.mtu);
      link = (await this.#links.list()).find((other) => other.name === name)!;
      await this.#links.setAlias(link.index, plan.id);
    } else if (link.mtu !== plan.mtu) await this.#links.setMtu(link.index, plan.mtu);
    await rules.set(`network:${plan.id}`, networkFacts(link.name, plan));
    await setInterfaceSwitches(link.name, BRIDGE_SWITCHES);
    const there = (await this.#links.addresses()).filter((address) => address.link === link.index);
    for (const { gateway, prefixLength } of [plan.ipv4, plan.ipv6]) {
      if (there.some((address) => address.address === gateway && address.prefixLength === prefixLength)) continue;
      if (known !== undefined && repairs.length === 0) repairs.push(`Network ${plan.name} had lost its address ${gateway}; it has it again.`);
      await this.#links.addAddress(link.index, gateway, prefixLength);
    }
    if (!link.up) {
      if (known !== undefined && repairs.length === 0) repairs.push(`The bridge of network ${plan.name} was down; it is up again.`);
      await this.#links.setUp(link.index);
    }
    // Ports outlive their bridge: bring those that lost it back.
    const lost = (await this.#links.list()).filter((port) => port.master !== link.index && names.portIdOf(port.name) !== undefined && ports.has(port.name));
    for (const port of lost) {
      await this.#links.setMaster(port.index, link.index);
      repairs.push(`Port ${port.name} had left network ${plan.name}; it is back.`);
    }
    const nameServer = known?.nameServer ?? await this.#nameServer(plan.id);
    this.#built.set(plan.id, { plan, bridge: link.name, bridgeIndex: link.index, nameServer });
    const started = await nameServer.ensure(plan, link.name);
    if (started && known !== undefined) repairs.push(`The name server of network ${plan.name} did not run; it was started.`);
    return repairs;
  }

  /** A look without a touch: is the network as its plan says? `ports` are the interfaces that belong to it. */
  async isIntact({ plan, bridge, nameServer }: BuiltNetwork, links: readonly Link[], addresses: readonly Prefix[], ports: ReadonlySet<string>): Promise<boolean> {
    const link = links.find((other) => other.name === bridge);
    if (link === undefined || !link.up || link.alias !== plan.id) return false;
    const addressed = [plan.ipv4, plan.ipv6].every(({ gateway, prefixLength }) => addresses.some((other) => other.link === link.index && other.address === gateway && other.prefixLength === prefixLength));
    const joined = links.every((port) => port.master === link.index || !ports.has(port.name));
    await nameServer.boundLog();
    return addressed && joined && (await nameServer.process()) !== undefined;
  }

  async remove(id: ObjectId): Promise<void> {
    await (this.#built.get(id)?.nameServer ?? await this.#nameServer(id)).remove();
    const link = await this.#find(id);
    if (link !== undefined) await this.#links.remove(link.index);
    this.#built.delete(id);
    if (this.#built.size === 0) await fs.promises.rmdir(path.join(this.#options.runDir, 'networks')).catch(() => undefined); // another network's files stay
    if (this.#options.rules.has(`network:${id}`)) await this.#options.rules.set(`network:${id}`, []);
  }

  /** Bridges of this root, with the network they were made for. */
  async bridges(): Promise<readonly Link[]> {
    return (await this.#links.list()).filter((link) => link.kind === 'bridge' && this.#options.names.isBridge(link.name));
  }

  /** Networks whose name server has a place on disk, running or not. */
  async nameServers(): Promise<readonly string[]> {
    return fs.promises.readdir(path.join(this.#options.runDir, 'networks')).catch(() => []);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { nameServer } of this.#built.values()) await nameServer[Symbol.asyncDispose]();
    this.#links[Symbol.dispose]();
  }

  async #nameServer(id: ObjectId): Promise<NameServer> {
    const { runDir, dnsmasq: program, resolvConf, dnsUser } = this.#options;
    this.#user ??= dnsUser ?? ((await fs.promises.readFile('/etc/passwd', 'utf8').catch(() => '')).includes('\ndnsmasq:') ? 'dnsmasq' : 'nobody');
    return new NameServer({ dir: path.join(runDir, 'networks', id), program, user: this.#user, resolvConf });
  }

  async #find(id: ObjectId): Promise<Link | undefined> {
    return (await this.bridges()).find((link) => link.alias === id);
  }

  async #freeName(): Promise<string> {
    const taken = new Set((await this.#links.list()).map((link) => link.name));
    for (let number = 1; ; number++) if (!taken.has(this.#options.names.bridge(number))) return this.#options.names.bridge(number);
  }
}

/** Locally administered, the same after each repair: instances keep it in their neighbour tables. */
function macOf(seed: string): string {
  const digest = crypto.createHash('sha256').update(seed).digest();
  return `02:${[...digest.subarray(0, 5)].map((byte) => byte.toString(16).padStart(2, '0')).join(':')}`;
}

/** The plan comes from our own control plane; what it says still ends up in files and in the kernel. */
function validate(plan: NetworkPlan): void {
  const good = isObjectId(plan.id) && NAME_PATTERN.test(plan.name) && NAME_PATTERN.test(plan.project)
    && isIPv4(plan.ipv4.gateway) && isIPv6(plan.ipv6.gateway) && !plan.ipv6.gateway.includes('%')
    && Number.isInteger(plan.ipv4.prefixLength) && plan.ipv4.prefixLength >= 8 && plan.ipv4.prefixLength <= 30
    && Number.isInteger(plan.ipv6.prefixLength) && plan.ipv6.prefixLength >= 48 && plan.ipv6.prefixLength <= 126
    && Number.isInteger(plan.mtu) && plan.mtu >= 1280 && plan.mtu <= 65_535;
  if (!good) throw new BerthError('invalid', `Network ${String(plan.name).slice(0, 63)} has a name, address or MTU that cannot be used.`);
}
