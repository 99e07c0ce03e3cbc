/**
 * Networks in memory. The host object is what the kernel would be: what a driver leaves there, the next one finds;
 * sandboxes that no unit took go with the driver that made them, as namespaces go with their last descriptor.
 * Stricter than a kernel: an address that two ports have, or a descriptor that is closed twice, is a thrown Error.
 */
import { isIPv4 } from 'node:net';
import { BerthError } from '../../../model/errors.ts';
import type { ObjectId } from '../../../model/ids.ts';
import type { NameRecord, NetworkDriver, NetworkPlan, PortPlan, PublishedPort, Sandbox } from '../driver.ts';

const IDS = 65_536;
const FIRST_ID = 1_000_000;

export class FakeNetworkHost {
  readonly bridges = new Map<ObjectId, NetworkPlan>();
  /** Gateways of leased subnets. */
  readonly subnets = new Set<string>();
  readonly ports = new Map<string, { readonly port: PortPlan; readonly nameless: boolean }>();
  /** Records by network, then owner. */
  readonly names = new Map<ObjectId, Map<ObjectId, readonly NameRecord[]>>();
  readonly published = new Map<ObjectId, readonly PublishedPort[]>();
  /** tcp/8080: somebody else listens there. */
  readonly foreign = new Set<string>();
  /** First ids of the ranges that are leased. */
  readonly ranges = new Set<number>();
  readonly descriptors = new Set<number>();
  nextDescriptor = 1000;
}

export function fakeNetwork(host: FakeNetworkHost): NetworkDriver {
  const open = new Set<Sandbox>();
  // A driver before this one is dead: so are its descriptors, and what hung on them; its leases are free.
  host.descriptors.clear();
  host.ranges.clear();
  for (const [portId, { nameless }] of host.ports) if (nameless) host.ports.delete(portId);

  function bridge(id: ObjectId): NetworkPlan {
    const plan = host.bridges.get(id);
    if (plan === undefined) throw new BerthError('notFound', `There is no network ${id}.`);
    return plan;
  }

  function learn(port: PortPlan, nameless: boolean): void {
    bridge(port.network);
    for (const { port: other } of host.ports.values()) {
      if (other.portId !== port.portId && other.network === port.network && (other.ipv4 === port.ipv4 || other.mac === port.mac)) throw new Error(`two ports have the address ${port.ipv4}`);
    }
    host.ports.set(port.portId, { port, nameless });
  }

  function closeDescriptors(sandbox: Sandbox): void {
    if (!open.delete(sandbox)) return;
    for (const fd of [sandbox.userNamespaceFd, sandbox.networkNamespaceFd]) if (!host.descriptors.delete(fd)) throw new Error(`descriptor ${fd} is closed twice`);
  }

  function takeRange(): number {
    for (let base = FIRST_ID; ; base += IDS) {
      if (host.ranges.has(base)) continue;
      host.ranges.add(base);
      return base;
    }
  }

  function freeGateway(): string {
    for (let number = 1; number < 255; number++) if (!host.subnets.has(`10.90.${number}.1`)) return `10.90.${number}.1`;
    throw new BerthError('exhausted', 'No subnet is left.');
  }

  async function release(range: { readonly idBase: number } | undefined, ports: readonly PortPlan[]): Promise<void> {
    for (const port of ports) host.ports.delete(port.portId);
    if (range !== undefined) host.ranges.delete(range.idBase);
  }

  return {
    async ensureNetwork(plan) {
      host.subnets.add(plan.ipv4.gateway);
      host.bridges.set(plan.id, plan);
      if (!host.names.has(plan.id)) host.names.set(plan.id, new Map());
    },
    async removeNetwork(id) {
      host.bridges.delete(id);
      host.names.delete(id);
      for (const [portId, { port }] of host.ports) if (port.network === id) host.ports.delete(portId);
    },
    async leaseSubnet(wanted) {
      const gateway = wanted?.ipv4 === undefined ? freeGateway() : wanted.ipv4.replace(/\.0\/24$/, '.1');
      if (!isIPv4(gateway)) throw new BerthError('invalid', `'${wanted?.ipv4 ?? ''}' is not an IPv4 subnet.`);
      if (host.subnets.has(gateway)) throw new BerthError('alreadyExists', 'The subnet is in use.');
      host.subnets.add(gateway);
      return { ipv4: { gateway, prefixLength: 24 }, ipv6: { gateway: `fd00:${gateway.split('.')[1]}:${gateway.split('.')[2]}::1`, prefixLength: 64 } };
    },
    async releaseSubnet(gateway) { host.subnets.delete(gateway); },
    async openSandbox({ ports }) {
      for (const port of ports) learn(port, true);
      const [userNamespaceFd, networkNamespaceFd] = [host.nextDescriptor++, host.nextDescriptor++];
      host.descriptors.add(userNamespaceFd).add(networkNamespaceFd);
      const sandbox: Sandbox = { userNamespaceFd, networkNamespaceFd, idBase: takeRange(), idCount: IDS, ports };
      open.add(sandbox);
      return sandbox;
    },
    async closeSandbox(sandbox) {
      closeDescriptors(sandbox);
      await release(sandbox, sandbox.ports);
    },
    async handOver(sandbox) {
      closeDescriptors(sandbox);
      for (const port of sandbox.ports) learn(port, false);
    },
    async adopt(range, ports) {
      if (range !== undefined) host.ranges.add(range.idBase);
      for (const port of ports) learn(port, false);
    },
    release,
    async prepareTap(port) {
      learn(port, false);
      return { name: `tap${port.portId}`, bridge: `br${port.network}` };
    },
    async setNames(network, owner, records) {
      if (records.length === 0) return void host.names.get(network)?.delete(owner);
      bridge(network);
      host.names.get(network)!.set(owner, records);
    },
    async publish(owner, ports) {
      for (const port of ports) {
        const taken = host.foreign.has(`${port.protocol}/${port.hostPort}`) || [...host.published].some(([other, theirs]) => other !== owner && theirs.some((one) => one.protocol === port.protocol && one.hostPort === port.hostPort && one.hostAddress === port.hostAddress));
        if (taken) throw new BerthError('alreadyExists', `Something listens on ${port.hostAddress}:${port.hostPort} already.`);
      }
      host.published.set(owner, ports);
    },
    async unpublish(owner) { host.published.delete(owner); },
    reconcile: () => Promise.resolve([]),
    nameservers(network) {
      const plan = bridge(network);
      return [plan.ipv4.gateway, plan.ipv6.gateway];
    },
    traffic: (portIds) => Promise.resolve(new Map([...portIds].filter((portId) => host.ports.has(portId)).map((portId) => [portId, { receivedBytes: 1000, sentBytes: 10 }]))),
    async leftovers(known) {
      return [
        ...[...host.ports.keys()].filter((portId) => !known.portIds.has(portId)).map((portId) => `network interface ${portId}`),
        ...[...host.bridges.keys()].filter((id) => !known.networks.has(id)).map((id) => `bridge ${id}`),
      ];
    },
    async [Symbol.asyncDispose]() {
      for (const sandbox of open) closeDescriptors(sandbox);
    },
  };
}
