/** VMs for the runtime suite: their init runs the case's command on its console and powers off, so that they boot in seconds. */
import type { RuntimeBench } from '../../src/drivers/runtime/contract.ts';
import { ALL_CAPABILITIES } from '../../src/model/instance-defaults.ts';
import { openQemuBench } from './qemu-bench.ts';

const INIT = ['/bin/sh', '-c', '"$@"; /bin/busybox poweroff -f; while :; do sleep 1; done', 'init'];

export async function openQemuOsBench(): Promise<RuntimeBench> {
  const bench = await openQemuBench();
  return {
    get driver() {
      return bench.driver;
    },
    reopen: () => bench.reopen(),
    plan: (args, choices = {}) => bench.plan([...INIT, ...args], {
      form: 'vm', capabilities: ALL_CAPABILITIES.map((name) => `CAP_${name}`), noNewPrivileges: false, boot: { users: [], files: [], commands: [] },
      resources: { memoryBytes: 256 * 1024 * 1024, cpuWeight: 100 }, ...choices, process: { terminal: true, ...choices.process }, root: { upperDisk: bench.disk(), ...choices.root },
    }),
    volumeDir: () => { throw new TypeError('volumes are not shown'); },
    [Symbol.asyncDispose]: () => bench[Symbol.asyncDispose](),
  };
}
