/** What is another thing in a VM than in a microVM, of the runtime contract; test/long has all of it. */
import { runtimeContract } from '../../src/drivers/runtime/contract.ts';
import { openQemuOsBench } from '../lib/qemu-os-bench.ts';
import { RUNTIMES } from '../lib/runtime-forms.ts';

const ANOTHER_THING = /^(absent, created, running|SIGKILL is 137|a second run on the same upper|a terminal: one stream|output, exit code, environment|statistics of several|what is executed can be killed|finds a running unit)/;

runtimeContract('qemu-os', openQemuOsBench, RUNTIMES['qemu-os'].can, { only: ANOTHER_THING });
