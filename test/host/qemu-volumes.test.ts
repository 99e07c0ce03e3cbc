/** Block volumes of machines: mounted where they were wished for, kept, clean afterwards, and no larger than they are. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { dirStorage } from '../../src/drivers/storage/dir/dir-storage.ts';
import { BerthError } from '../../src/model/errors.ts';
import type { VolumeDiskPlan } from '../../src/drivers/runtime/driver.ts';
import { newId } from '../lib/crun-bench.ts';
import { openQemuBench, withQemuBench, type QemuBench } from '../lib/qemu-bench.ts';

const MIB = 1024 * 1024;

async function makeVolume(bench: QemuBench, name: string, target: string, readOnly = false): Promise<VolumeDiskPlan> {
  const storage = dirStorage({ rootDir: path.join(bench.rootDir, 'pool') });
  const id = newId();
  await storage.createVolume({ id, type: 'block', sizeBytes: 32 * MIB, specCopy: '{}' });
  return { name, file: storage.volumePath(id, 'block'), target, readOnly };
}

const isClean = (file: string): boolean => !/skipping journal recovery|errors/i.test(execFileSync('e2fsck', ['-fn', file], { encoding: 'utf8' }));

test('a volume is empty at first, keeps what is written, is as large as it is, and is left clean', { timeout: 240_000 }, () => withQemuBench(async (bench) => {
  const data = await makeVolume(bench, 'data', '/v/data'), more = await makeVolume(bench, 'a-name-that-is-longer-than-a-serial', '/home');
  const first = await bench.run(['sh', '-c', [
    'ls -A /v/data | wc -l', 'echo kept > /v/data/file', 'echo other > /home/file', 'touch /v/data/own', 'chown 33:34 /v/data/own',
    'mknod /v/data/null c 1 3 && cat /v/data/null || echo "no device"',
    'dd if=/dev/zero of=/v/data/big bs=1M 2>&1 | grep -o "No space left" | head -1', 'rm /v/data/big',
    'grep -E " (/v/data|/home) " /proc/mounts | cut -d" " -f2-4 | cut -d, -f1-3 | sort',
  ].join('; ')], { volumeDisks: [data, more], capabilities: ['CHOWN', 'MKNOD', 'DAC_OVERRIDE'] });
  assert.equal(first.stdout, '0\nno device\nNo space left\n/home ext4 rw,nosuid,nodev\n/v/data ext4 rw,nosuid,nodev\n', first.stderr);
  for (const { file } of [data, more]) assert.ok(isClean(file), file);
  assert.equal(fs.statSync(data.file).size, 32 * MIB);

  const plan = bench.plan(['sh', '-c', 'cat /v/data/file /home/file; stat -c "%u %g" /v/data/own; echo x >> /v/data/file || echo refused; exec sleep 1000'], { volumeDisks: [{ ...data, readOnly: true }, more] });
  await bench.driver.create(plan);
  await bench.driver.start(plan.id);
  assert.equal((await bench.exec(plan.id, ['sh', '-c', 'cat /v/data/file; echo second > /home/second; echo x > /v/data/x'])).stdout, 'kept\n');
  const { process: qemu } = await bench.driver.observe(plan.id).then((seen) => ('info' in seen ? seen.info : assert.fail()));
  process.kill(qemu.pid, 'SIGKILL');
  await bench.driver.waitExit(plan.id, AbortSignal.timeout(20_000));
  await bench.driver.remove(plan.id, { keepLog: false });
  assert.ok(isClean(data.file), 'who may only read leaves nothing to repair');

  assert.ok(!isClean(more.file), 'who wrote was cut off');
  // Nobody may read it before somebody who may write has played its journal back.
  const cut = await bench.run(['cat', '/home/second'], { volumeDisks: [{ ...more, readOnly: true }] }).catch((error: unknown) => error);
  assert.ok(cut instanceof BerthError && cut.code === 'wrongState' && /not left clean/.test(cut.message), String(cut));
  const repaired = await bench.run(['sh', '-c', 'cat /home/file; ls /home'], { volumeDisks: [more] });
  assert.match(repaired.stdout, /^other\n/);
  assert.ok(isClean(more.file));
}));

test('as many volumes as a machine may have, and not one more; no directory of the host', { timeout: 120_000 }, async () => {
  await using bench = await openQemuBench();
  const eight = await Promise.all(Array.from({ length: 8 }, (_, index) => makeVolume(bench, `n${index}`, `/v/${index}`, index % 2 === 1)));
  const { stdout } = await bench.run(['sh', '-c', 'grep " /v/" /proc/mounts | cut -d" " -f2,4 | cut -d, -f1 | sort'], { volumeDisks: eight, root: { upperDisk: bench.disk() } });
  assert.equal(stdout, eight.map(({ target, readOnly }) => `${target} ${readOnly ? 'ro' : 'rw'}\n`).join(''));
  const refused = (choices: Parameters<QemuBench['plan']>[1]): Promise<void> => assert.rejects(bench.driver.create(bench.plan(['true'], choices)), (error: unknown) => error instanceof BerthError && error.code === 'unsupported');
  await refused({ volumeDisks: [...eight, { ...eight[0]!, target: '/v/8' }] });
  await refused({ mounts: [{ source: '/tmp', target: '/v', readOnly: false }] });
});

test('a second machine cannot have a disk that another one writes, whatever it was told', { timeout: 120_000 }, () => withQemuBench(async (bench) => {
  const data = await makeVolume(bench, 'data', '/v');
  const holder = bench.plan(['sleep', '1000'], { volumeDisks: [data] });
  await bench.driver.create(holder);
  await assert.rejects(bench.driver.create(bench.plan(['true'], { volumeDisks: [data] })), /lock/);
}, { deadlines: { bootMs: 20_000 } }));
