/** What passes between two members of a network, in every shape: over IPv4 and IPv6, behind headers, in fragments, in tunnels. */
import type { PortPlan } from '../../src/drivers/network/driver.ts';
import { linkLocalOf } from '../../src/lib/ip-address.ts';
import { advertisement, arp, destinationOptions, ethernet, icmpv6, ipv4, ipv6, targetMacOption, udp } from './frames.ts';

export interface Ends {
  readonly from: PortPlan;
  readonly to: PortPlan;
  /** Where a frame to `to` is sent: its own MAC, or the gateway's. */
  readonly hop: string;
}

export type Shape = readonly [name: string, frames: (ends: Ends, token: string) => readonly string[]];

const part = (nextHeader: number, offsetBytes: number, more: boolean): Buffer => {
  const field = offsetBytes | (more ? 1 : 0);
  return Buffer.from([nextHeader, 0, field >> 8, field & 255, 0, 0, 0, 9]);
};
const hopByHop = (nextHeader: number): Buffer => destinationOptions(nextHeader);
const data4 = ({ from, to }: Ends, token: string): Buffer => udp(from.ipv4, to.ipv4, 4000, 4001, token);
const data6 = ({ from, to }: Ends, token: string): Buffer => udp(from.ipv6, to.ipv6, 4000, 4001, token);
const multicast6 = (address: string): string => `33:33:${[...Buffer.from(address.slice(-2).padStart(8, '0'), 'hex')].map((byte) => byte.toString(16).padStart(2, '0')).join(':')}`;

/** What a router would carry on, too. */
export const ROUTED: readonly Shape[] = [
  ['IPv4', (ends, token) => [ethernet(ends.hop, ends.from.mac, 0x0800, ipv4(ends.from.ipv4, ends.to.ipv4, 17, data4(ends, token)))]],
  ['IPv4, ICMP echo', (ends, token) => [ethernet(ends.hop, ends.from.mac, 0x0800, ipv4(ends.from.ipv4, ends.to.ipv4, 1, echo4(token)))]],
  ['IPv4, GRE', (ends, token) => [ethernet(ends.hop, ends.from.mac, 0x0800, ipv4(ends.from.ipv4, ends.to.ipv4, 47, Buffer.concat([Buffer.from([0, 0, 8, 0]), Buffer.from(token)])))]],
  ['IPv6', (ends, token) => [ethernet(ends.hop, ends.from.mac, 0x86dd, ipv6(ends.from.ipv6, ends.to.ipv6, 17, 64, data6(ends, token)))]],
  ['IPv6, ICMP echo', (ends, token) => [ethernet(ends.hop, ends.from.mac, 0x86dd, ipv6(ends.from.ipv6, ends.to.ipv6, 58, 64, icmpv6(ends.from.ipv6, ends.to.ipv6, 128, Buffer.concat([Buffer.from([0, 1, 0, 1]), Buffer.from(token)]))))]],
  ['IPv6 behind destination options', (ends, token) => [ethernet(ends.hop, ends.from.mac, 0x86dd, ipv6(ends.from.ipv6, ends.to.ipv6, 60, 64, Buffer.concat([destinationOptions(17), data6(ends, token)])))]],
  ['IPv6 behind two headers', (ends, token) => [ethernet(ends.hop, ends.from.mac, 0x86dd, ipv6(ends.from.ipv6, ends.to.ipv6, 60, 64, Buffer.concat([destinationOptions(60), destinationOptions(17), data6(ends, token)])))]],
  ['IPv6, hop by hop', (ends, token) => [ethernet(ends.hop, ends.from.mac, 0x86dd, ipv6(ends.from.ipv6, ends.to.ipv6, 0, 64, Buffer.concat([hopByHop(17), data6(ends, token)])))]],
  ['IPv6 in two fragments', (ends, token) => {
    // In the second one as a whole: who puts them together and apart again gives them other numbers.
    const whole = data6(ends, token.padEnd(24, '.').padStart(32, '.'));
    return [part(17, 0, true), part(17, 16, false)].map((head, at) => ethernet(ends.hop, ends.from.mac, 0x86dd, ipv6(ends.from.ipv6, ends.to.ipv6, 44, 64, Buffer.concat([head, at === 0 ? whole.subarray(0, 16) : whole.subarray(16)]))));
  }],
  ['IPv6, ESP', (ends, token) => [ethernet(ends.hop, ends.from.mac, 0x86dd, ipv6(ends.from.ipv6, ends.to.ipv6, 50, 64, Buffer.concat([Buffer.from([0, 0, 1, 0, 0, 0, 0, 1]), Buffer.from(token.padEnd(24, '.'))])))]],
  ['IPv6 in IPv6', (ends, token) => [ethernet(ends.hop, ends.from.mac, 0x86dd, ipv6(ends.from.ipv6, ends.to.ipv6, 41, 64, ipv6(ends.from.ipv6, ends.to.ipv6, 17, 64, data6(ends, token))))]],
  ['IPv4 in IPv6', (ends, token) => [ethernet(ends.hop, ends.from.mac, 0x86dd, ipv6(ends.from.ipv6, ends.to.ipv6, 4, 64, ipv4(ends.from.ipv4, ends.to.ipv4, 17, data4(ends, token))))]],
];

