/** A member of a network that is a real machine: its root sends and sees frames by a program that was copied into it. */
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import type { PortPlan, NetworkPlan } from '../../src/drivers/network/driver.ts';
import type { InterfacePlan, UnitPlan } from '../../src/drivers/runtime/driver.ts';
import { tarEnd, tarEntry } from '../../src/lib/tar-header.ts';
import { ALL_CAPABILITIES } from '../../src/model/instance-defaults.ts';
import { execPlan } from './crun-bench.ts';
import type { Capture, NetworkLab } from './network-lab.ts';
import type { QemuBench } from './qemu-bench.ts';
import { until } from './until.ts';

export const RAW = { capabilities: ['NET_RAW', 'NET_ADMIN'] };

export interface Member {
  readonly port: PortPlan;
  send(frames: readonly string[]): Promise<void>;
  capture(): Promise<Capture>;
}

export interface Machine {
  readonly plan: UnitPlan;
  /** One for each network, as eth0, eth1. */
  readonly members: readonly Member[];
}

/** Built once for a test; static, for it runs on another system. */
export function buildProbe(dir: string): Buffer {
  const program = path.join(dir, 'netprobe-static');
  execFileSync('gcc', ['-std=gnu17', '-O1', '-D_GNU_SOURCE', '-static', '-w', '-o', program, path.join(import.meta.dirname, 'netprobe.c'), '-lpthread']);
  return fs.readFileSync(program);
}

export async function startMachine(lab: NetworkLab, bench: QemuBench, form: 'microVM' | 'vm', networks: readonly NetworkPlan[], probe: Buffer): Promise<Machine> {
  const ports = networks.map((network, at) => lab.port(network, `eth${at}`));
  const interfaces = await Promise.all(ports.map(async (port, at): Promise<InterfacePlan> => ({
    name: `eth${at}`, mac: port.mac, mtu: 1500, tap: await lab.driver.prepareTap(port), gateways: at === 0 ? [networks[at]!.ipv4.gateway, networks[at]!.ipv6.gateway] : [],
    addresses: [{ address: port.ipv4, prefixLength: networks[at]!.ipv4.prefixLength }, { address: port.ipv6, prefixLength: networks[at]!.ipv6.prefixLength }],
  })));
  const network = { interfaces, nameservers: [], searchDomains: [] };
  const plan = form === 'microVM'
    ? bench.plan(['sleep', '10000'], { ...RAW, network })
    : bench.plan(['/bin/sh', '-c', 'while :; do sleep 1000; done'], {
      form, network, capabilities: ALL_CAPABILITIES.map((name) => `CAP_${name}`), noNewPrivileges: false, boot: { users: [], files: [], commands: [] },
      process: { terminal: true }, root: { upperDisk: bench.disk() },
    });
  await bench.driver.create(plan);
  await bench.driver.start(plan.id);
  await put(bench, plan, '/netprobe', probe, 0o755);
  return { plan, members: ports.map((port) => memberOf(bench, plan, port)) };
}

async function put(bench: QemuBench, plan: UnitPlan, file: string, content: Buffer, mode = 0o644): Promise<void> {
  await bench.driver.copyIn(plan.id, { path: file, extract: false, archive: false }, (async function* parts() { yield tarEntry({ path: path.basename(file), mode }, content); yield tarEnd(); })());
}

function memberOf(bench: QemuBench, plan: UnitPlan, port: PortPlan): Member {
  return {
    port,
    async send(frames) {
      await put(bench, plan, '/frames', Buffer.from([...frames, ''].join('\n')));
      const sent = await bench.exec(plan.id, ['sh', '-c', `/netprobe send ${port.interfaceName} < /frames`], RAW);
      if (sent.exitCode !== 0) throw new Error(`the frames were not sent: ${sent.stderr}`);
    },
    async capture() {
      // Its network device keeps away what its system did not ask for.
      const all = await bench.exec(plan.id, ['ip', 'link', 'set', port.interfaceName, 'promisc', 'on'], RAW);
      if (all.exitCode !== 0) throw new Error(`it does not see everything: ${all.stderr}`);
      const session = await bench.driver.exec(plan.id, execPlan(['/netprobe', 'capture', port.interfaceName], RAW));
      const frames: string[] = [];
      let text = '';
      void (async () => {
        for await (const { data } of session.output) {
          const lines = (text + Buffer.from(data).toString('latin1')).split('\n');
          text = lines.pop()!;
          frames.push(...lines);
        }
      })().catch(() => undefined);
      const has = (wanted: (frame: string) => boolean): Promise<unknown> => until(() => frames.some(wanted), { deadlineMs: 60_000, intervalMs: 10, what: 'the last frame' });
      await has((line) => line === 'ready');
      return {
        async until(frame) {
          await has((other) => other === frame);
          await session.close();
          return frames.slice(1, frames.indexOf(frame));
        },
      };
    },
  };
}
