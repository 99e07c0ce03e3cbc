/** Doctor on the real kernel: it probes, leaves nothing behind, and works without a daemon. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { run } from '../../src/host/run.ts';

const berth = path.resolve(import.meta.dirname, '../../berth');

test('doctor probes the kernel and answers as data', async () => {
  const { stdout, code } = await run(berth, ['doctor', '-o', 'json'], { allowFailure: true });
  const { status, checks } = JSON.parse(stdout) as { status: string; checks: { id: string; status: string; means: string; fix: string }[] };
  const found = Object.fromEntries(checks.map((one) => [one.id, one.status]));
  for (const id of ['kernel.user-namespaces', 'kernel.idmapped-mounts', 'kernel.overlay', 'kernel.seccomp', 'kernel.cgroups', 'kernel.nftables', 'kernel.links', 'kernel.pidfd', 'tool.crun', 'tool.conmon']) assert.equal(found[id], 'ok', id);
  assert.equal(code, status === 'fail' ? 1 : 0);
  for (const one of checks) {
    assert.notEqual(one.means, '', one.id);
    if (one.status === 'fail' || one.status === 'warn') assert.notEqual(one.fix, '', one.id);
  }
  assert.equal(new Set(checks.map((one) => one.id)).size, checks.length, 'ids are unique');
});

test('doctor leaves nothing behind', async () => {
  const before = fs.readdirSync('/var/tmp').filter((name) => name.startsWith('berth-doctor-'));
  await run(berth, ['doctor'], { allowFailure: true });
  assert.deepEqual(fs.readdirSync('/var/tmp').filter((name) => name.startsWith('berth-doctor-')), before);
});

test('doctor refuses what it does not know', async () => {
  const { code, stderr } = await run(berth, ['doctor', '--frob'], { allowFailure: true });
  assert.equal(code, 2);
  assert.match(stderr, /--frob/);
});
