/** Types and lint are tests like any other, so that one command tells everything. */
import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { run } from '../../src/host/run.ts';

const home = path.resolve(import.meta.dirname, '../..');

test('every file type-checks', async () => {
  const answer = await run(process.execPath, [path.join(home, 'node_modules/typescript/bin/tsc'), '--noEmit', '--pretty', 'false'], { cwd: home, allowFailure: true, timeoutMs: 240_000, maxOutputBytes: 8 * 1024 * 1024 });
  assert.equal(answer.code, 0, answer.stdout.slice(0, 8000) + answer.stderr.slice(0, 2000));
});

test('every file passes the linter', async () => {
  const answer = await run(process.execPath, [path.join(home, 'node_modules/oxlint/bin/oxlint'), '--quiet'], { cwd: home, allowFailure: true, timeoutMs: 120_000, maxOutputBytes: 8 * 1024 * 1024 });
  assert.equal(answer.code, 0, answer.stdout.slice(0, 8000) + answer.stderr.slice(0, 2000));
});
