/** microVMs on a real QEMU and the distribution's kernel. */
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import type { UnitPlan } from '../../src/drivers/runtime/driver.ts';
import { qmpCommand } from '../../src/drivers/runtime/qemu/qmp.ts';
import { probeAccelerator } from '../../src/host/accelerator.ts';
import { prepareGuestInitramfs } from '../../src/host/guest-initramfs.ts';
import { prepareGuestKernel } from '../../src/host/guest-kernel.ts';
import { ACCELERATOR_PROBE, GUEST_AGENT } from '../../src/host/native.ts';
import { identify } from '../../src/host/process.ts';
import { BerthError } from '../../src/model/errors.ts';
import { compileStatic, logText } from '../lib/crun-bench.ts';
import { footholds, NAMESPACES } from '../lib/footholds.ts';
import { KERNEL_DIR, withQemuBench } from '../lib/qemu-bench.ts';
import { until } from '../lib/until.ts';

test('an exit code comes out', () => withQemuBench(async (bench) => {
  const outcome = await bench.run(['sh', '-c', 'echo out; echo err >&2; exit 7']);
  assert.deepEqual(outcome, { exitCode: 7, reason: 'exited', stdout: 'out\n', stderr: 'err\n' });
}));

test('G03: QEMU has a user of its own, no rights, a filter, a jail, and cannot reach another machine', () => withQemuBench(async (bench) => {
  const disks = [bench.disk(), bench.disk()];
  const plans = disks.map((upperDisk) => bench.plan(['sleep', '1000'], { root: { upperDisk } }));
  const infos = await Promise.all(plans.map((plan) => bench.driver.create(plan)));
  for (const { process: qemu } of infos) assert.deepEqual(footholds(qemu.pid), []);
  const uids = infos.map(({ process: qemu }) => fs.statSync(`/proc/${qemu.pid}`).uid);
  assert.notEqual(uids[0], uids[1]);
  const own = ['agent.sock', 'qmp.sock', 'vm.plan', 'unit.json'].map((name) => path.join(bench.runDir, 'v', plans[1]!.id, name));
  for (const file of [disks[1]!, ...own]) {
    const tried = spawnSync('setpriv', ['--reuid', String(uids[0]), '--regid', String(uids[0]), '--clear-groups', 'cat', file], { encoding: 'utf8' });
    assert.match(tried.stderr, /Permission denied/, file);
  }
}));

test('G03 without its walls: a QEMU started by hand as root has every foothold', async () => {
  const qemu = spawn('/usr/bin/qemu-system-x86_64', ['-nodefaults', '-no-user-config', '-display', 'none', '-M', 'none'], { stdio: ['ignore', 'ignore', 'inherit'] });
  try {
    await until(() => fs.readFileSync(`/proc/${qemu.pid}/cmdline`, 'latin1').includes('-nodefaults'), { what: 'QEMU' });
    const found = footholds(qemu.pid!);
    for (const wall of ['user', 'CapPrm', 'CapEff', 'CapBnd', 'NoNewPrivs', 'Seccomp', ...NAMESPACES, 'root', 'mounts']) assert.ok(found.includes(wall), wall);
  } finally {
    qemu.kill('SIGKILL');
    await new Promise((resolve) => qemu.once('close', resolve));
  }
});

test('the upper outlives its machine and is left clean, also by a kill', () => withQemuBench(async (bench) => {
  const upperDisk = bench.disk();
  const first = await bench.run(['sh', '-c', 'echo one > /kept; rm /plain-file; mkdir /home/new; exit 3'], { root: { upperDisk } });
  assert.equal(first.exitCode, 3);
  // The file system was let go of before the exit was told.
  assert.match(execFileSync('e2fsck', ['-fn', upperDisk], { encoding: 'utf8' }), /^(?![^]*recovering journal)/);
  const plan = bench.plan(['sh', '-c', 'cat /kept; ls /plain-file; ls -d /home/new; echo two >> /kept; echo done; sleep 1000'], { root: { upperDisk } });
  await bench.driver.create(plan);
  await bench.driver.start(plan.id);
  await until(async () => logText(await bench.driver.logFiles(plan.id)).stdout.includes('done'), { what: 'the writing', deadlineMs: 30_000 });
  assert.equal(logText(await bench.driver.logFiles(plan.id)).stdout, 'one\n/home/new\ndone\n');
  await bench.driver.signal(plan.id, 'SIGKILL');
  assert.equal((await bench.driver.waitExit(plan.id)).exitCode, 137);
  assert.match(execFileSync('e2fsck', ['-fn', upperDisk], { encoding: 'utf8' }), /^(?![^]*recovering journal)/);
  assert.equal((await bench.run(['cat', '/kept'], { root: { upperDisk } })).stdout, 'one\ntwo\n');
}));

test('what a microVM cannot do is said before anything is made', () => withQemuBench(async (bench) => {
  const refused = async (plan: UnitPlan, code: string): Promise<void> => {
    await assert.rejects(bench.driver.create(plan), (error: unknown) => error instanceof BerthError && error.code === code);
    assert.deepEqual(await bench.driver.leftovers(new Set()), []);
  };
  await refused(bench.plan(['true'], { mounts: [{ source: '/tmp', target: '/v', readOnly: false }] }), 'unsupported');
  await refused(bench.plan(['true'], { resources: { memoryBytes: 32 * 1024 * 1024, cpuWeight: 100 } }), 'invalid');
  await refused(bench.plan(['true'], { form: 'appContainer' }), 'unsupported');
  assert.equal((await bench.driver.available('osContainer')).ok, false);
}));

