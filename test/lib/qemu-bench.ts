/** A root of its own for tests of the QEMU driver: busybox as an erofs image, plans with short forms, nothing left behind. */
import { execFileSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { MicroVmRuntime } from '../../src/drivers/runtime/qemu/microvm-runtime.ts';
import { openQemuRuntime, type QemuRuntimeOptions } from '../../src/drivers/runtime/qemu/qemu-runtime.ts';
import type { RuntimeBench } from '../../src/drivers/runtime/contract.ts';
import type { UnitPlan } from '../../src/drivers/runtime/driver.ts';
import { openControlGroups } from '../../src/host/cgroup.ts';
import { prepareGuestKernel } from '../../src/host/guest-kernel.ts';
import { IDS_PER_RANGE } from '../../src/host/leases.ts';
import { NATIVE_PROGRAM } from '../../src/host/native.ts';
import { benchWork, busyboxLayer, busyboxPlan, newId, type BenchWork, type PlanChoices } from './crun-bench.ts';

/** Kept between test runs: fetching takes seconds. */
export const KERNEL_DIR = path.resolve(import.meta.dirname, '../../.build/kernels');
const WAIT_MS = 60_000;

export interface QemuBench extends BenchWork, AsyncDisposable {
  readonly rootDir: string;
  readonly runDir: string;
  readonly rootTag: string;
  readonly image: string;
  readonly driver: MicroVmRuntime;
  plan(args: readonly string[], choices?: PlanChoices): UnitPlan;
  /** An empty ext4 disk; of 256 MiB when nothing is said. */
  disk(sizeBytes?: number): string;
  reopen(): Promise<MicroVmRuntime>;
}

export async function withQemuBench(work: (bench: QemuBench) => Promise<void>, options: Partial<QemuRuntimeOptions> = {}): Promise<void> {
  await using bench = await openQemuBench(options);
  await work(bench);
}

export async function openQemuBench(options: Partial<QemuRuntimeOptions> = {}): Promise<QemuBench> {
  await prepareGuestKernel(KERNEL_DIR);
  const rootDir = fs.mkdtempSync(path.join(os.tmpdir(), 'bq-'));
  const runDir = path.join(rootDir, 'r'), rootTag = crypto.randomBytes(3).toString('hex');
  const image = path.join(rootDir, 'root.erofs');
  execFileSync('mkfs.erofs', ['-T0', image, busyboxLayer(path.join(rootDir, 'layer'))], { stdio: 'ignore' });
  const firstUid = 0x70000000 + crypto.randomInt(1_000_000) * 16;
  const firstRange = 0x60000000 + crypto.randomInt(256) * 16 * IDS_PER_RANGE;
  const taken = new Set<number>(), ranges = new Set<number>();
  const leases = {
    takeVmUid: async () => {
      let uid = firstUid;
      while (taken.has(uid)) uid++;
      taken.add(uid);
      return uid;
    },
    keepVmUid: async (uid: number) => { taken.add(uid); },
    giveVmUid: async (uid: number) => { taken.delete(uid); },
    takeIdRange: async () => {
      let base = firstRange;
      while (ranges.has(base)) base += IDS_PER_RANGE;
      ranges.add(base);
      return base;
    },
    keepIdRange: async (base: number) => { ranges.add(base); },
    giveIdRange: async (base: number) => { ranges.delete(base); },
  };
  const open = (): Promise<MicroVmRuntime> => openQemuRuntime({ rootDir, runDir, rootTag, nativeProgram: NATIVE_PROGRAM, conmon: '/usr/bin/conmon', leases, kernelDir: KERNEL_DIR, ...options });
  let driver = await open();
  const plans: UnitPlan[] = [];
  let disks = 0;
  const bench: QemuBench = {
    rootDir, runDir, rootTag, image,
    get driver() {
      return driver;
    },
    plan(args, choices = {}) {
      const id = choices.id ?? newId();
      const plan = busyboxPlan(id, args, {
        form: 'microVM', resources: { memoryBytes: 128 * 1024 * 1024, cpuWeight: 100 }, ...choices, root: { imageFile: image, ...choices.root },
      });
      plans.push(plan);
      return plan;
    },
    disk(sizeBytes = 256 * 1024 * 1024) {
      const file = path.join(rootDir, `upper-${disks++}.ext4`);
      fs.closeSync(fs.openSync(file, 'w', 0o600));
      fs.truncateSync(file, sizeBytes);
      execFileSync('mkfs.ext4', ['-q', '-E', 'lazy_itable_init=1,lazy_journal_init=1', file]);
      return file;
    },
    async reopen() {
      await driver[Symbol.asyncDispose]();
      return driver = await open();
    },
    ...benchWork(() => bench, WAIT_MS),
    async [Symbol.asyncDispose]() {
      for (const plan of plans) await driver.remove(plan.id, { keepLog: false });
      await driver[Symbol.asyncDispose]();
      using groups = openControlGroups(`berth-${rootTag}`);
      groups.removeParent();
      fs.rmSync(rootDir, { recursive: true });
    },
  };
  return bench;
}

/** The machines of the runtime suite: more memory than those of other tests have, and an upper disk each. */
export const SUITE_RESOURCES = { memoryBytes: 256 * 1024 * 1024, cpuWeight: 100, pids: 256 };

export function suiteBench(bench: QemuBench, dispose = () => bench[Symbol.asyncDispose]()): RuntimeBench {
  return {
    get driver() {
      return bench.driver;
    },
    reopen: () => bench.reopen(),
    plan: (args, choices = {}) => bench.plan(args, { resources: SUITE_RESOURCES, ...choices, root: { upperDisk: bench.disk(), ...choices.root } }),
    volumeDir: () => { throw new TypeError('volumes are not shown'); },
    [Symbol.asyncDispose]: dispose,
  };
}
