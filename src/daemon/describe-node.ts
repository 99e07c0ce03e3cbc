/** What this host is, looked up when the daemon starts. */
import os from 'node:os';
import { readFile, stat, statfs } from 'node:fs/promises';
import type { NodeDescription } from '../control/node/node.ts';
import type { HostFacts } from '../control/services.ts';
import type { RuntimeDriver } from '../drivers/runtime/driver.ts';
import { formOf, FORMS, type SettledIsolation } from '../model/forms.ts';
import type { FormFact } from '../model/node.ts';
import { cgroupMounts } from '../host/cgroup.ts';
import { VERSION } from './version.ts';

export async function describeNode(runtimes: Readonly<Record<SettledIsolation, RuntimeDriver>>): Promise<NodeDescription> {
  const forms: FormFact[] = [];
  for (const form of FORMS) {
    const runtime = form === formOf('container', 'app') || form === formOf('container', 'os') ? runtimes.container : runtimes.vm;
    const answer = await runtime.available(form);
    forms.push(answer.ok ? { form, available: true, boundary: answer.boundary, ...(answer.noDirectories === undefined ? {} : { noDirectories: answer.noDirectories }) } : { form, available: false, reason: answer.reason, hint: answer.hint });
  }
  return {
    version: VERSION, hostname: os.hostname(), kernel: os.release(), cpus: os.availableParallelism(), memoryBytes: os.totalmem(),
    cgroupMode: cgroupMode(), forms, bootId: (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim(),
  };
}

function cgroupMode(): string {
  const types = new Set(cgroupMounts().map((mount) => mount.type));
  if (types.has('cgroup') && types.has('cgroup2')) return 'hybrid';
  return types.has('cgroup2') ? 'v2' : types.has('cgroup') ? 'v1' : 'none';
}

/** `available` is the kernel's own estimate (MemAvailable), not what is merely unused. */
export async function hostFacts(rootDir: string): Promise<HostFacts> {
  const [meminfo, disk] = await Promise.all([readFile('/proc/meminfo', 'latin1'), statfs(rootDir)]);
  const kibibytes = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(meminfo)?.[1] ?? 0) * 1024;
  return { memoryTotalBytes: kibibytes('MemTotal'), memoryAvailableBytes: kibibytes('MemAvailable'), diskTotalBytes: disk.blocks * disk.bsize, diskFreeBytes: disk.bavail * disk.bsize };
}

/** Bytes on the disk of those files that are there. */
export async function fileBytes(files: readonly string[]): Promise<number> {
  const sizes = await Promise.all(files.map((file) => stat(file).then(({ blocks }) => blocks * 512, () => 0)));
  return sizes.reduce((sum, size) => sum + size, 0);
}
