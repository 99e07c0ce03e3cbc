/** Ports on networks and ports of the host: who has which. */
import { canonicalAddress } from '../../lib/ip-address.ts';
import { BerthError } from '../../model/errors.ts';
import { objectId, printable } from '../../model/ids.ts';
import type { PortSpec } from '../../model/instance.ts';
import { bootsItself, type BoundPort, type Instance, type InstancePort } from '../../model/instance-status.ts';
import type { Network } from '../../model/network.ts';
import type { PortPlan, PublishedPort } from '../../drivers/network/driver.ts';
import type { Randomness } from '../clock.ts';
import type { Registry } from '../registry.ts';
import type { AddressPair } from './addresses.ts';

const LETTERS = '0123456789abcdefghijklmnopqrstuvwxyz';

export function makePort(network: Network, interfaceName: string, pair: AddressPair, randomness: Randomness): PortPlan {
  const bytes = randomness.bytes(16);
  let portId = '';
  for (let i = 0; i < 8; i++) portId += LETTERS[bytes[i]! % 36]!;
  // 02: a locally administered unicast address.
  const mac = ['02', ...[...bytes.subarray(8, 13)].map((byte) => byte.toString(16).padStart(2, '0'))].join(':');
  return { portId, network: objectId(network.meta.id), interfaceName, mac, ...pair };
}

export function statusOfPort(network: Network, port: PortPlan): InstancePort {
  return { network: network.meta.name, networkId: network.meta.id, portId: port.portId, interface: port.interfaceName, mac: port.mac, ipv4: port.ipv4, ipv6: port.ipv6 };
}

/** A system that nobody inside tells its addresses asks for them. */
export function planOfPorts(instance: Instance): readonly PortPlan[] {
  const asks = bootsItself(instance) ? { dhcp: true } : {};
  return instance.status.ports.map((port) => ({ ...planOfPort(port), ...asks }));
}

function planOfPort(port: InstancePort): PortPlan {
  return { portId: port.portId, network: objectId(port.networkId), interfaceName: port.interface, mac: port.mac, ipv4: port.ipv4, ipv6: port.ipv6 };
}

/** Which claims clash: the wildcard of a family takes the port on every address of it. */
export function hostPortKey(port: BoundPort): string {
  return `port/${port.protocol}/${port.hostPort}/${port.hostAddress}`;
}

const FIRST_FREE = 20_000;
const FREE_COUNT = 10_000;

/** Settles the published ports: default addresses written out, missing host ports chosen. */
export function bindPorts(wanted: readonly PortSpec[], registry: Registry, randomness: Randomness): BoundPort[] {
  const bound: BoundPort[] = [];
  for (const [index, port] of wanted.entries()) {
    const addresses = port.hostAddress === undefined ? ['127.0.0.1', '::1'] : [hostAddress(port.hostAddress, index)];
    const hostPort = port.hostPort ?? freePort(port.protocol, registry, randomness, bound);
    for (const hostAddress of addresses) bound.push({ protocol: port.protocol, hostAddress, hostPort, targetPort: port.targetPort });
  }
  bound.forEach((port, index) => {
    if (bound.slice(0, index).some((other) => clash(other, port))) throw new BerthError('invalid', `Port ${port.hostPort}/${port.protocol} is published twice.`, { fields: [{ path: 'spec.ports', message: `${port.hostPort}/${port.protocol} is there twice` }] });
    const taken = registry.claimKeys(`port/${port.protocol}/${port.hostPort}/`).map((key) => key.split('/')[3]!);
    const other = taken.find((address) => clash({ ...port, hostAddress: address }, port));
    if (other !== undefined) throw portTaken(port);
  });
  return bound;
}

/** In its one spelling: two that mean the same must clash. */
function hostAddress(text: string, index: number): string {
  try {
    return canonicalAddress(text);
  } catch {
    throw new BerthError('invalid', `'${printable(text)}' is not an address of this host.`, { hint: 'Write an IPv4 or IPv6 address, such as 127.0.0.1 or ::.', fields: [{ path: `spec.ports.${index}.hostAddress`, message: 'not an IP address' }] });
  }
}

export function portTaken(port: BoundPort): BerthError {
  return new BerthError('alreadyExists', `Port ${port.hostPort}/${port.protocol} on ${port.hostAddress} is published by another instance.`, { hint: 'Choose another host port, or leave it out to get a free one.', details: { hostPort: port.hostPort, protocol: port.protocol } });
}

function clash(a: BoundPort, b: BoundPort): boolean {
  if (a.protocol !== b.protocol || a.hostPort !== b.hostPort) return false;
  if (a.hostAddress.includes(':') !== b.hostAddress.includes(':')) return false;
  const wildcard = (address: string) => address === '0.0.0.0' || address === '::';
  return a.hostAddress === b.hostAddress || wildcard(a.hostAddress) || wildcard(b.hostAddress);
}

function freePort(protocol: string, registry: Registry, randomness: Randomness, bound: readonly BoundPort[]): number {
  const bytes = randomness.bytes(2);
  const start = ((bytes[0]! << 8) | bytes[1]!) % FREE_COUNT;
  for (let i = 0; i < FREE_COUNT; i++) {
    const candidate = FIRST_FREE + ((start + i) % FREE_COUNT);
    if (registry.claimKeys(`port/${protocol}/${candidate}/`).length === 0 && !bound.some((port) => port.protocol === protocol && port.hostPort === candidate)) return candidate;
  }
  throw new BerthError('exhausted', 'No host port is left to choose.', { hint: 'Name one with -p HOSTPORT:PORT.' });
}

/** What the network driver is told: each family goes to the address of the same family. */
export function publishedPorts(bound: readonly BoundPort[], port: InstancePort): PublishedPort[] {
  return bound.map((one) => ({
    protocol: one.protocol, hostAddress: one.hostAddress, hostPort: one.hostPort,
    targetAddress: one.hostAddress.includes(':') ? port.ipv6 : port.ipv4, targetPort: one.targetPort,
  }));
}
