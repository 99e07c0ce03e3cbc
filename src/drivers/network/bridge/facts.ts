/** Which elements of our sets a network, a port or a published port stands for. Pure. */
import { linkLocalOf } from '../../../lib/ip-address.ts';
import type { ElementFamily, ElementField } from '../../../host/nft-elements.ts';
import type { NetworkPlan, PortPlan, PublishedPort } from '../driver.ts';

export interface Fact {
  readonly family: ElementFamily;
  readonly set: string;
  readonly key: readonly ElementField[];
  readonly value?: readonly ElementField[] | undefined;
}

const fieldText = (field: ElementField): string => String(Object.values(field)[0]);

/** Same element, same text; `nft list` gives the same words. */
export function factKey(fact: Fact): string {
  return `${fact.family} ${fact.set} ${fact.key.map(fieldText).join(' . ')}`;
}

export function factValue(fact: Fact): string {
  return (fact.value ?? []).map(fieldText).join(' . ');
}

export function networkFacts(bridge: string, plan: NetworkPlan): readonly Fact[] {
  const own = { interface: bridge };
  return [
    { family: 'inet', set: 'gateway4', key: [own, { address: plan.ipv4.gateway }] },
    { family: 'inet', set: 'gateway6', key: [own, { address: plan.ipv6.gateway }] },
    { family: 'inet', set: 'gateway4_only', key: [{ address: plan.ipv4.gateway }] },
    { family: 'inet', set: 'gateway6_only', key: [{ address: plan.ipv6.gateway }] },
    ...(plan.isolated ? [] : [{ family: 'inet', set: 'open_bridge', key: [own, own] } as const]),
    ...(plan.internal ? [] : [{ family: 'inet', set: 'egress', key: [own] } as const]),
  ];
}

export function portFacts(interfaceName: string, port: PortPlan, isolated: boolean): readonly Fact[] {
  const own = { interface: interfaceName };
  return [
    { family: 'bridge', set: 'port_mac', key: [own, { mac: port.mac.toLowerCase() }] },
    { family: 'bridge', set: 'port_ip4', key: [own, { address: port.ipv4 }] },
    { family: 'bridge', set: 'port_ip6', key: [own, { address: port.ipv6 }] },
    { family: 'bridge', set: 'port_ip6', key: [own, { address: linkLocalOf(port.mac) }] },
    ...(isolated ? [] : [{ family: 'bridge', set: 'open_ports', key: [own] } as const]),
    ...(port.dhcp === true ? [{ family: 'bridge', set: 'asking_ports', key: [own] } as const] : []),
  ];
}

export function isLoopback(address: string): boolean {
  return address === '::1' || address.startsWith('127.');
}

/** A port published on loopback alone is the proxy's: only the check against callers from elsewhere is a rule. */
export function publishedFacts({ protocol, hostAddress, hostPort, targetAddress, targetPort }: PublishedPort): readonly Fact[] {
  const from = [{ protocol }, { port: hostPort }] as const;
  const six = hostAddress.includes(':');
  const atHome: Fact = { family: 'inet', set: 'loopback', key: from };
  if (isLoopback(hostAddress)) return [atHome];
  const target: Fact = { family: 'inet', set: six ? 'target6' : 'target4', key: [{ protocol }, { address: targetAddress }, { port: targetPort }] };
  const anywhere = hostAddress === '0.0.0.0' || hostAddress === '::';
  const map = `${anywhere ? 'anywhere' : 'published'}${six ? '6' : '4'}`;
  const key = anywhere ? from : [{ protocol }, { address: hostAddress }, { port: hostPort }];
  return [
    ...(anywhere ? [atHome] : []),
    target,
    { family: 'inet', set: `${anywhere ? 'held_anywhere' : 'held'}${six ? '6' : '4'}`, key },
    { family: 'inet', set: `${map}_address`, key, value: [{ address: targetAddress }] },
    { family: 'inet', set: `${map}_port`, key, value: [{ port: targetPort }] },
  ];
}
