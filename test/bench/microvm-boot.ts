/**
 * How long a microVM takes to the moment where its workload could start, beside a bare QEMU with the same command line
 * and the same guest, in turns. Prints JSON: medians in milliseconds, and CPU time, which a busy machine moves less.
 *   node test/bench/microvm-boot.ts [ROUNDS]
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { AgentLink } from '../../src/drivers/runtime/qemu/agent-link.ts';
import { DESCRIPTOR, JAIL, qemuCommandLine } from '../../src/drivers/runtime/qemu/command-line.ts';
import { setupFields, workloadFields } from '../../src/drivers/runtime/qemu/guest-fields.ts';
import { cachedGuestKernels } from '../../src/host/guest-kernel.ts';
import { prepareGuestInitramfs } from '../../src/host/guest-initramfs.ts';
import { GUEST_AGENT, NATIVE_PROGRAM } from '../../src/host/native.ts';
import { timeStampCounterKhz } from '../../src/host/tsc.ts';
import { FRAME } from '../../src/model/agent-protocol.ts';
import { openQemuBench, KERNEL_DIR, type QemuBench } from '../lib/qemu-bench.ts';

interface Sample {
  readonly helloMs?: number;
  readonly readyMs: number;
  readonly cpuMs: number;
}

const tscKhz = await timeStampCounterKhz(NATIVE_PROGRAM);
const MEMORY = { memoryBytes: 256 * 1024 * 1024, cpuWeight: 100 };

function cpuMs(pid: number): number {
  const fields = fs.readFileSync(`/proc/${pid}/stat`, 'latin1').replace(/^.*\) /, '').split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/** A descriptor of a listening socket; QEMU takes it as ours does. */
async function listen(file: string): Promise<{ readonly server: net.Server; readonly fd: number }> {
  const server = net.createServer();
  await new Promise<void>((resolve) => { server.listen(file, resolve); });
  return { server, fd: (server as unknown as { _handle: { fd: number } })._handle.fd };
}

async function bare(bench: QemuBench): Promise<Sample> {
  const [kernel] = await cachedGuestKernels(KERNEL_DIR);
  const initramfs = await prepareGuestInitramfs(kernel!, GUEST_AGENT);
  const nonce = randomBytes(16).toString('hex');
  const plan = bench.plan(['true'], { resources: MEMORY });
  const args = qemuCommandLine({
    qemu: '/usr/bin/qemu-system-x86_64', name: plan.id, accelerator: 'tcg', memoryMiB: 256, virtualCpus: 1, tscKhz, nonce, upperDisk: false, macs: [],
  }).map((word) => (word === JAIL.kernel ? kernel!.vmlinux : word === JAIL.initramfs ? initramfs.file : word));
  const dir = fs.mkdtempSync(path.join(bench.rootDir, 'bare-'));
  const agent = await listen(path.join(dir, 'a')), qmp = await listen(path.join(dir, 'q'));
  const root = fs.openSync(bench.image, 'r'), sink = fs.openSync('/dev/null', 'a');
  const stdio: ('ignore' | number)[] = ['ignore', 'ignore', 'ignore'];
  stdio[DESCRIPTOR.agent] = agent.fd;
  stdio[DESCRIPTOR.qmp] = qmp.fd;
  stdio[DESCRIPTOR.root] = root;
  stdio[DESCRIPTOR.upper] = 'ignore';
  for (const fd of [DESCRIPTOR.stdout, DESCRIPTOR.stderr, DESCRIPTOR.state]) stdio[fd] = sink;
  const begin = performance.now();
  const qemu = spawn(args[0]!, args.slice(1), { stdio });
  // A listener of ours on the same socket would take the connection.
  agent.server.unref();
  try {
    using link = await connect(path.join(dir, 'a'), nonce, agent.server, qmp.server);
    const helloMs = performance.now() - begin;
    const boot = { clockNs: BigInt(Date.now()) * 1_000_000n, seed: randomBytes(64).toString('hex') };
    await Promise.all([link.request(FRAME.setup, setupFields(plan, boot), 60_000), link.request(FRAME.create, workloadFields(plan), 60_000)]);
    return { helloMs, readyMs: performance.now() - begin, cpuMs: cpuMs(qemu.pid!) };
  } finally {
    qemu.kill('SIGKILL');
    await new Promise((resolve) => qemu.once('close', resolve));
    fs.closeSync(root);
    fs.closeSync(sink);
  }
}

/** Closes our copies of the sockets without unlinking them, then connects to QEMU's. */
async function connect(file: string, nonce: string, ...servers: readonly net.Server[]): Promise<AgentLink> {
  fs.linkSync(file, `${file}.kept`);
  for (const server of servers) await new Promise((resolve) => { server.close(resolve); });
  return AgentLink.connect(`${file}.kept`, nonce, 60_000);
}

async function ours(bench: QemuBench): Promise<Sample> {
  const plan = bench.plan(['true'], { resources: MEMORY });
  const begin = performance.now();
  const info = await bench.driver.create(plan);
  const sample = { readyMs: performance.now() - begin, cpuMs: cpuMs(info.process.pid) };
  await bench.driver.remove(plan.id, { keepLog: false });
  return sample;
}

const median = (values: readonly number[]): number => Math.round(values.toSorted((a, b) => a - b)[values.length >> 1]!);
const summary = (samples: readonly Sample[]): Record<string, number> => ({
  ...(samples[0]!.helloMs === undefined ? {} : { helloMs: median(samples.map((sample) => sample.helloMs!)) }),
  readyMs: median(samples.map((sample) => sample.readyMs)), readyMsLeast: Math.round(Math.min(...samples.map((sample) => sample.readyMs))), cpuMs: median(samples.map((sample) => sample.cpuMs)),
});

const rounds = Number(process.argv[2] ?? 7);
await using bench = await openQemuBench();
await ours(bench); // caches
const floor: Sample[] = [], berth: Sample[] = [];
for (let round = 0; round < rounds; round++) {
  floor.push(await bare(bench));
  berth.push(await ours(bench));
}
const [floorSummary, berthSummary] = [summary(floor), summary(berth)];
console.log(JSON.stringify({ rounds, bareQemu: floorSummary, berth: berthSummary, ratio: Number((berthSummary['readyMs']! / floorSummary['readyMs']!).toFixed(2)), ratioLeast: Number((berthSummary['readyMsLeast']! / floorSummary['readyMsLeast']!).toFixed(2)) }, null, 2));
