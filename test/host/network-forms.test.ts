/**
 * F01–F06 from inside machines: what the root of a microVM and of a VM sends through a real QEMU's tap to a container and to
 * each other, over IPv4 and IPv6; what their neighbours then believe; and the wall between the members of a network, in both
 * directions between the forms and for every shape of a packet.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NetworkPlan, PortPlan, Sandbox } from '../../src/drivers/network/driver.ts';
import { FORGERIES, shows, type Scene } from '../lib/forged-frames.ts';
import { ethernet, ipv4, udp } from '../lib/frames.ts';
import { buildProbe, RAW, startMachine, type Machine, type Member } from '../lib/machine-station.ts';
import { NetworkLab } from '../lib/network-lab.ts';
import { enterOwnNamespaces } from '../lib/own-namespaces.ts';
import { LINK, ROUTED, saw } from '../lib/packet-shapes.ts';
import { openQemuBench, type QemuBench } from '../lib/qemu-bench.ts';

enterOwnNamespaces();

const FORGED = FORGERIES.map(({ name }) => name), SHAPES = [...ROUTED, ...LINK];

/** Every forgery at once, then an honest frame: what the victim saw before that is all that it will see. */
async function arrived(attacker: Member, victim: Pick<Member, 'port' | 'capture'>, network: NetworkPlan, third: PortPlan): Promise<readonly string[]> {
  const scene: Scene = { attacker: attacker.port, victim: victim.port, third, gateway4: network.ipv4.gateway, gateway6: network.ipv6.gateway };
  const marker = ethernet(victim.port.mac, scene.attacker.mac, 0x0800, ipv4(scene.attacker.ipv4, victim.port.ipv4, 17, udp(scene.attacker.ipv4, victim.port.ipv4, 5000, 5001, 'marker')));
  const forged = FORGERIES.map((one) => ({ name: one.name, frame: one.frame(scene) }));
  const capture = await victim.capture();
  await attacker.send(forged.map(({ frame }) => frame));
  // By itself: what a thread of QEMU sends before and after it moved to another CPU may overtake each other.
  await attacker.send([marker]);
  const seen = await capture.until(marker);
  return forged.filter(({ frame }) => shows(seen, frame)).map(({ name }) => name);
}

/** Every shape of a packet at once, between members of an isolated network, then a frame of the host. */
async function carried(lab: NetworkLab, attacker: Member, victim: Member, network: NetworkPlan): Promise<readonly string[]> {
  const bridge = await lab.bridgeOf(network);
  const marker = ethernet(victim.port.mac, bridge.mac, 0x0800, ipv4('192.0.2.1', victim.port.ipv4, 17, udp('192.0.2.1', victim.port.ipv4, 5000, 5001, 'the end')));
  const all = SHAPES.map(([name, frames], at) => {
    const token = `shape-${String(at).padStart(2, '0')}-${attacker.port.portId}`.slice(0, 16);
    return { name, token, frames: frames({ from: attacker.port, to: victim.port, hop: victim.port.mac }, token) };
  });
  const capture = await victim.capture();
  await attacker.send(all.flatMap(({ frames }) => frames));
  await lab.sendFromHost(bridge.name, [marker]);
  const seen = await capture.until(marker);
  return all.filter(({ frames, token }) => saw(seen, frames, token)).map(({ name }) => name);
}

/** Who a machine believes has these addresses. */
async function believes(bench: QemuBench, { plan }: Machine, ...addresses: readonly string[]): Promise<readonly string[]> {
  for (const address of addresses) await bench.exec(plan.id, ['ping', '-c1', '-W5', address], RAW);
  const { stdout } = await bench.exec(plan.id, ['ip', 'neigh'], RAW);
  return addresses.map((address) => stdout.split('\n').find((line) => line.startsWith(`${address} `))?.match(/lladdr (\S+)/)?.[1] ?? 'nobody');
}

interface Seen {
  /** By attacker and victim. */
  readonly forged: Readonly<Record<string, readonly string[]>>;
  readonly shapes: Readonly<Record<string, readonly string[]>>;
  /** Machines that hold the attacker for somebody else. */
  readonly deceived: readonly string[];
}

