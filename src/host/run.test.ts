import assert from 'node:assert/strict';
import { test } from 'node:test';
import { run, signalNumber } from './run.ts';

test('input reaches a program that reads it, one that opens /dev/stdin, and one that ends without reading', async () => {
  const input = 'x'.repeat(300_000);
  assert.equal((await run('cat', [], { input })).stdout, input);
  assert.equal((await run('cat', ['/dev/stdin'], { input })).stdout, input);
  assert.equal((await run('true', [], { input })).code, 0);
  assert.equal((await run('cat', [], { input: '' })).stdout, '');
});

test('the environment is empty but for the search path and the locale', async () => {
  assert.deepEqual((await run('env', [])).stdout.trim().split('\n').map((line) => line.split('=')[0]).sort(), ['LC_ALL', 'PATH']);
});

test('a program that fails says what it said; one that is killed ends with 128 + its signal', async () => {
  await assert.rejects(run('sh', ['-c', 'echo why >&2; exit 3']), /ended with 3: why/);
  assert.equal((await run('sh', ['-c', 'kill -9 $$'], { allowFailure: true })).code, 137);
});

test('output and time are bounded', async () => {
  await assert.rejects(run('cat', ['/dev/zero'], { maxOutputBytes: 1000 }), { code: 'exhausted' });
  await assert.rejects(run('sleep', ['60'], { timeoutMs: 50 }), { code: 'timeout' });
});

test('what is not installed is named', async () => {
  await assert.rejects(run('no-such-program', []), { code: 'unavailable' });
});

test('signals by name, those of systemd among them', () => {
  assert.deepEqual(['SIGTERM', 'SIGRTMIN', 'SIGRTMIN+3', 'SIGRTMIN+30'].map(signalNumber), [15, 34, 37, 64]);
  assert.deepEqual(['SIGRTMIN+31', 'SIGRTMIN+03', 'SIGRTMIN-1', 'RTMIN+3', 'SIGNO', '', null, undefined].map(signalNumber), Array.from({ length: 8 }, () => undefined));
});
