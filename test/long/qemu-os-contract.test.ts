/** The whole runtime contract on VMs with an init of their own; the normal run has a part of it. */
import { runtimeContract } from '../../src/drivers/runtime/contract.ts';
import { openQemuOsBench } from '../lib/qemu-os-bench.ts';
import { RUNTIMES } from '../lib/runtime-forms.ts';

runtimeContract('qemu-os', openQemuOsBench, RUNTIMES['qemu-os'].can);
