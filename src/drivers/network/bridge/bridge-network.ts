/** The network driver of this host: Linux bridges, nftables and dnsmasq. */
import { isIPv4, isIPv6 } from 'node:net';
import { canonicalAddress } from '../../../lib/ip-address.ts';
import { BerthError } from '../../../model/errors.ts';
import { isObjectId } from '../../../model/ids.ts';
import type { ObjectId } from '../../../model/ids.ts';
import { Forwarding } from '../../../host/forwarding.ts';
import { IDS_PER_RANGE, Leases } from '../../../host/leases.ts';
import { closeDescriptor } from '../../../host/libc.ts';
import { readLinkTraffic } from '../../../host/link-traffic.ts';
import { Nft } from '../../../host/nft.ts';
import { SandboxMaker } from '../../../host/sandbox-maker.ts';
import type { SandboxInterface } from '../../../host/sandbox-maker.ts';
import type { NameRecord, NetworkDriver, NetworkPlan, PortPlan, PortTraffic, PublishedPort, Sandbox, SandboxPlan } from '../driver.ts';
import { portFacts } from './facts.ts';
import type { Fact } from './facts.ts';
import { hostNames } from './names.ts';
import type { HostNames } from './names.ts';
import { Networks } from './networks.ts';
import type { GuardsLeftOut } from './port-rules.ts';
import { Publisher } from './publisher.ts';
import { RuleKeeper } from './rule-keeper.ts';

export interface BridgeNetworkOptions {
  readonly rootDir: string;
  readonly runDir: string;
  /** Six characters 0-9 a-z. */
  readonly rootTag: string;
  /** Shared by all roots of this machine: /run/berth-leases. */
  readonly leaseDir: string;
  /** `berth-native` */
  readonly nativeProgram: string;
  readonly dnsmasq?: string | undefined;
  readonly nft?: string | undefined;
  /** The user that name servers become; `dnsmasq` where there is one, else `nobody`. */
  readonly dnsUser?: string | undefined;
  readonly resolvConf?: string | undefined;
  /** Shared with who else leases for this root (VM uids). Made here when missing. */
  readonly leases?: Leases | undefined;
  /** For tests: the driver without these guards must fail its cases. */
  readonly guardsLeftOut?: GuardsLeftOut | undefined;
}

export function bridgeNetwork(options: BridgeNetworkOptions): NetworkDriver {
  return new BridgeNetwork(options);
}

