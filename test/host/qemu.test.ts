/** microVMs on a real QEMU and the distribution's kernel. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { withQemuBench } from '../lib/qemu-bench.ts';

test('an exit code comes out', () => withQemuBench(async (bench) => {
  const outcome = await bench.run(['sh', '-c', 'echo out; echo err >&2; exit 7']);
  assert.deepEqual(outcome, { exitCode: 7, reason: 'exited', stdout: 'out\n', stderr: 'err\n' });
}));
