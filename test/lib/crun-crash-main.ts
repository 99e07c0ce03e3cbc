/** A daemon that dies at a step: makes and starts one unit, and kills itself when the driver tells that STEP was done. */
import { openCrunRuntime } from '../../src/drivers/runtime/crun/crun-runtime.ts';
import type { UnitPlan } from '../../src/drivers/runtime/driver.ts';
import { closeDescriptor } from '../../src/host/libc.ts';
import { NATIVE_PROGRAM } from '../../src/host/native.ts';
import { SandboxMaker } from '../../src/host/sandbox-maker.ts';

const { rootDir, runDir, rootTag, step, idBase, plan } = JSON.parse(process.argv[2]!) as { rootDir: string; runDir: string; rootTag: string; step: string; idBase: number; plan: UnitPlan };
const maker = new SandboxMaker(NATIVE_PROGRAM);
const driver = await openCrunRuntime({
  rootDir, runDir, rootTag, nativeProgram: NATIVE_PROGRAM, crun: '/usr/bin/crun', conmon: '/usr/bin/conmon',
  timings: (done) => { if (done === step) process.kill(process.pid, 'SIGKILL'); },
  async openSandbox() {
    const pair = await maker.open(idBase, 65_536, []);
    return { ...pair, idBase, idCount: 65_536, close() { closeDescriptor(pair.userNamespaceFd); closeDescriptor(pair.networkNamespaceFd); } };
  },
});
await driver.create(plan);
await driver.start(plan.id);
await driver.remove(plan.id, { keepLog: true });
process.exit(3); // the step never came