class BridgeNetwork implements NetworkDriver {
  readonly #names: HostNames;
  readonly #leases: Leases;
  readonly #rules: RuleKeeper;
  readonly #networks: Networks;
  readonly #forwarding: Forwarding;
  readonly #maker: SandboxMaker;
  readonly #publisher: Publisher;
  readonly #nft: Nft;
  readonly #open = new Set<Sandbox>();
  /** Ports whose rules are in force, by id. */
  readonly #ports = new Map<string, PortPlan>();
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: BridgeNetworkOptions) {
    const { rootTag, rootDir, runDir, leaseDir } = options;
    const resolvConf = options.resolvConf ?? '/etc/resolv.conf';
    this.#names = hostNames(rootTag);
    this.#leases = options.leases ?? new Leases({ leaseDir, rootTag, rootDir, resolvConf });
    this.#nft = new Nft(options.nft);
    this.#rules = new RuleKeeper(this.#names, this.#nft, options.guardsLeftOut ?? new Set());
    this.#networks = new Networks({ names: this.#names, rules: this.#rules, rootTag, runDir, dnsmasq: options.dnsmasq ?? 'dnsmasq', dnsUser: options.dnsUser, resolvConf });
    this.#forwarding = new Forwarding({ leases: this.#leases.directory });
    this.#maker = new SandboxMaker(options.nativeProgram);
    this.#publisher = new Publisher({ rules: this.#rules, leases: this.#leases, program: options.nativeProgram, runDir });
  }

  ensureNetwork(plan: NetworkPlan): Promise<void> {
    return this.#exclusive(async () => {
      await this.#leases.keepSubnet(plan);
      await this.#ensure(plan);
    });
  }

  removeNetwork(id: ObjectId): Promise<void> {
    return this.#exclusive(async () => {
      await this.#networks.remove(id);
      for (const port of this.#ports.values()) if (port.network === id) await this.#forgetPort(port);
      // What counts is on the host: after a restart not every network has been asked for yet.
      const left = await this.#networks.bridges();
      if (left.every((bridge) => this.#networks.has(bridge.alias) && this.#networks.get(bridge.alias as ObjectId).plan.internal)) await this.#forwarding.release();
      if (left.length > 0) return;
      await this.#publisher.remove();
      await this.#rules.remove();
    });
  }

  leaseSubnet(wanted?: { readonly ipv4?: string | undefined }): Promise<{ readonly ipv4: NetworkPlan['ipv4']; readonly ipv6: NetworkPlan['ipv6'] }> {
    return this.#leases.takeSubnet(wanted?.ipv4);
  }

  releaseSubnet(ipv4Gateway: string): Promise<void> {
    return this.#leases.giveSubnet(ipv4Gateway);
  }

  async openSandbox(plan: SandboxPlan): Promise<Sandbox> {
    const interfaces = plan.ports.map((port) => this.#interface(port));
    const idBase = await this.#leases.takeIdRange();
    try {
      // The facts first: a port without them can send nothing, and the first that it sends is whose its addresses are now.
      await Promise.all(plan.ports.map((port) => this.#learnPort(port)));
      const pair = await this.#maker.open(idBase, IDS_PER_RANGE, interfaces);
      const sandbox: Sandbox = { ...pair, idBase, idCount: IDS_PER_RANGE, ports: plan.ports };
      this.#open.add(sandbox);
      return sandbox;
    } catch (error) {
      await Promise.all(plan.ports.map((port) => this.#forgetPort(port).catch(() => undefined)));
      await this.#leases.giveIdRange(idBase);
      throw error;
    }
  }

  async closeSandbox(sandbox: Sandbox): Promise<void> {
    this.#closeDescriptors(sandbox);
    await this.release(sandbox, sandbox.ports);
  }

  async handOver(sandbox: Sandbox): Promise<void> {
    this.#closeDescriptors(sandbox);
  }

  async adopt(range: { readonly idBase: number; readonly idCount: number } | undefined, ports: readonly PortPlan[]): Promise<void> {
    if (range !== undefined) await this.#leases.keepIdRange(range.idBase);
    await Promise.all(ports.map((port) => this.#learnPort(port)));
  }

  async release(range: { readonly idBase: number; readonly idCount: number } | undefined, ports: readonly PortPlan[]): Promise<void> {
    await Promise.all(ports.map((port) => this.#forgetPort(port)));
    if (range !== undefined) await this.#leases.giveIdRange(range.idBase);
  }

  async prepareTap(port: PortPlan): Promise<{ readonly name: string; readonly bridge: string }> {
    const { bridge } = this.#networks.get(port.network);
    await this.#learnPort(port);
    return { name: this.#names.port(port.portId), bridge };
  }

  async setNames(network: ObjectId, owner: ObjectId, records: readonly NameRecord[]): Promise<void> {
    if (!isObjectId(owner)) throw new BerthError('internal', 'The owner of a name is an object.');
    if (records.length === 0 && !this.#networks.has(network)) return;
    await this.#networks.get(network).nameServer.setNames(owner, records);
  }

  publish(owner: ObjectId, ports: readonly PublishedPort[]): Promise<void> {
    for (const { targetAddress, hostAddress } of ports) {
      const internal = this.#networks.all.some(({ plan }) => plan.internal && [...this.#ports.values()].some((port) => port.network === plan.id && (port.ipv4 === targetAddress || port.ipv6 === targetAddress)));
      if (internal && !['127.0.0.1', '::1'].includes(hostAddress)) return Promise.reject(new BerthError('unsupported', 'A port of an internal network cannot be published beyond this host.', { hint: 'Publish it on 127.0.0.1, or attach the instance to a network with a way out.' }));
    }
    return this.#publisher.publish(owner, ports);
  }

  unpublish(owner: ObjectId): Promise<void> {
    return this.#publisher.unpublish(owner);
  }

  reconcile(): Promise<readonly string[]> {
    return this.#exclusive(async () => {
      if (this.#networks.all.length === 0) return [];
      const said: string[] = [];
      let broken: unknown;
      if (this.#networks.all.some((network) => !network.plan.internal) && !(await this.#forwarding.isOn())) {
        await this.#forwarding.need();
        said.push('Forwarding of packets had been turned off on this host; it is on again.');
      }
      if (await this.#rules.repair()) said.push('The nftables rules of this root had been changed or removed; they are in force again.');
      const { links } = this.#networks;
      const [present, addresses] = await Promise.all([links.list(), links.addresses()]);
      for (const network of this.#networks.all) {
        try {
          if (!(await this.#networks.isIntact(network, present, addresses, this.#portsOf(network.plan.id)))) said.push(...(await this.#ensure(network.plan)));
        } catch (error) {
          broken ??= error; // the other networks get their turn
        }
      }
      said.push(...(await this.#publisher.repair()));
      const interfaces = new Set(present.map((link) => link.name));
      const stale = await this.#rules.sweep((fact) => fact.family === 'bridge' && interfaces.has(interfaceOf(fact)));
      if (stale > 0) said.push(`${stale} entries of ports that no longer exist were taken out of the nftables sets.`);
      if (broken !== undefined) throw broken;
      return said;
    });
  }

  nameservers(network: ObjectId): readonly string[] {
    const { plan } = this.#networks.get(network);
    return [plan.ipv4.gateway, plan.ipv6.gateway];
  }

  async traffic(portIds: Iterable<string>): Promise<ReadonlyMap<string, PortTraffic>> {
    const links = await readLinkTraffic();
    const found = new Map<string, PortTraffic>();
    for (const portId of portIds) {
      const link = links.get(this.#names.port(portId));
      // What the host's end receives, the instance has sent.
      if (link !== undefined) found.set(portId, { receivedBytes: link.sentBytes, sentBytes: link.receivedBytes });
    }
    return found;
  }

  async leftovers(known: { readonly networks: ReadonlySet<ObjectId>; readonly portIds: ReadonlySet<string> }): Promise<readonly string[]> {
    const networks: ReadonlySet<string> = known.networks;
    const links = (await this.#networks.links.list()).filter((link) => {
      const portId = this.#names.portIdOf(link.name);
      return portId !== undefined && !known.portIds.has(portId);
    });
    const tables = known.networks.size > 0 ? [] : (await this.#nft.tables()).filter((table) => table.name === this.#names.table);
    const gateways = new Set(this.#networks.all.filter(({ plan }) => networks.has(plan.id)).map(({ plan }) => `${plan.ipv4.gateway}/${plan.ipv4.prefixLength}`));
    const { subnets } = await this.#leases.held();
    return [
      ...links.map((link) => `network interface ${link.name}`),
      ...(await this.#networks.bridges()).filter((bridge) => !networks.has(bridge.alias)).map((bridge) => `bridge ${bridge.name}`),
      ...tables.map((table) => `nft table ${table.family} ${table.name}`),
      ...(await this.#networks.nameServers()).filter((id) => !networks.has(id)).map((id) => `name server of network ${id}`),
      ...(known.networks.size === 0 && (await this.#publisher.running()) ? ['process of published ports'] : []),
      ...(await this.#publisher.leftovers()),
      ...subnets.filter((lease) => !gateways.has(lease.ipv4)).map((lease) => `lease of subnet ${lease.ipv4}`),
    ];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const sandbox of this.#open) this.#closeDescriptors(sandbox);
    await this.#maker[Symbol.asyncDispose]();
    await this.#turn;
    this.#publisher[Symbol.dispose]();
    await this.#networks[Symbol.asyncDispose]();
    this.#rules[Symbol.dispose]();
  }

  async #ensure(plan: NetworkPlan): Promise<readonly string[]> {
    await this.#rules.open();
    if (!plan.internal) {
      const guarded = await this.#forwarding.need();
      await this.#rules.set('forwarding', guarded.map((name): Fact => ({ family: 'inet', set: 'guarded', key: [{ interface: name }] })));
    }
    return this.#networks.ensure(plan, this.#portsOf(plan.id));
  }

  #portsOf(network: ObjectId): ReadonlySet<string> {
    return new Set([...this.#ports.values()].filter((port) => port.network === network).map((port) => this.#names.port(port.portId)));
  }

  #interface(port: PortPlan): SandboxInterface {
    const { plan, bridgeIndex } = this.#networks.get(port.network);
    return {
      hostName: this.#names.port(port.portId),
      bridge: bridgeIndex,
      mtu: plan.mtu,
      isolated: plan.isolated,
      innerName: port.interfaceName,
      mac: port.mac,
      ipv4: port.ipv4,
      ipv4PrefixLength: plan.ipv4.prefixLength,
      ipv4Gateway: plan.internal ? undefined : plan.ipv4.gateway,
      ipv6: port.ipv6,
      ipv6PrefixLength: plan.ipv6.prefixLength,
      ipv6Gateway: plan.internal ? undefined : plan.ipv6.gateway,
    };
  }

  async #learnPort(port: PortPlan): Promise<void> {
    validatePort(port);
    const { plan, nameServer } = this.#networks.get(port.network);
    this.#ports.set(port.portId, port);
    if (port.dhcp === true) await nameServer.setPort(port.portId, port);
    await this.#rules.set(`port:${port.portId}`, portFacts(this.#names.port(port.portId), canonicalPort(port), plan.isolated));
  }

  async #forgetPort(port: PortPlan): Promise<void> {
    const known = this.#ports.get(port.portId) ?? port;
    this.#ports.delete(port.portId);
    if (known.dhcp === true && this.#networks.has(known.network)) await this.#networks.get(known.network).nameServer.setPort(port.portId, undefined);
    if (this.#networks.all.length === 0) return; // no network, no tables
    await this.#rules.set(`port:${port.portId}`, [], portFacts(this.#names.port(port.portId), canonicalPort({ ...port, dhcp: true }), false));
  }

  #closeDescriptors(sandbox: Sandbox): void {
    if (!this.#open.delete(sandbox)) return;
    closeDescriptor(sandbox.userNamespaceFd);
    closeDescriptor(sandbox.networkNamespaceFd);
  }

  #exclusive<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => undefined);
    return result;
  }
}

function interfaceOf(fact: Fact): string {
  const field = fact.key[0];
  return field !== undefined && 'interface' in field ? field.interface : '';
}

function canonicalPort(port: PortPlan): PortPlan {
  return { ...port, mac: port.mac.toLowerCase(), ipv4: canonicalAddress(port.ipv4), ipv6: canonicalAddress(port.ipv6) };
}

function validatePort(port: PortPlan): void {
  const good = /^[0-9a-z]{8}$/.test(port.portId) && /^[a-z][0-9a-z]{0,14}$/.test(port.interfaceName) && /^[0-9a-f][048c26ae](:[0-9a-f]{2}){5}$/i.test(port.mac) && isIPv4(port.ipv4) && isIPv6(port.ipv6) && !port.ipv6.includes('%');
  if (!good) throw new BerthError('invalid', `Port ${String(port.portId).slice(0, 20)} has a name or address that cannot be used.`);
}
