/** J08: a process is its pid and the moment of its start; a pid alone is anybody's. */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { goesRed } from '../../test/lib/red.ts';
import { identify, processorTime, signalProcess, type ProcessIdentity } from './process.ts';

async function withSleeper(work: (child: ChildProcess, identity: ProcessIdentity) => void | Promise<void>): Promise<void> {
  const child = spawn('sleep', ['1000']);
  await once(child, 'spawn');
  try {
    await work(child, identify(child.pid!)!);
  } finally {
    const gone = child.exitCode === null && child.signalCode === null ? once(child, 'exit') : undefined;
    child.kill('SIGKILL');
    await gone;
  }
}

/** Somebody who was started at another moment has this pid now. */
async function strangerIsSpared(signal: (identity: ProcessIdentity) => unknown): Promise<void> {
  await withSleeper(async (child, identity) => {
    const ended = once(child, 'exit');
    signal({ ...identity, startTicks: identity.startTicks - 1 });
    // The one that is for it arrives after the one that is not.
    signalProcess(identity, 'SIGTERM');
    await ended;
    assert.equal(child.signalCode, 'SIGTERM', 'the stranger got the signal');
  });
}

test('J08: who is meant gets the signal', () => withSleeper(async (child, identity) => {
  assert.equal(signalProcess(identity, 'SIGTERM'), true);
  await once(child, 'exit');
  assert.equal(child.signalCode, 'SIGTERM');
  assert.equal(signalProcess(identity, 'SIGTERM'), false, 'and nobody after its end');
}));

test('J08: a stranger with its pid does not', () => strangerIsSpared((identity) => { assert.equal(signalProcess(identity, 'SIGKILL'), false); }));
test('J08 goes red when a pid is enough', () => goesRed(() => strangerIsSpared(({ pid }) => process.kill(pid, 'SIGKILL'))));

test('what a process got of the processors grows while it runs, and nobody has that of another', () => withSleeper(async (child, identity) => {
  const own = identify(process.pid)!, before = processorTime(own)!;
  for (const end = performance.now() + 10_000; processorTime(own)!.ranMs === before.ranMs && performance.now() < end;) identify(process.pid);
  assert.ok(processorTime(own)!.ranMs > before.ranMs);
  assert.ok(processorTime(own)!.waitedMs >= 0);
  assert.ok(processorTime(identity)!.ranMs < 1_000);
  assert.equal(processorTime({ ...identity, startTicks: identity.startTicks - 1 }), undefined, 'a stranger with its pid');
  child.kill('SIGKILL');
  await once(child, 'exit');
  assert.equal(processorTime(identity), undefined);
}));
