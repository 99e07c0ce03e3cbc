/**
 * A machine without Berth: QEMU started by hand as root, with our command line, kernel and initramfs, the disks that it is
 * given, no monitor, no jail, no network. The guest and its agent are ours.
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { AgentLink } from '../../../src/drivers/runtime/qemu/agent-link.ts';
import { DESCRIPTOR, JAIL, qemuCommandLine } from '../../../src/drivers/runtime/qemu/command-line.ts';
import { setupFields, workloadFields } from '../../../src/drivers/runtime/qemu/guest-fields.ts';
import type { UnitPlan } from '../../../src/drivers/runtime/driver.ts';
import { cachedGuestKernels } from '../../../src/host/guest-kernel.ts';
import { prepareGuestInitramfs } from '../../../src/host/guest-initramfs.ts';
import { GUEST_AGENT, NATIVE_PROGRAM } from '../../../src/host/native.ts';
import { timeStampCounterKhz } from '../../../src/host/tsc.ts';
import { FRAME } from '../../../src/model/agent-protocol.ts';
import { KERNEL_DIR } from '../../lib/qemu-bench.ts';

const MIB = 1024 * 1024;
const PATIENCE_MS = 180_000;

export interface BareMachine extends AsyncDisposable {
  readonly nonce: string;
  /** The agent's first word, from the start of QEMU. */
  readonly helloMs: number;
  /** The workload could start. */
  readonly readyMs: number;
  /** Of QEMU, since it started. */
  cpuMs(): number;
  readonly link: AgentLink;
  readonly agentSocket: string;
  /** Where `echo` was asked for: a port of the same device that nothing of ours looks at. */
  readonly echoSocket: string;
  /** Resolves when QEMU has ended. */
  readonly ended: Promise<void>;
}

export interface BareChoices {
  /** With a file as its upper disk, else in memory. */
  readonly upperDisk?: string | undefined;
  readonly echo?: boolean;
}

/** A descriptor of a listening socket; QEMU takes it as ours does. */
async function listen(file: string): Promise<{ readonly server: net.Server; readonly fd: number }> {
  const server = net.createServer();
  await new Promise<void>((resolve) => { server.listen(file, resolve); });
  return { server, fd: (server as unknown as { _handle: { fd: number } })._handle.fd };
}

/** Closes our copies of the sockets without unlinking them, then connects to QEMU's. */
async function connect(file: string, nonce: string, ...servers: readonly net.Server[]): Promise<AgentLink> {
  fs.linkSync(file, `${file}.kept`);
  for (const server of servers) await new Promise((resolve) => { server.close(resolve); });
  return AgentLink.connect(`${file}.kept`, nonce, PATIENCE_MS);
}

function cpuMs(pid: number): number {
  const fields = fs.readFileSync(`/proc/${pid}/stat`, 'latin1').replace(/^.*\) /, '').split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/** Boots what `plan` says on the image `plan.root.imageFile`; the workload is made and not started. */
export async function bootBareMachine(plan: UnitPlan, baseDir: string, { upperDisk, echo = false }: BareChoices = {}): Promise<BareMachine> {
  const [kernel] = await cachedGuestKernels(KERNEL_DIR);
  const initramfs = await prepareGuestInitramfs(kernel!, GUEST_AGENT);
  const tscKhz = await timeStampCounterKhz(NATIVE_PROGRAM);
  const nonce = randomBytes(16).toString('hex');
  const dir = fs.mkdtempSync(path.join(baseDir, 'bare-'));
  const echoSocket = path.join(dir, 'e');
  const args = qemuCommandLine({
    qemu: '/usr/bin/qemu-system-x86_64', name: plan.id, accelerator: 'tcg', memoryMiB: Math.floor((plan.resources.memoryBytes ?? 256 * MIB) / MIB), virtualCpus: 1, tscKhz, nonce, upperDisk: upperDisk !== undefined, macs: [],
  }).map((word) => (word === JAIL.kernel ? kernel!.vmlinux : word === JAIL.initramfs ? initramfs.file : echo && word.startsWith('virtio-serial-device') ? 'virtio-serial-device,max_ports=7' : word));
  const more = echo ? ['-chardev', `socket,id=echo,path=${echoSocket},server=on,wait=off`, '-device', 'virtserialport,chardev=echo,name=bench.echo,nr=6'] : [];
  const agent = await listen(path.join(dir, 'a')), qmp = await listen(path.join(dir, 'q'));
  const root = fs.openSync(plan.root.imageFile!, 'r'), sink = fs.openSync('/dev/null', 'a');
  const upper = upperDisk === undefined ? undefined : fs.openSync(upperDisk, 'r+');
  const stdio: ('ignore' | number)[] = ['ignore', 'ignore', 'ignore'];
  stdio[DESCRIPTOR.agent] = agent.fd;
  stdio[DESCRIPTOR.qmp] = qmp.fd;
  stdio[DESCRIPTOR.root] = root;
  stdio[DESCRIPTOR.upper] = upper ?? 'ignore';
  for (const fd of [DESCRIPTOR.stdout, DESCRIPTOR.stderr, DESCRIPTOR.state]) stdio[fd] = sink;
  const begin = performance.now();
  const qemu = spawn(args[0]!, [...args.slice(1), ...more], { stdio });
  const ended = new Promise<void>((resolve) => { qemu.once('close', () => { resolve(); }); });
  for (const fd of [root, sink, ...(upper === undefined ? [] : [upper])]) fs.closeSync(fd);
  // A listener of ours on the same socket would take the connection.
  agent.server.unref();
  const end = async (): Promise<void> => {
    qemu.kill('SIGKILL');
    await ended;
  };
  try {
    const link = await connect(path.join(dir, 'a'), nonce, agent.server, qmp.server);
    const helloMs = performance.now() - begin;
    const boot = { clockNs: BigInt(Date.now()) * 1_000_000n, seed: randomBytes(64).toString('hex') };
    const own = upperDisk === undefined ? plan : { ...plan, root: { ...plan.root, upperDisk } };
    await Promise.all([link.request(FRAME.setup, setupFields(own, boot), PATIENCE_MS), link.request(FRAME.create, workloadFields(own), PATIENCE_MS)]);
    return {
      nonce, helloMs, readyMs: performance.now() - begin, link, ended, echoSocket, agentSocket: path.join(dir, 'a.kept'),
      cpuMs: () => cpuMs(qemu.pid!),
      async [Symbol.asyncDispose]() {
        link[Symbol.dispose]();
        await end();
      },
    };
  } catch (error) {
    await end();
    throw error;
  }
}
