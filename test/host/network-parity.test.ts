/**
 * F06: what a wall keeps out over IPv4 it keeps out over IPv6, in whatever shape: link-local, multicast, behind extension
 * headers, in fragments, in other protocols. Every shape is seen to arrive where the wall is left out.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { linkLocalOf } from '../../src/lib/ip-address.ts';
import type { Guard } from '../../src/drivers/network/bridge/port-rules.ts';
import type { PortPlan } from '../../src/drivers/network/driver.ts';
import { advertisement, arp, destinationOptions, ethernet, icmpv6, ipv4, ipv6, targetMacOption, udp } from '../lib/frames.ts';
import { NetworkLab, type Station } from '../lib/network-lab.ts';
import { enterOwnNamespaces } from '../lib/own-namespaces.ts';

enterOwnNamespaces();

interface Ends {
  readonly from: PortPlan;
  readonly to: PortPlan;
  /** Where a frame to `to` is sent: its own MAC, or the gateway's. */
  readonly hop: string;
}

type Shape = readonly [name: string, frames: (ends: Ends, token: string) => readonly string[]];

const part = (nextHeader: number, offsetBytes: number, more: boolean): Buffer => {
  const field = offsetBytes | (more ? 1 : 0);
  return Buffer.from([nextHeader, 0, field >> 8, field & 255, 0, 0, 0, 9]);
};
const hopByHop = (nextHeader: number): Buffer => destinationOptions(nextHeader);
const data4 = ({ from, to }: Ends, token: string): Buffer => udp(from.ipv4, to.ipv4, 4000, 4001, token);
const data6 = ({ from, to }: Ends, token: string): Buffer => udp(from.ipv6, to.ipv6, 4000, 4001, token);
const multicast6 = (address: string): string => `33:33:${[...Buffer.from(address.slice(-2).padStart(8, '0'), 'hex')].map((byte) => byte.toString(16).padStart(2, '0')).join(':')}`;

/** What a router would carry on, too. */
const ROUTED: readonly Shape[] = [
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
const LINK: readonly Shape[] = [
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

/** Did any of it reach the victim before the frame that the host sends after it? */
async function arrives(lab: NetworkLab, attacker: Station, victim: Station, bridge: { readonly name: string; readonly mac: string }, frames: readonly string[], token: string): Promise<boolean> {
  const marker = ethernet(victim.port.mac, bridge.mac, 0x0800, ipv4('192.0.2.1', victim.port.ipv4, 17, udp('192.0.2.1', victim.port.ipv4, 5000, 5001, `end of ${token}`)));
  const capture = await victim.capture();
  await attacker.send(frames);
  await lab.sendFromHost(bridge.name, [marker]);
  const seen = await capture.until(marker);
  // A frame without room for a token is known by its bytes.
  return seen.some((frame) => frame.includes(hex(token)) || frames.includes(frame));
}

async function everyShape(lab: NetworkLab, shapes: readonly Shape[], attacker: Station, victim: Station, bridge: { readonly name: string; readonly mac: string }, hop: string): Promise<Record<string, boolean>> {
  const outcome: Record<string, boolean> = {};
  for (const [at, [name, frames]] of shapes.entries()) {
    const token = `parity-${String(at).padStart(2, '0')}-${attacker.port.portId}`.slice(0, 16);
    outcome[name] = await arrives(lab, attacker, victim, bridge, frames({ from: attacker.port, to: victim.port, hop }, token), token);
  }
  return outcome;
}

const allOf = (shapes: readonly Shape[], value: boolean): Record<string, boolean> => Object.fromEntries(shapes.map(([name]) => [name, value]));

function withAndWithout(name: string, guard: Guard, behind: readonly Guard[], body: (lab: NetworkLab, open: boolean) => Promise<void>): void {
  for (const open of [false, true]) {
    test(open ? `${name}: without the guard '${guard}' every shape gets through` : name, async () => {
      await using lab = await NetworkLab.open({ guardsLeftOut: new Set(open ? [guard, ...behind] : behind) });
      await body(lab, open);
    });
  }
}

for (const kind of ['veth', 'tap'] as const) {
  withAndWithout(`F06: no shape of a packet passes between members of an isolated network (${kind})`, 'isolation', ['cross-network'], async (lab, open) => {
    const plan = await lab.network({ isolated: true });
    // Two of one kind have the bridge's own wall between them besides.
    const [attacker, victim] = [await lab.station(plan, kind), await lab.station(plan, kind === 'veth' ? 'tap' : 'veth')];
    const shapes = [...ROUTED, ...LINK];
    assert.deepEqual(await everyShape(lab, shapes, attacker, victim, await lab.bridgeOf(plan), victim.port.mac), allOf(shapes, open));
  });
}

withAndWithout('F06: no shape of a packet is carried from one network to another', 'cross-network', [], async (lab, open) => {
  const [one, two] = [await lab.network(), await lab.network()];
  const [attacker, victim] = [await lab.station(one, 'veth'), await lab.station(two, 'veth')];
  // The gateway knows the victim: what is carried is not held up by a question.
  for (const address of [victim.port.ipv4, victim.port.ipv6]) await lab.probeIn(undefined, ['ask', 'udp', address, '9'], 5_000);
  assert.deepEqual(await everyShape(lab, ROUTED, attacker, victim, await lab.bridgeOf(two), (await lab.bridgeOf(one)).mac), allOf(ROUTED, open));
});

withAndWithout('F06: the host’s services are no more reachable by link-local addresses and multicast', 'host-services', [], async (lab, open) => {
  const plan = await lab.network();
  const a = await lab.station(plan, 'veth');
  const bridge = await lab.bridgeOf(plan);
  await lab.serve(undefined, 'tcp', '::', 8443);
  const local = linkLocalOf(bridge.mac);
  const said = (await lab.at(a, ['curl', '-sS', '--http0.9', '-m', '2', `http://[${local}%25${a.port.interfaceName}]:8443/`])).stdout;
  assert.equal(said !== '', open, `the gateway’s link-local address: ${said}`);
  assert.equal((await lab.at(a, ['ping', '-6', '-c1', '-W1', `${local}%${a.port.interfaceName}`])).code === 0, open, 'an echo to it');
  const answers = (await lab.at(a, ['ping', '-6', '-c2', '-W1', `ff02::1%${a.port.interfaceName}`])).stdout;
  assert.equal(answers.includes(local) || answers.includes(`${plan.ipv6.gateway}:`), open, `an echo to all nodes: ${answers}`);
});
