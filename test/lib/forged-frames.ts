/** F01–F05: what one member of a network may not send to another, each with the guard that holds it. */
import type { Guard } from '../../src/drivers/network/bridge/port-rules.ts';
import type { PortPlan } from '../../src/drivers/network/driver.ts';
import { addressBytes, linkLocalOf } from '../../src/lib/ip-address.ts';
import { advertisement, arp, BROADCAST, destinationOptions, ethernet, fragment, icmpv6, ipv4, ipv6, nonceOption, targetMacOption, udp } from './frames.ts';

export interface Scene {
  readonly attacker: PortPlan;
  readonly victim: PortPlan;
  /** A third member, in whose name the attacker speaks. */
  readonly third: PortPlan;
  readonly gateway4: string;
  readonly gateway6: string;
}

export interface Forgery {
  readonly name: string;
  readonly guard: Guard;
  frame(scene: Scene): string;
}

const hello4 = (from: string, to: string): Buffer => ipv4(from, to, 17, udp(from, to, 4000, 4001, 'hello'));
const hello6 = (from: string, to: string): Buffer => ipv6(from, to, 17, 64, udp(from, to, 4000, 4001, 'hello'));
const claim = ({ attacker, victim }: Scene, target: string, hopLimit: number, ...options: readonly Buffer[]): Buffer =>
  ipv6(attacker.ipv6, victim.ipv6, 58, hopLimit, icmpv6(attacker.ipv6, victim.ipv6, 136, advertisement(target, ...options)));

