/** The runtime contract on a real QEMU whose machines boot; those that resume, as most do, are in test/host. */
import { runtimeContract } from '../../src/drivers/runtime/contract.ts';
import { openQemuBench, suiteBench } from '../lib/qemu-bench.ts';
import { RUNTIMES } from '../lib/runtime-forms.ts';

runtimeContract('qemu', async () => suiteBench(await openQemuBench()), RUNTIMES.qemu.can);
