/**
 * The floor of a microVM: QEMU started by hand as root, with the same kernel, initramfs, machine and kernel command line,
 * no disk, no network and no jail, until the guest's agent says its first word. Prints the median in milliseconds.
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { kernelCommandLine, tcgBufferMiB, type MachinePlan } from '../../src/drivers/runtime/qemu/command-line.ts';
import { prepareGuestInitramfs } from '../../src/host/guest-initramfs.ts';
import { prepareGuestKernel } from '../../src/host/guest-kernel.ts';
import { GUEST_AGENT, NATIVE_PROGRAM } from '../../src/host/native.ts';
import { AgentLink } from '../../src/drivers/runtime/qemu/agent-link.ts';
import { timeStampCounterKhz } from '../../src/host/tsc.ts';
import { until } from '../lib/until.ts';

const ROUNDS = 5;
const MEMORY_MIB = 256;
const kernel = await prepareGuestKernel(path.resolve(import.meta.dirname, '../../.build/kernels'));
const { file: initramfs } = await prepareGuestInitramfs(kernel, GUEST_AGENT);
const tscKhz = await timeStampCounterKhz(NATIVE_PROGRAM);
const dir = await mkdtemp(path.join(os.tmpdir(), 'berth-bare-'));

async function boot(round: number): Promise<number> {
  const socket = path.join(dir, `agent${round}`);
  const plan: MachinePlan = { qemu: 'qemu-system-x86_64', name: 'bare', accelerator: 'tcg', memoryMiB: MEMORY_MIB, virtualCpus: 1, tscKhz, nonce: randomBytes(16).toString('hex'), upperDisk: false, macs: [] };
  const begin = performance.now();
  const qemu = spawn(plan.qemu, [
    '-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot', '-machine', 'microvm,acpi=on,rtc=on,pic=off,pit=off',
    '-accel', `tcg,tb-size=${tcgBufferMiB(MEMORY_MIB)}`, '-cpu', 'qemu64,-cx16', '-m', String(MEMORY_MIB), '-smp', '1',
    '-kernel', kernel.vmlinux, '-initrd', initramfs, '-append', kernelCommandLine(plan),
    '-device', 'virtio-serial-device,max_ports=6', '-chardev', `socket,id=agent,path=${socket},server=on,wait=off`, '-device', 'virtserialport,chardev=agent,name=berth.agent,nr=1',
    ...['state', 'stdin', 'stdout', 'stderr'].flatMap((name, index) => ['-chardev', `null,id=${name}`, '-device', `virtserialport,chardev=${name},name=berth.${name},nr=${index + 2}`]),
  ], { stdio: 'ignore' });
  try {
    await until(() => existsSync(socket), { deadlineMs: 10_000, intervalMs: 2, what: 'the agent’s socket' });
    using _link = await AgentLink.connect(socket, plan.nonce, 60_000);
    return performance.now() - begin;
  } finally {
    qemu.kill('SIGKILL');
    await new Promise((resolve) => { qemu.once('exit', resolve); });
  }
}

try {
  const all: number[] = [];
  for (let round = 0; round < ROUNDS; round++) all.push(await boot(round));
  console.log(String(all.toSorted((a, b) => a - b)[Math.floor(ROUNDS / 2)]));
} finally {
  await rm(dir, { recursive: true, force: true });
}
