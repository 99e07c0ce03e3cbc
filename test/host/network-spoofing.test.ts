/**
 * F01–F05: what one member of an open network may not send to another. Each case runs with all guards, where the victim
 * must not see the frame, and without its guard, where it must: so that a case that proves nothing is found out.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addressBytes, linkLocalOf } from '../../src/lib/ip-address.ts';
import type { Guard } from '../../src/drivers/network/bridge/port-rules.ts';
import type { PortPlan } from '../../src/drivers/network/driver.ts';
import { enterOwnNamespaces } from '../lib/own-namespaces.ts';
import { advertisement, arp, destinationOptions, ethernet, fragment, icmpv6, ipv4, ipv6, nonceOption, targetMacOption, udp } from '../lib/frames.ts';
import { NetworkLab } from '../lib/network-lab.ts';
import type { Station } from '../lib/network-lab.ts';

enterOwnNamespaces();

interface Scene {
  readonly attacker: PortPlan;
  readonly victim: PortPlan;
  /** A third member, in whose name the attacker speaks. */
  readonly third: PortPlan;
  readonly gateway4: string;
  readonly gateway6: string;
}

interface Case {
  readonly name: string;
  readonly guard: Guard;
  frame(scene: Scene): string;
}

const BROADCAST = 'ff:ff:ff:ff:ff:ff';
const hello4 = (from: string, to: string): Buffer => ipv4(from, to, 17, udp(from, to, 4000, 4001, 'hello'));
const hello6 = (from: string, to: string): Buffer => ipv6(from, to, 17, 64, udp(from, to, 4000, 4001, 'hello'));
const claim = ({ attacker, victim }: Scene, target: string, hopLimit: number, ...options: readonly Buffer[]): Buffer =>
  ipv6(attacker.ipv6, victim.ipv6, 58, hopLimit, icmpv6(attacker.ipv6, victim.ipv6, 136, advertisement(target, ...options)));

const CASES: readonly Case[] = [
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
  { name: 'F05 a VLAN tag', guard: 'ethertype', frame: ({ attacker, victim }) => ethernet(victim.mac, attacker.mac, 0x8100, Buffer.concat([Buffer.from([0, 5, 8, 0]), hello4(attacker.ipv4, victim.ipv4)])) },
  { name: 'F05 a provider’s VLAN tag', guard: 'ethertype', frame: ({ attacker, victim }) => ethernet(victim.mac, attacker.mac, 0x88a8, Buffer.concat([Buffer.from([0, 5, 0x81, 0, 0, 6, 8, 0]), hello4(attacker.ipv4, victim.ipv4)])) },
  { name: 'F05 an unknown protocol', guard: 'ethertype', frame: ({ attacker, victim }) => ethernet(victim.mac, attacker.mac, 0x88b5, Buffer.from('anything')) },
  { name: 'F05 a frame with a length for a type', guard: 'ethertype', frame: ({ attacker }) => ethernet(BROADCAST, attacker.mac, 38, Buffer.concat([Buffer.from([0x42, 0x42, 3]), Buffer.alloc(35)])) },
];

/** Sends the frame and then an honest one; what the victim saw before the honest one is all that it will see. */
async function seen(attacker: Station, victim: Station, frame: string, marker: string): Promise<boolean> {
  const capture = await victim.capture();
  await attacker.send([frame, marker]);
  const frames = await capture.until(marker);
  // The kernel takes an outer VLAN tag off before it shows a frame.
  const tagged = ['8100', '88a8'].includes(frame.slice(24, 28));
  return frames.some((other) => other === frame || (tagged && other.slice(24) === frame.slice(32)));
}

for (const kind of ['veth', 'tap'] as const) {
  for (const guard of [undefined, ...new Set(CASES.map((one) => one.guard))]) {
    const cases = CASES.filter((one) => guard === undefined || one.guard === guard);
    test(guard === undefined ? `between a ${kind} and a veth nothing forged arrives` : `without its guard ${guard} the forged frame does arrive (${kind})`, async (t) => {
      await using lab = await NetworkLab.open(guard === undefined ? {} : { guardsLeftOut: new Set([guard]) });
      const plan = await lab.network();
      const attacker = await lab.station(plan, kind);
      const victim = await lab.station(plan, 'veth');
      const scene: Scene = { attacker: attacker.port, victim: victim.port, third: lab.port(plan), gateway4: plan.ipv4.gateway, gateway6: plan.ipv6.gateway };
      let number = 0;
      for (const one of cases) {
        await t.test(one.name, async () => {
          const marker = ethernet(victim.port.mac, attacker.port.mac, 0x0800, ipv4(attacker.port.ipv4, victim.port.ipv4, 17, udp(attacker.port.ipv4, victim.port.ipv4, 5000, 5001, `marker ${number++}`)));
          assert.equal(await seen(attacker, victim, one.frame(scene), marker), guard !== undefined);
        });
      }
    });
  }
}

test('a forged frame teaches the bridge nothing: the victim’s traffic goes on to the victim', async () => {
  await using lab = await NetworkLab.open();
  const plan = await lab.network();
  const [attacker, victim, third] = [await lab.station(plan, 'tap'), await lab.station(plan, 'veth'), await lab.station(plan, 'veth')];
  assert.equal((await lab.at(third, ['ping', '-c1', '-W2', victim.port.ipv4])).code, 0);
  await attacker.send(Array.from({ length: 20 }, () => ethernet(BROADCAST, victim.port.mac, 0x0806, arp(1, victim.port.mac, victim.port.ipv4, '00:00:00:00:00:00', third.port.ipv4))));
  assert.equal((await lab.at(third, ['ping', '-c1', '-W2', victim.port.ipv4])).code, 0);
  assert.equal((await lab.at(third, ['ping', '-c1', '-W2', victim.port.ipv6])).code, 0);
});

test('a port whose facts are unknown may send nothing', async () => {
  await using lab = await NetworkLab.open();
  const plan = await lab.network();
  const station = await lab.station(plan, 'tap');
  assert.equal((await lab.at(station, ['ping', '-c1', '-W2', plan.ipv4.gateway])).code, 0);
  await lab.driver.release(undefined, [station.port]);
  assert.equal((await lab.at(station, ['ping', '-c1', '-W1', plan.ipv4.gateway])).code, 1);
});
