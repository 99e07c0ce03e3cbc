/** The guests' kernel as the distribution gives it, and what boots from it. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { prepareGuestInitramfs } from '../../src/host/guest-initramfs.ts';
import { cachedGuestKernels, prepareGuestKernel } from '../../src/host/guest-kernel.ts';
import { GUEST_AGENT } from '../../src/host/native.ts';
import { run } from '../../src/host/run.ts';
import { KERNEL_DIR } from '../lib/qemu-bench.ts';

/** A cache of the test's own with the kernel in it. */
async function ownCache(t: TestContext): Promise<string> {
  const kernel = await prepareGuestKernel(KERNEL_DIR);
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-kernels-'));
  t.after(() => { fs.rmSync(dir, { recursive: true }); });
  fs.cpSync(kernel.dir, path.join(dir, path.basename(kernel.dir)), { recursive: true });
  return dir;
}

test('a kernel is whole, its digests are right, and modules come after what they need', async () => {
  const kernel = await prepareGuestKernel(KERNEL_DIR);
  const image = fs.readFileSync(kernel.vmlinux);
  assert.equal(image.toString('latin1', 0, 4), '\x7fELF');
  assert.ok(image.includes(`Linux version ${kernel.release}`));
  assert.equal(createHash('sha256').update(image).digest('hex'), kernel.sha256.vmlinux);
  assert.match(kernel.sha256.package, /^[0-9a-f]{64}$/);
  const order = Object.values(kernel.modules).flat();
  for (const [at, name] of order.entries()) {
    const { stdout } = await run('modinfo', ['-F', 'depends', path.join(kernel.dir, 'modules', `${name}.ko`)]);
    // What a kernel has built in is in no list.
    for (const first of stdout.trim().split(',').map((one) => one.replaceAll('-', '_')).filter((one) => order.includes(one))) assert.ok(order.indexOf(first) < at, `${first} before ${name}`);
  }
  assert.ok(order.indexOf('failover') < order.indexOf('virtio_net'), 'what modinfo says was read');
  for (const needed of ['erofs', 'overlay', 'virtio_blk', 'virtio_net']) assert.ok(order.includes(needed), needed);
  assert.equal(new Set(order).size, order.length);
});

test('what is there is not fetched again; an entry that is torn or of another layout does not count', async (t) => {
  const dir = await ownCache(t);
  const [kernel] = await cachedGuestKernels(dir);
  const before = fs.statSync(kernel!.vmlinux);
  const again = await prepareGuestKernel(dir, (message) => assert.fail(message));
  assert.deepEqual([again.release, fs.statSync(again.vmlinux).ino], [kernel!.release, before.ino]);
  const file = path.join(kernel!.dir, 'kernel.json');
  const text = fs.readFileSync(file, 'utf8');
  for (const damaged of ['', text.slice(0, 40), text.replace(/"format": \d+/, '"format": 1'), text.replace(kernel!.release, '9.9.9')]) {
    fs.writeFileSync(file, damaged);
    assert.deepEqual(await cachedGuestKernels(dir), [], damaged.slice(0, 40));
  }
  assert.deepEqual(await cachedGuestKernels(path.join(dir, 'nowhere')), []);
});

test('an initramfs is made once for each agent, and old ones go in time', async (t) => {
  const [kernel] = await cachedGuestKernels(await ownCache(t));
  const first = await prepareGuestInitramfs(kernel!, GUEST_AGENT);
  const { ino } = fs.statSync(first.file);
  assert.deepEqual(await prepareGuestInitramfs(kernel!, GUEST_AGENT), first);
  assert.equal(fs.statSync(first.file).ino, ino);
  assert.equal(createHash('sha256').update(fs.readFileSync(first.file)).digest('hex'), first.sha256);
  const other = path.join(kernel!.dir, 'another-agent');
  fs.writeFileSync(other, 'agent');
  const old = path.join(kernel!.dir, 'initramfs-0123456789abcdef.cpio');
  fs.writeFileSync(old, 'old');
  fs.utimesSync(old, 1, 1);
  const second = await prepareGuestInitramfs(kernel!, other);
  assert.notEqual(second.file, first.file);
  assert.ok(fs.existsSync(first.file) && !fs.existsSync(old), 'a daemon of the version before may still need the younger one');
});
