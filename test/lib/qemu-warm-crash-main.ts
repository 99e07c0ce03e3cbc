/** A daemon that dies on the way to a warm start: makes machines one after the other, and kills itself when STAGE was done. */
import path from 'node:path';
import type { UnitPlan } from '../../src/drivers/runtime/driver.ts';
import { openQemuRuntime } from '../../src/drivers/runtime/qemu/qemu-runtime.ts';
import { NATIVE_PROGRAM } from '../../src/host/native.ts';

const { rootDir, runDir, rootTag, stage, plans } = JSON.parse(process.argv[2]!) as { rootDir: string; runDir: string; rootTag: string; stage: string; plans: readonly UnitPlan[] };
let uid = 0x7100_0000 + process.pid;
const driver = await openQemuRuntime({
  rootDir, runDir, rootTag, nativeProgram: NATIVE_PROGRAM, conmon: '/usr/bin/conmon', kernelDir: path.resolve(import.meta.dirname, '../../.build/kernels'),
  leases: { takeVmUid: async () => uid++, keepVmUid: async () => undefined, giveVmUid: async () => undefined, takeIdRange: async () => 0x6000_0000, keepIdRange: async () => undefined, giveIdRange: async () => undefined },
  warmStart: 'project', templateDelayMs: 0,
  timings: (done) => { if (done === stage) process.kill(process.pid, 'SIGKILL'); },
});
for (const plan of plans) {
  await driver.create(plan);
  await driver.templatesMade();
}
process.exit(3); // the stage never came