/** What stays on its link. */
export const LINK: readonly Shape[] = [
  ['an ARP question', ({ from, to }) => [ethernet('ff:ff:ff:ff:ff:ff', from.mac, 0x0806, arp(1, from.mac, from.ipv4, '00:00:00:00:00:00', to.ipv4))]],
  ['IPv4 broadcast', (ends, token) => [ethernet('ff:ff:ff:ff:ff:ff', ends.from.mac, 0x0800, ipv4(ends.from.ipv4, '255.255.255.255', 17, udp(ends.from.ipv4, '255.255.255.255', 4000, 4001, token)))]],
  ['IPv4 multicast', (ends, token) => [ethernet('01:00:5e:00:00:fb', ends.from.mac, 0x0800, ipv4(ends.from.ipv4, '224.0.0.251', 17, udp(ends.from.ipv4, '224.0.0.251', 5353, 5353, token)))]],
  ['IPv6 link-local', (ends, token) => {
    const [from, to] = [linkLocalOf(ends.from.mac), linkLocalOf(ends.to.mac)];
    return [ethernet(ends.hop, ends.from.mac, 0x86dd, ipv6(from, to, 17, 64, udp(from, to, 4000, 4001, token)))];
  }],
  ['IPv6 echo to all nodes', (ends, token) => {
    const from = linkLocalOf(ends.from.mac);
    return [ethernet(multicast6('ff02::01'), ends.from.mac, 0x86dd, ipv6(from, 'ff02::1', 58, 64, icmpv6(from, 'ff02::1', 128, Buffer.concat([Buffer.from([0, 1, 0, 1]), Buffer.from(token)]))))];
  }],
  ['IPv6 multicast', (ends, token) => [ethernet(multicast6('ff02::fb'), ends.from.mac, 0x86dd, ipv6(ends.from.ipv6, 'ff02::fb', 17, 64, udp(ends.from.ipv6, 'ff02::fb', 5353, 5353, token)))]],
  ['an honest neighbour advertisement', ({ from, to }) => [ethernet(to.mac, from.mac, 0x86dd, ipv6(from.ipv6, to.ipv6, 58, 255, icmpv6(from.ipv6, to.ipv6, 136, advertisement(from.ipv6, targetMacOption(from.mac)))))]],
  ['an IPv4 address written as IPv6', (ends, token) => [ethernet(ends.hop, ends.from.mac, 0x86dd, ipv6(ends.from.ipv6, `::ffff:${ends.to.ipv4}`, 17, 64, data6(ends, token)))]],
];

function echo4(token: string): Buffer {
  const body = Buffer.concat([Buffer.from([8, 0, 0, 0, 0, 1, 0, 1]), Buffer.from(token.padEnd(token.length + token.length % 2, '.'))]);
  let sum = 0;
  for (let at = 0; at < body.length; at += 2) sum += body.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  body.writeUInt16BE(~sum & 0xffff, 2);
  return body;
}

const hex = (text: string): string => Buffer.from(text).toString('hex');

/** Which of them a member saw, of whose frames each carries its token; one without room for a token is known by its bytes. */
export function saw(seen: readonly string[], frames: readonly string[], token: string): boolean {
  return seen.some((frame) => frame.includes(hex(token)) || frames.includes(frame));
}
