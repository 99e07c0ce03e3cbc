/**
 * F01–F06 from inside a machine: what its root sends through a real QEMU's tap to a container and to another machine's port,
 * over IPv4 and IPv6; and the wall between the members of a network, in both directions between the forms.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import type { NetworkPlan, PortPlan, Sandbox } from '../../src/drivers/network/driver.ts';
import type { InterfacePlan, UnitPlan } from '../../src/drivers/runtime/driver.ts';
import { tarEnd, tarEntry } from '../../src/lib/tar-header.ts';
import { enterOwnNamespaces } from '../lib/own-namespaces.ts';
import { FORGERIES, shows, type Scene } from '../lib/forged-frames.ts';
import { ethernet, ipv4, udp } from '../lib/frames.ts';
import { NetworkLab, type Station } from '../lib/network-lab.ts';
import { openQemuBench, type QemuBench } from '../lib/qemu-bench.ts';

enterOwnNamespaces();

const RAW = { capabilities: ['NET_RAW', 'NET_ADMIN'] };

interface Machine {
  readonly plan: UnitPlan;
  readonly ports: readonly PortPlan[];
}

async function machine(lab: NetworkLab, bench: QemuBench, networks: readonly NetworkPlan[]): Promise<Machine> {
  const ports = networks.map((network, at) => lab.port(network, `eth${at}`));
  const interfaces = await Promise.all(ports.map(async (port, at): Promise<InterfacePlan> => ({
    name: `eth${at}`, mac: port.mac, mtu: 1500, tap: await lab.driver.prepareTap(port), gateways: at === 0 ? [networks[at]!.ipv4.gateway, networks[at]!.ipv6.gateway] : [],
    addresses: [{ address: port.ipv4, prefixLength: networks[at]!.ipv4.prefixLength }, { address: port.ipv6, prefixLength: networks[at]!.ipv6.prefixLength }],
  })));
  const plan = bench.plan(['sleep', '10000'], { ...RAW, network: { interfaces, nameservers: [], searchDomains: [] } });
  await bench.driver.create(plan);
  await bench.driver.start(plan.id);
  return { plan, ports };
}

async function put(bench: QemuBench, { plan }: Machine, file: string, content: Buffer, mode = 0o644): Promise<void> {
  await bench.driver.copyIn(plan.id, { path: file, extract: false, archive: false }, (async function* parts() { yield tarEntry({ path: path.basename(file), mode }, content); yield tarEnd(); })());
}

/** Every forgery at once, then an honest frame: what the victim saw before that is all that it will see. */
async function arrived(bench: QemuBench, attacker: Machine, victim: Station, network: NetworkPlan, third: PortPlan): Promise<readonly string[]> {
  const scene: Scene = { attacker: attacker.ports[0]!, victim: victim.port, third, gateway4: network.ipv4.gateway, gateway6: network.ipv6.gateway };
  const marker = ethernet(victim.port.mac, scene.attacker.mac, 0x0800, ipv4(scene.attacker.ipv4, victim.port.ipv4, 17, udp(scene.attacker.ipv4, victim.port.ipv4, 5000, 5001, 'marker')));
  const forged = FORGERIES.map((one) => ({ name: one.name, frame: one.frame(scene) }));
  await put(bench, attacker, '/frames', Buffer.from([...forged.map(({ frame }) => frame), marker, ''].join('\n')));
  const capture = await victim.capture();
  const sent = await bench.exec(attacker.plan.id, ['sh', '-c', '/netprobe send eth0 < /frames'], RAW);
  assert.equal(sent.exitCode, 0, sent.stderr);
  const seen = await capture.until(marker);
  return forged.filter(({ frame }) => shows(seen, frame)).map(({ name }) => name);
}

async function fromInside(guardsLeftOut: boolean): Promise<readonly (readonly string[])[]> {
  await using lab = await NetworkLab.open(guardsLeftOut ? { guardsLeftOut: new Set(FORGERIES.map(({ guard }) => guard)) } : {});
  await using bench = await openQemuBench();
  const program = path.join(lab.dir, 'netprobe');
  execFileSync('gcc', ['-std=gnu17', '-O1', '-D_GNU_SOURCE', '-static', '-w', '-o', program, path.resolve(import.meta.dirname, '../lib/netprobe.c'), '-lpthread']);
  const network = await lab.network(), closed = await lab.network({ isolated: true });
  const attacker = await machine(lab, bench, [network, closed]);
  await put(bench, attacker, '/netprobe', fs.readFileSync(program), 0o755);
  const found = [];
  for (const kind of ['veth', 'tap'] as const) found.push(await arrived(bench, attacker, await lab.station(network, kind), network, lab.port(network)));
  if (!guardsLeftOut) await walls(lab, bench, attacker, [network, closed]);
  await bench.driver.remove(attacker.plan.id, { keepLog: false });
  await lab.driver.release(undefined, attacker.ports);
  return found;
}

/** Own networks are open between their members, the isolated one is not: the same over IPv4, IPv6 and link-local, in both directions. */
async function walls(lab: NetworkLab, bench: QemuBench, attacker: Machine, [open, closed]: readonly [NetworkPlan, NetworkPlan]): Promise<void> {
  const reaches = async (from: Sandbox, to: string): Promise<boolean> => (await lab.inside(from, ['ping', '-c1', '-W2', to])).code === 0;
  const reached = async (to: string, device: string): Promise<boolean> => (await bench.exec(attacker.plan.id, ['ping', '-c1', '-W2', '-I', device, to], RAW)).exitCode === 0;
  for (const [network, at, expected] of [[open, 0, true], [closed, 1, false]] as const) {
    const neighbour = await lab.sandbox(network);
    const { ipv4: to4, ipv6: to6 } = neighbour.ports[0]!, own = attacker.ports[at]!;
    const gateways = await Promise.all([network.ipv4.gateway, network.ipv6.gateway].map((address) => reached(address, `eth${at}`)));
    assert.deepEqual(gateways, [true, true], 'its own gateway');
    for (const [what, result] of [
      ['out, IPv4', reached(to4, `eth${at}`)], ['out, IPv6', reached(to6, `eth${at}`)], ['in, IPv4', reaches(neighbour, own.ipv4)], ['in, IPv6', reaches(neighbour, own.ipv6)],
    ] as const) assert.equal(await result, expected, `${what}, ${expected ? 'own' : 'isolated'} network`);
  }
}

test('F01–F06: the root of a machine forges nothing that arrives, at a container or at a machine; own networks are open, the isolated one closed', { timeout: 240_000 }, async () => {
  assert.deepEqual(await fromInside(false), [[], []]);
});

test('F01–F05 go red without the guards: all of it arrives at both', { timeout: 240_000 }, async () => {
  const all = FORGERIES.map(({ name }) => name);
  assert.deepEqual(await fromInside(true), [all, all]);
});
