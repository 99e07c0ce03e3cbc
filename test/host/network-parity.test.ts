/**
 * F06: what a wall keeps out over IPv4 it keeps out over IPv6, in whatever shape: link-local, multicast, behind extension
 * headers, in fragments, in other protocols. Every shape is seen to arrive where the wall is left out.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { linkLocalOf } from '../../src/lib/ip-address.ts';
import type { Guard } from '../../src/drivers/network/bridge/port-rules.ts';
import { ethernet, ipv4, udp } from '../lib/frames.ts';
import { NetworkLab, type Station } from '../lib/network-lab.ts';
import { enterOwnNamespaces } from '../lib/own-namespaces.ts';
import { LINK, ROUTED, saw, type Shape } from '../lib/packet-shapes.ts';

enterOwnNamespaces();

/** Did any of it reach the victim before the frame that the host sends after it? */
async function arrives(lab: NetworkLab, attacker: Station, victim: Station, bridge: { readonly name: string; readonly mac: string }, frames: readonly string[], token: string): Promise<boolean> {
  const marker = ethernet(victim.port.mac, bridge.mac, 0x0800, ipv4('192.0.2.1', victim.port.ipv4, 17, udp('192.0.2.1', victim.port.ipv4, 5000, 5001, `end of ${token}`)));
  const capture = await victim.capture();
  await attacker.send(frames);
  await lab.sendFromHost(bridge.name, [marker]);
  const seen = await capture.until(marker);
  return saw(seen, frames, token);
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