async function fromInside(guardsLeftOut: boolean): Promise<Seen> {
  await using lab = await NetworkLab.open(guardsLeftOut ? { guardsLeftOut: new Set([...FORGERIES.map(({ guard }) => guard), 'isolation', 'cross-network']) } : {});
  await using bench = await openQemuBench();
  const probe = buildProbe(lab.dir);
  const network = await lab.network(), closed = await lab.network({ isolated: true });
  const machines = { microVM: await startMachine(lab, bench, 'microVM', [network, closed], probe), VM: await startMachine(lab, bench, 'vm', [network, closed], probe) };
  const container = await lab.station(network, 'veth'), third = await lab.station(network, 'veth');
  const forged: Record<string, readonly string[]> = {}, shapes: Record<string, readonly string[]> = {}, deceived: string[] = [];
  for (const [by, to] of [['microVM', 'VM'], ['VM', 'microVM']] as const) {
    const attacker = machines[by], victim = machines[to];
    const known = [third.port.ipv4, third.port.ipv6];
    assert.deepEqual(await believes(bench, victim, ...known), [third.port.mac, third.port.mac]);
    forged[`${by} → ${to}`] = await arrived(attacker.members[0]!, victim.members[0]!, network, third.port);
    const { stdout } = await bench.exec(victim.plan.id, ['ip', 'neigh'], RAW);
    if (known.some((address) => stdout.split('\n').some((line) => line.startsWith(`${address} `) && line.includes(attacker.members[0]!.port.mac)))) deceived.push(to);
    forged[`${by} → container`] = await arrived(attacker.members[0]!, container, network, third.port);
    shapes[`${by} → ${to}`] = await carried(lab, attacker.members[1]!, victim.members[1]!, closed);
  }
  if (!guardsLeftOut) for (const machine of Object.values(machines)) await walls(lab, bench, machine, [network, closed]);
  for (const { plan, members } of Object.values(machines)) {
    await bench.driver.remove(plan.id, { keepLog: false });
    await lab.driver.release(undefined, members.map(({ port }) => port));
  }
  return { forged, shapes, deceived };
}

/** Own networks are open between their members, the isolated one is not: the same over IPv4, IPv6 and link-local, in both directions. */
async function walls(lab: NetworkLab, bench: QemuBench, attacker: Machine, [open, closed]: readonly [NetworkPlan, NetworkPlan]): Promise<void> {
  const reaches = async (from: Sandbox, to: string): Promise<boolean> => (await lab.inside(from, ['ping', '-c1', '-W2', to])).code === 0;
  const reached = async (to: string, device: string): Promise<boolean> => (await bench.exec(attacker.plan.id, ['ping', '-c1', '-W2', '-I', device, to], RAW)).exitCode === 0;
  for (const [network, at, expected] of [[open, 0, true], [closed, 1, false]] as const) {
    const neighbour = await lab.sandbox(network);
    const { ipv4: to4, ipv6: to6 } = neighbour.ports[0]!, own = attacker.members[at]!.port;
    const gateways = await Promise.all([network.ipv4.gateway, network.ipv6.gateway].map((address) => reached(address, `eth${at}`)));
    assert.deepEqual(gateways, [true, true], 'its own gateway');
    for (const [what, result] of [
      ['out, IPv4', reached(to4, `eth${at}`)], ['out, IPv6', reached(to6, `eth${at}`)], ['in, IPv4', reaches(neighbour, own.ipv4)], ['in, IPv6', reaches(neighbour, own.ipv6)],
    ] as const) assert.equal(await result, expected, `${what}, ${expected ? 'own' : 'isolated'} network`);
  }
}

const PAIRS = ['microVM → VM', 'microVM → container', 'VM → microVM', 'VM → container'], MACHINES = ['microVM → VM', 'VM → microVM'];
const each = (pairs: readonly string[], what: readonly string[]) => Object.fromEntries(pairs.map((pair) => [pair, what]));

test('F01–F06: the root of a machine of either form forges nothing that arrives, at a container or at a machine; own networks are open, the isolated one closed', { timeout: 300_000 }, async () => {
  assert.deepEqual(await fromInside(false), { forged: each(PAIRS, []), shapes: each(MACHINES, []), deceived: [] });
});

test('F01–F06 go red without the guards: all of it arrives at all of them, and is believed', { timeout: 300_000 }, async () => {
  assert.deepEqual(await fromInside(true), { forged: each(PAIRS, FORGED), shapes: each(MACHINES, SHAPES.map(([name]) => name)), deceived: ['VM', 'microVM'] });
});
