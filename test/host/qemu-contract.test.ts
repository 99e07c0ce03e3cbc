/** The runtime contract on a real QEMU. */
import { runtimeContract } from '../../src/drivers/runtime/contract.ts';
import { openQemuBench } from '../lib/qemu-bench.ts';

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
}, {
  // A guest under emulation boots for seconds, on a machine that other tests keep busy.
  patience: 6,
  // A shared directory needs virtio-fs, which QEMU 7.2's companion cannot do here: `create` refuses it, see qemu.test.ts.
  volumes: false,
  terminals: true,
  limits: true,
  // RAM and CPUs are plugged in at its start; a balloon and a quota only take away.
  grows: false,
  // The kernel keeps a part of the RAM for itself.
  memory: { args: ['sh', '-c', 'while read name kilobytes unit; do [ $name = MemTotal: ] && echo $((kilobytes * 1024)); done < /proc/meminfo'], tolerance: 0.3 },
  // Its case has 64 MiB, with which no guest boots: see qemu.test.ts for one with more.
  oom: false,
  killableMonitor: true,
});