test('G10: the boundary that is there is told, not the one that was hoped for', () => withQemuBench(async (bench) => {
  const { accelerator } = await probeAccelerator({ qemu: '/usr/bin/qemu-system-x86_64', probe: ACCELERATOR_PROBE });
  const expected = accelerator === 'kvm' ? 'hardware' : 'emulated';
  const info = await bench.driver.create(bench.plan(['true']));
  assert.deepEqual([info.boundary, info.accelerator], [expected, accelerator]);
  assert.partialDeepStrictEqual(await bench.driver.available('microVM'), { ok: true, boundary: expected });
}));

test('G10 without its guard: who believes that /dev/kvm is enough promises hardware', () => withQemuBench(async (bench) => {
  assert.partialDeepStrictEqual(await bench.driver.available('microVM'), { ok: true, boundary: 'hardware' });
}, { accelerator: async () => ({ accelerator: 'kvm', reason: '/dev/kvm is there' }) }));

test('memory that runs out in the guest is told as oom', () => withQemuBench(async (bench) => {
  const outcome = await bench.run(['tail', '/dev/zero']);
  assert.deepEqual([outcome.exitCode, outcome.reason], [137, 'oom']);
}));

test('G01: a guest that stands still is ended all the same, within the deadline', () => withQemuBench(async (bench) => {
  const plan = bench.plan(['sleep', '1000']);
  await bench.driver.create(plan);
  await bench.driver.start(plan.id);
  await qmpCommand(path.join(bench.runDir, 'v', plan.id, 'qmp.sock'), 'stop'); // nobody told the driver
  const before = performance.now();
  await assert.rejects(bench.driver.signal(plan.id, 'SIGTERM'), (error: unknown) => error instanceof BerthError && error.code === 'timeout');
  await bench.driver.signal(plan.id, 'SIGKILL');
  const exit = await bench.driver.waitExit(plan.id, AbortSignal.timeout(10_000));
  assert.deepEqual([exit.exitCode, exit.reason], [137, 'killed']);
  assert.ok(performance.now() - before < 8_000);
}, { deadlines: { answerMs: 500 } }));

test('a machine whose QEMU or watcher is killed has ended, with its reason', () => withQemuBench(async (bench) => {
  const killed = bench.plan(['sleep', '1000']);
  const { process: qemu } = await bench.driver.create(killed);
  await bench.driver.start(killed.id);
  process.kill(qemu.pid, 'SIGKILL');
  const exit = await bench.driver.waitExit(killed.id, AbortSignal.timeout(10_000));
  assert.deepEqual([exit.exitCode, exit.reason], [137, 'killed']);

  const unwatched = bench.plan(['sleep', '1000']);
  const info = await bench.driver.create(unwatched);
  await bench.driver.start(unwatched.id);
  process.kill(Number(fs.readFileSync(path.join(bench.runDir, 'v', unwatched.id, 'pid'), 'utf8')), 'SIGKILL');
  assert.equal((await bench.driver.waitExit(unwatched.id, AbortSignal.timeout(10_000))).exitCode, undefined);
  await until(() => identify(info.process.pid) === undefined, { what: 'the end of QEMU with its watcher' });
}));

test('an initramfs that fills its last page, which is the last of memory, is written over nothing that the guest needs', async () => {
  const kernel = await prepareGuestKernel(KERNEL_DIR);
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'bq-page-'));
  const agent = path.join(dir, 'agent');
  const bytes = async (agentFile: string): Promise<number> => fs.statSync((await prepareGuestInitramfs(kernel, agentFile)).file).size;
  fs.copyFileSync(GUEST_AGENT, agent);
  fs.truncateSync(agent, fs.statSync(agent).size + 4095 - (await bytes(agent) + 3) % 4096);
  assert.equal(await bytes(agent) % 4096, 4092);
  await withQemuBench(async (bench) => {
    assert.equal((await bench.run(['echo', 'up'])).stdout, 'up\n');
  }, { agent });
  fs.rmSync(dir, { recursive: true });
});

test('a guest that never speaks is tried twice and leaves nothing', async () => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'bq-mute-'));
  const agent = path.join(dir, 'agent');
  compileStatic('#include <unistd.h>\nint main(void) { for (;;) pause(); }', agent);
  let boots = 0;
  await withQemuBench(async (bench) => {
    const plan = bench.plan(['true']);
    await assert.rejects(bench.driver.create(plan), (error: unknown) => error instanceof BerthError && error.code === 'timeout');
    assert.equal(boots, 2);
    assert.equal((await bench.driver.observe(plan.id)).state, 'absent');
    assert.deepEqual(await bench.driver.leftovers(new Set()), []);
  }, {
    agent, deadlines: { bootMs: 1_500 },
    leases: { takeVmUid: async () => 0x7000_0000 + crypto.randomInt(1_000_000) * 16 + boots++, keepVmUid: async () => undefined, giveVmUid: async () => undefined, takeIdRange: async () => 0x6000_0000, keepIdRange: async () => undefined, giveIdRange: async () => undefined },
  });
  fs.rmSync(dir, { recursive: true });
});
