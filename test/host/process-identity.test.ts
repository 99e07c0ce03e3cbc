/** Processes by identity on the real kernel: which error says that one is gone is the kernel's choice (EINVAL before 6.16, ESRCH since). */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { identify, signalProcess } from '../../src/host/process.ts';

test('who is gone and left children in a group of its own is gone', { timeout: 60_000 }, async () => {
  const leader = spawn('sh', ['-c', 'sleep 1000 & echo $!'], { detached: true, stdio: ['ignore', 'pipe', 'inherit'] });
  const [ended, [line]] = await Promise.all([once(leader, 'exit'), once(leader.stdout!, 'data') as Promise<[Buffer]>]);
  assert.deepEqual(ended, [0, null]);
  const left = identify(Number(line.toString()))!;
  try {
    assert.equal(signalProcess({ pid: leader.pid!, startTicks: left.startTicks }, 'SIGTERM'), false);
  } finally {
    assert.equal(signalProcess(left, 'SIGKILL'), true);
  }
});
