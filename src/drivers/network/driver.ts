/**
 * The network contract. A network is a bridge with its own rules, DNS and DHCP; a port connects one unit to it.
 *
 * - Names on the host (bridge, veth, tap, nft table) derive from the root's tag: several roots live side by side.
 * - Anti-spoofing of a port is in force before its first packet. East-west: closed on an `isolated` network, open else.
 * - A sandbox (a user and a network namespace, an id range, its ports) is made ahead of need and is nameless until a
 *   unit takes it; a crash of the daemon leaves none behind, the kernel reaps it with its last descriptor.
 * - What must hold while the daemon is away (rules, DNS, DHCP, published ports) lives in the kernel or in processes
 *   of their own, which the next daemon adopts.
 */
import type { ObjectId } from '../../model/ids.ts';

export interface NetworkPlan {
  readonly id: ObjectId;
  /** Unique within the project; the DNS domain is PROJECT.berth, and bare names within the network. */
  readonly name: string;
  readonly project: string;
  /** Gateway address and prefix length, IPv4: 10.89.0.1/24. */
  readonly ipv4: { readonly gateway: string; readonly prefixLength: number };
  /** A unique local prefix (RFC 4193). */
  readonly ipv6: { readonly gateway: string; readonly prefixLength: number };
  /** No instance-to-instance traffic (the shared `default` network). */
  readonly isolated: boolean;
  /** No way out, nothing forwarded, DNS answers for its own names only. */
  readonly internal: boolean;
  readonly mtu: number;
}

/** One end on a bridge; names, MAC and addresses are decided by control, made real here. */
export interface PortPlan {
  /** 8 characters [0-9a-z], unique under this root; names the interface on the host. */
  readonly portId: string;
  readonly network: ObjectId;
  /** Inside: eth0, eth1 … */
  readonly interfaceName: string;
  readonly mac: string;
  readonly ipv4: string;
  readonly ipv6: string;
  /** The system inside asks for its address: DHCP, router advertisements and DHCPv6 give it these. Nobody else is answered. */
  readonly dhcp?: boolean | undefined;
}

export interface SandboxPlan {
  readonly ports: readonly PortPlan[];
}

export interface Sandbox {
  readonly userNamespaceFd: number;
  readonly networkNamespaceFd: number;
  /** First id on the host of the range; inside it is 0. */
  readonly idBase: number;
  readonly idCount: number;
  readonly ports: readonly PortPlan[];
}

export interface PublishedPort {
  readonly protocol: 'tcp' | 'udp';
  /** 127.0.0.1, ::1, 0.0.0.0, :: or an address of this host. */
  readonly hostAddress: string;
  readonly hostPort: number;
  readonly targetAddress: string;
  readonly targetPort: number;
}

/** As the instance sees it, counted at the host's end since the port was made. */
export interface PortTraffic {
  readonly receivedBytes: number;
  readonly sentBytes: number;
}

export interface NameRecord {
  /** Labels without the domain: `web`. */
  readonly name: string;
  readonly addresses: readonly string[];
}

export interface NetworkDriver extends AsyncDisposable {
  /** Idempotent; also repairs. The network's bridge, rules and name server are as the plan says when it resolves. */
  ensureNetwork(plan: NetworkPlan): Promise<void>;
  removeNetwork(id: ObjectId): Promise<void>;
  /** An IPv4 /20 (or the one that is wanted) and an IPv6 /64 that no route, address, lease or other network on this host uses, leased to this root. */
  leaseSubnet(wanted?: { readonly ipv4?: string | undefined }): Promise<{ readonly ipv4: NetworkPlan['ipv4']; readonly ipv6: NetworkPlan['ipv6'] }>;
  releaseSubnet(ipv4Gateway: string): Promise<void>;
  /** Container forms: namespaces with their interfaces up and addressed, and an id range of its own. */
  openSandbox(plan: SandboxPlan): Promise<Sandbox>;
  /** Closes the descriptors and gives the id range back, unless a unit still uses it (`keepRange`). Port rules go. */
  closeSandbox(sandbox: Sandbox): Promise<void>;
  /** The unit started: this process's descriptors close, namespaces live on with the unit; rules and range stay. */
  handOver(sandbox: Sandbox): Promise<void>;
  /** After a restart: this range and these ports are in use by a running unit. */
  adopt(range: { readonly idBase: number; readonly idCount: number } | undefined, ports: readonly PortPlan[]): Promise<void>;
  /** The unit is gone: rules of its ports and its id range are taken back. */
  release(range: { readonly idBase: number; readonly idCount: number } | undefined, ports: readonly PortPlan[]): Promise<void>;
  /** VM forms: rules for a tap that QEMU's starter will make under this name. */
  prepareTap(port: PortPlan): Promise<{ readonly name: string; readonly bridge: string }>;
  /** Makes these the instance's names on the network; an empty list takes them away (within 1 s for every resolver). */
  setNames(network: ObjectId, owner: ObjectId, records: readonly NameRecord[]): Promise<void>;
  /** `alreadyExists` when someone else on this host listens there. Replaces what `owner` had. */
  publish(owner: ObjectId, ports: readonly PublishedPort[]): Promise<void>;
  unpublish(owner: ObjectId): Promise<void>;
  /** What went through these ports, in one look at all; a port that is not there is not in it. */
  traffic(portIds: Iterable<string>): Promise<ReadonlyMap<string, PortTraffic>>;
  /** Compares the kernel with what it should hold and repairs; returns a sentence for each repair. */
  reconcile(): Promise<readonly string[]>;
  /** Where the network's own name server listens, for resolv.conf inside. */
  nameservers(network: ObjectId): readonly string[];
  leftovers(known: { readonly networks: ReadonlySet<ObjectId>; readonly portIds: ReadonlySet<string> }): Promise<readonly string[]>;
}
