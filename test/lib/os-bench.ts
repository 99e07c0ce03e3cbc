/** Whole systems for tests of the crun driver: a Debian as the only layer, its init as the first process. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createNativeUnpacker } from '../../src/drivers/unpack/native/native-unpacker.ts';
import type { PlanChoices } from '../../src/drivers/runtime/contract.ts';
import type { UnitPlan } from '../../src/drivers/runtime/driver.ts';
import type { ObjectId } from '../../src/model/ids.ts';
import { OS_CAPABILITIES } from '../../src/model/instance-defaults.ts';
import type { CrunBench } from './crun-bench.ts';
import { systemArchive } from './debian-images.ts';
import { patient } from './patience.ts';

export const SYSTEM_CAPABILITIES: readonly string[] = OS_CAPABILITIES.map((name) => `CAP_${name}`);
const PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export interface SystemLayer extends AsyncDisposable {
  readonly dir: string;
}

/** Seconds: unpacked once for a file of tests. */
export async function systemLayer(...archive: Parameters<typeof systemArchive>): Promise<SystemLayer> {
  const parent = await fs.promises.mkdtemp(path.join(os.tmpdir(), 'berth-system-'));
  await fs.promises.chmod(parent, 0o711);
  const dir = path.join(parent, 'layer');
  await fs.promises.mkdir(dir, { mode: 0o755 });
  await createNativeUnpacker().unpack({ file: await systemArchive(...archive), compression: 'none' }, dir);
  return { dir, async [Symbol.asyncDispose]() { await fs.promises.rm(parent, { recursive: true, force: true }); } };
}

export function systemPlan(bench: CrunBench, layers: readonly string[], choices: PlanChoices = {}): UnitPlan {
  return bench.plan(choices.process?.args ?? ['/sbin/init'], {
    form: 'osContainer', capabilities: SYSTEM_CAPABILITIES, noNewPrivileges: false, boot: { users: [], files: [], commands: [] },
    resources: { memoryBytes: 1024 ** 3, cpuWeight: 100, pids: 1024 }, ...choices,
    process: { terminal: true, env: [PATH, 'container=oci', 'TERM=xterm'], ...choices.process },
    root: { layers, ...choices.root },
  });
}

/** Boots one and waits until it is up: its id, and how its init says it is. */
export async function bootSystem(bench: CrunBench, layers: readonly string[], choices: PlanChoices = {}): Promise<{ readonly id: ObjectId; readonly pid: number; readonly state: string; readonly plan: UnitPlan }> {
  const plan = systemPlan(bench, layers, choices);
  const { process: first } = await bench.driver.create(plan);
  await bench.driver.start(plan.id);
  return { id: plan.id, pid: first.pid, plan, state: await bench.driver.booted!(plan.id, patient(60_000)) };
}

/** Runs a script inside, as the system's root. */
export async function inSystem(bench: CrunBench, id: ObjectId, script: string): Promise<string> {
  const { stdout } = await bench.exec(id, ['/bin/sh', '-c', script], { env: [PATH, 'HOME=/root'], capabilities: SYSTEM_CAPABILITIES, noNewPrivileges: false });
  return stdout;
}