export const FORGERIES: readonly Forgery[] = [
  { name: 'F01 a frame with another MAC', guard: 'mac', frame: ({ attacker, victim, third }) => ethernet(victim.mac, third.mac, 0x0800, hello4(attacker.ipv4, victim.ipv4)) },
  { name: 'F02 a packet from another address', guard: 'ipv4-source', frame: ({ attacker, victim, third }) => ethernet(victim.mac, attacker.mac, 0x0800, hello4(third.ipv4, victim.ipv4)) },
  { name: 'F02 an ARP answer for another address', guard: 'arp', frame: ({ attacker, victim, third }) => ethernet(victim.mac, attacker.mac, 0x0806, arp(2, attacker.mac, third.ipv4, victim.mac, victim.ipv4)) },
  { name: 'F02 an ARP question that claims the gateway’s address', guard: 'arp', frame: ({ attacker, gateway4, victim }) => ethernet(BROADCAST, attacker.mac, 0x0806, arp(1, attacker.mac, gateway4, '00:00:00:00:00:00', victim.ipv4)) },
  { name: 'F02 an ARP answer with another MAC inside', guard: 'arp', frame: ({ attacker, victim, third }) => ethernet(victim.mac, attacker.mac, 0x0806, arp(2, third.mac, attacker.ipv4, victim.mac, victim.ipv4)) },
  { name: 'F03 a packet from another IPv6 address', guard: 'ipv6-source', frame: ({ attacker, victim, third }) => ethernet(victim.mac, attacker.mac, 0x86dd, hello6(third.ipv6, victim.ipv6)) },
  { name: 'F03 a packet from another link-local address', guard: 'ipv6-source', frame: ({ attacker, victim, third }) => ethernet(victim.mac, attacker.mac, 0x86dd, hello6(linkLocalOf(third.mac), linkLocalOf(victim.mac))) },
  { name: 'F03 an advertisement of another’s address', guard: 'neighbour-advertisement', frame: (scene) => ethernet(scene.victim.mac, scene.attacker.mac, 0x86dd, claim(scene, scene.third.ipv6, 255, targetMacOption(scene.attacker.mac))) },
  { name: 'F03 an advertisement of the gateway without an option', guard: 'neighbour-advertisement', frame: (scene) => ethernet(scene.victim.mac, scene.attacker.mac, 0x86dd, claim(scene, scene.gateway6, 255)) },
  { name: 'F03 an advertisement with another’s MAC', guard: 'neighbour-advertisement', frame: (scene) => ethernet(scene.victim.mac, scene.attacker.mac, 0x86dd, claim(scene, scene.attacker.ipv6, 255, targetMacOption(scene.third.mac))) },
  { name: 'F03 an advertisement with the lie in its second option', guard: 'neighbour-advertisement', frame: (scene) => ethernet(scene.victim.mac, scene.attacker.mac, 0x86dd, claim(scene, scene.attacker.ipv6, 255, nonceOption(), targetMacOption(scene.third.mac))) },
  {
    name: 'F03 neighbour discovery behind an extension header', guard: 'hidden-neighbour-discovery',
    frame: ({ attacker, victim, third }) => {
      const inner = icmpv6(attacker.ipv6, victim.ipv6, 135, Buffer.concat([Buffer.alloc(4), addressBytes(victim.ipv6), targetMacOption(third.mac)]));
      return ethernet(victim.mac, attacker.mac, 0x86dd, ipv6(attacker.ipv6, victim.ipv6, 60, 255, Buffer.concat([destinationOptions(58), inner])));
    },
  },
  {
    name: 'F03 neighbour discovery in a fragment', guard: 'hidden-neighbour-discovery',
    frame: ({ attacker, victim }) => ethernet(victim.mac, attacker.mac, 0x86dd, ipv6(attacker.ipv6, victim.ipv6, 44, 255, Buffer.concat([fragment(60, true), destinationOptions(58)]))),
  },
  { name: 'F03 a router advertisement', guard: 'router-advertisement', frame: ({ attacker }) => ethernet('33:33:00:00:00:01', attacker.mac, 0x86dd, ipv6(linkLocalOf(attacker.mac), 'ff02::1', 58, 255, icmpv6(linkLocalOf(attacker.mac), 'ff02::1', 134, Buffer.from('4000070800000000000000000', 'hex')))) },
  { name: 'F03 a redirect', guard: 'router-advertisement', frame: ({ attacker, victim }) => ethernet(victim.mac, attacker.mac, 0x86dd, ipv6(attacker.ipv6, victim.ipv6, 58, 255, icmpv6(attacker.ipv6, victim.ipv6, 137, Buffer.alloc(36)))) },
  { name: 'F03 an answer of a DHCPv6 server', guard: 'dhcpv6-server', frame: ({ attacker, victim }) => ethernet(victim.mac, attacker.mac, 0x86dd, ipv6(attacker.ipv6, victim.ipv6, 17, 64, udp(attacker.ipv6, victim.ipv6, 547, 546, 'advertise'))) },
  { name: 'F04 an offer of a DHCP server', guard: 'dhcp-server', frame: ({ attacker, victim }) => ethernet(victim.mac, attacker.mac, 0x0800, ipv4(attacker.ipv4, victim.ipv4, 17, udp(attacker.ipv4, victim.ipv4, 67, 68, 'offer'))) },
  { name: 'F04 a request for an address, from a port that was given its own', guard: 'dhcp-client', frame: ({ attacker }) => ethernet(BROADCAST, attacker.mac, 0x0800, ipv4('0.0.0.0', '255.255.255.255', 17, udp('0.0.0.0', '255.255.255.255', 68, 67, 'discover'))) },
  { name: 'F05 a VLAN tag', guard: 'ethertype', frame: ({ attacker, victim }) => ethernet(victim.mac, attacker.mac, 0x8100, Buffer.concat([Buffer.from([0, 5, 8, 0]), hello4(attacker.ipv4, victim.ipv4)])) },
  { name: 'F05 a provider’s VLAN tag', guard: 'ethertype', frame: ({ attacker, victim }) => ethernet(victim.mac, attacker.mac, 0x88a8, Buffer.concat([Buffer.from([0, 5, 0x81, 0, 0, 6, 8, 0]), hello4(attacker.ipv4, victim.ipv4)])) },
  { name: 'F05 an unknown protocol', guard: 'ethertype', frame: ({ attacker, victim }) => ethernet(victim.mac, attacker.mac, 0x88b5, Buffer.from('anything')) },
  { name: 'F05 a frame with a length for a type', guard: 'ethertype', frame: ({ attacker }) => ethernet(BROADCAST, attacker.mac, 38, Buffer.concat([Buffer.from([0x42, 0x42, 3]), Buffer.alloc(35)])) },
];

/** The kernel takes an outer VLAN tag off before it shows a frame. */
export function shows(seen: readonly string[], frame: string): boolean {
  const tagged = ['8100', '88a8'].includes(frame.slice(24, 28));
  return seen.some((other) => other === frame || (tagged && other.slice(24) === frame.slice(32)));
}
