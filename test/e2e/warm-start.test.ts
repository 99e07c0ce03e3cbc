/** A microVM that resumed, by the daemon: told as such, adopted, stopped and forgotten like one that booted. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { berth } from '../lib/cli.ts';
import { TestDaemon } from '../lib/daemon.ts';
import { until } from '../lib/until.ts';

const I = '/v1/projects/default/instances';

test('the second microVM of a kind starts warm, is what the first was, and outlives its daemon', { timeout: 400_000 }, async () => {
  await using daemon = await TestDaemon.start({ vms: true });
  await daemon.bootstrapBusybox();
  const make = async (name: string): Promise<string> => {
    await daemon.ok('POST', `${I}?waitMs=120000`, { meta: { name }, spec: { image: 'busybox', isolation: 'vm', command: ['sh', '-c', `echo ${name} says; sleep 1000`], stopSignal: 'SIGKILL', running: true } });
    return (await daemon.instance(name)).status.start as string;
  };
  const templates = async (): Promise<{ readonly count: number; readonly bytes: number; readonly reclaimableBytes: number }> =>
    (await daemon.ok('GET', '/v1/system/df')).items.find((row: { what: string }) => row.what === 'templates');
  assert.equal(await make('first'), 'cold');
  await until(async () => {
    assert.deepEqual(await daemon.leaks(), [], 'a template that is being made is nobody’s leftover');
    return (await templates()).count === 1;
  }, { what: 'a template', deadlineMs: 120_000 });
  const { bytes, reclaimableBytes } = await templates();
  assert.ok(bytes > 1 << 20 && reclaimableBytes === bytes);
  assert.equal(await make('second'), 'warm');
  await daemon.kill();
  await daemon.up();
  assert.equal((await daemon.instance('second')).status.state, 'running');
  assert.equal((await berth(daemon, ['exec', 'second', 'hostname'])).stdout, 'second\n');
  assert.equal((await berth(daemon, ['logs', 'second'])).stdout, 'second says\n');
  for (const words of [['pause', 'second'], ['resume', 'second'], ['stop', 'second'], ['start', 'second']]) assert.equal((await berth(daemon, words)).code, 0, words.join(' '));
  assert.equal((await daemon.instance('second')).status.start, 'warm', 'the template outlived the daemon that made it');
  // What nothing started from for a while goes, and what runs goes on.
  assert.match((await berth(daemon, ['system', 'templates'])).stdout, /^TEMPLATE +PROJECT +MEMORY +SIZE +AGE +UNUSED FOR\n[0-9a-f]{12} +default +256MiB +\S+iB +\d+[smh] +\d+[smh]\n$/);
  const [template] = JSON.parse((await berth(daemon, ['system', 'templates', '-o', 'json'])).stdout);
  assert.deepEqual([template.project, template.bytes > 1 << 20], ['default', true]);
  assert.deepEqual(await berth(daemon, ['system', 'prune-templates', '--unused-for', '1h']), { code: 0, stdout: '', stderr: '0B freed.\n' }, 'system.pruneTemplates keeps what is used');
  const pruned = await berth(daemon, ['system', 'prune-templates']);
  assert.deepEqual([pruned.code, pruned.stdout], [0, `${template.id}\n`]);
  assert.match(pruned.stderr, /iB freed/);
  assert.deepEqual([(await templates()).count, fs.readdirSync(path.join(daemon.rootDir, 'templates')).flatMap((facts) => fs.readdirSync(path.join(daemon.rootDir, 'templates', facts)))], [0, []]);
  assert.equal((await berth(daemon, ['exec', 'second', 'hostname'])).stdout, 'second\n');
  for (const name of ['first', 'second']) assert.equal((await berth(daemon, ['rm', '-f', name])).code, 0);
  await daemon.untilNoLeaks();
  // Switched off, nothing of it stays.
  await daemon.restart({ env: { BERTH_WARM_START: 'off' } });
  assert.equal(await make('third'), 'cold');
  assert.ok(!fs.existsSync(path.join(daemon.rootDir, 'templates')));
  assert.equal((await berth(daemon, ['rm', '-f', 'third'])).code, 0);
});
