/** The runtime contract on a real QEMU whose machines boot; those that resume, as most do, are in test/host. */
import { runtimeContract } from '../../src/drivers/runtime/contract.ts';
import { openQemuBench } from '../lib/qemu-bench.ts';
import { RUNTIMES } from '../lib/runtime-forms.ts';

runtimeContract('qemu', async () => {
  const bench = await openQemuBench();
  const MEMORY = { memoryBytes: 256 * 1024 * 1024, cpuWeight: 100, pids: 256 };
  return {
    get driver() {
      return bench.driver;
    },
    reopen: () => bench.reopen(),
    plan: (args, choices = {}) => bench.plan(args, { resources: MEMORY, ...choices, root: { upperDisk: bench.disk(), ...choices.root } }),
    volumeDir: () => { throw new TypeError('volumes are not shown'); },
    [Symbol.asyncDispose]: () => bench[Symbol.asyncDispose](),
  };
}, RUNTIMES.qemu.can);
