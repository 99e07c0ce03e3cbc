import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import zlib from 'node:zlib';
import { BerthError } from '../model/errors.ts';
import { describeKernel, layOutKernel, openKernel, type KernelFiles } from './kernel-layout.ts';

const RELEASE = '6.1.0-test';
const ROOT = `lib/modules/${RELEASE}`;

/** An ELF kernel with one note. */
function vmlinux({ noteType = 18 } = {}): Buffer {
  const elf = Buffer.alloc(64 + 56 + 20);
  elf.write('\x7fELF\x02', 'latin1');
  elf.writeUInt16LE(62, 18);
  elf.writeBigUInt64LE(64n, 32);
  elf.writeUInt16LE(1, 56);
  elf.writeUInt32LE(4, 64);
  elf.writeBigUInt64LE(120n, 72);
  elf.writeBigUInt64LE(20n, 96);
  for (const [index, word] of [4, 4, noteType].entries()) elf.writeUInt32LE(word, 120 + index * 4);
  elf.write('Xen\0', 132, 'latin1');
  return elf;
}

function bzImage(payload: Buffer): Buffer {
  const image = Buffer.alloc(3 * 512 + payload.length);
  image[0x1f1] = 2;
  image.write('HdrS', 0x202);
  image.writeUInt32LE(payload.length, 0x24c);
  payload.copy(image, 3 * 512);
  return image;
}

const module = (name: string, depends = ''): Buffer => Buffer.from(`ELF\0depends=${depends}\0name=${name}\0`);
const pathOf = (name: string): string => `kernel/drivers/${name}`;
const MODULES = ['virtio_mmio', 'virtio_console', 'virtio_blk', 'erofs', 'overlay', 'virtio_net'];

function tree(changes: Readonly<Record<string, Uint8Array | undefined>> = {}): Readonly<Record<string, Uint8Array | undefined>> {
  return {
    [`boot/vmlinuz-${RELEASE}`]: bzImage(zlib.gzipSync(vmlinux())),
    [`${ROOT}/modules.builtin`]: Buffer.from('kernel/fs/ext4/ext4.ko\n'),
    [`${ROOT}/modules.order`]: Buffer.from([...MODULES, 'net-failover'].map((name) => `${pathOf(name)}.ko\n`).join('')),
    ...Object.fromEntries(MODULES.map((name) => [`${ROOT}/${pathOf(name)}.ko`, module(name, name === 'virtio_net' ? 'net_failover,builtin_one' : '')])),
    [`${ROOT}/${pathOf('net-failover')}.ko.gz`]: zlib.gzipSync(module('net_failover')),
    ...changes,
  };
}

async function layOut(t: TestContext, files: Readonly<Record<string, Uint8Array | undefined>>, release = RELEASE): Promise<KernelFiles> {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-layout-'));
  t.after(() => { fs.rmSync(dir, { recursive: true }); });
  return layOutKernel({ release, read: async (file, maxBytes) => (files[file] === undefined || files[file].length > maxBytes ? undefined : files[file]) }, dir);
}

const refusal = (pattern: RegExp) => (error: unknown) => error instanceof BerthError && error.code === 'invalid' && pattern.test(error.message) || assert.fail(String(error));

test('a kernel and the modules of a guest are laid out, unpacked and in order', async (t) => {
  const kernel = await layOut(t, tree());
  assert.deepEqual(kernel.modules, { early: ['virtio_mmio', 'virtio_console'], root: ['virtio_blk', 'erofs', 'overlay'], network: ['net_failover', 'virtio_net'], idle: [], share: [] });
  assert.ok(fs.readFileSync(kernel.vmlinux).equals(vmlinux()));
  assert.ok(fs.readFileSync(path.join(kernel.dir, 'modules/net_failover.ko')).equals(module('net_failover')));
});

test('what was laid out is opened again, and not when it is another by then', async (t) => {
  const kernel = await layOut(t, tree());
  await describeKernel(kernel);
  assert.deepEqual(await openKernel(kernel.dir), kernel);
  fs.appendFileSync(kernel.vmlinux, 'x');
  await assert.rejects(openKernel(kernel.dir), refusal(/is not what it was/));
});

test('what a guest cannot do without is named', async (t) => {
  await assert.rejects(layOut(t, tree({ [`${ROOT}/modules.order`]: Buffer.from(`${pathOf('virtio_blk')}.ko\n`), [`${ROOT}/modules.builtin`]: Buffer.from('kernel/a/virtio-mmio.ko\nkernel/b/virtio_net.ko\nkernel/c/overlay.ko\n') })), refusal(/lacks virtio_console, erofs, ext4, built in or as modules/));
  await assert.rejects(layOut(t, tree({ [`${ROOT}/${pathOf('erofs')}.ko`]: undefined })), refusal(/lacks erofs, built in or as a module/), 'it is listed, and not there');
  await assert.rejects(layOut(t, tree({ [`${ROOT}/modules.builtin`]: undefined })), refusal(/no \/lib\/modules\/6\.1\.0-test\/modules\.builtin/));
  await assert.rejects(layOut(t, tree({ [`boot/vmlinuz-${RELEASE}`]: undefined })), refusal(/no \/boot\/vmlinuz-6\.1\.0-test/));
  await assert.rejects(layOut(t, tree({ [`boot/vmlinuz-${RELEASE}`]: bzImage(zlib.gzipSync(vmlinux({ noteType: 6 }))) })), refusal(/no PVH entry/));
});

test('hostile kernels are refused', async (t) => {
  const gzip = zlib.gzipSync(vmlinux());
  for (const [pattern, changes] of [
    [/not a bzImage/, { [`boot/vmlinuz-${RELEASE}`]: Buffer.alloc(4096) }],
    [/no PVH entry/, { [`boot/vmlinuz-${RELEASE}`]: bzImage(zlib.gzipSync(Buffer.alloc(200))) }],
    [/no PVH entry/, { [`boot/vmlinuz-${RELEASE}`]: bzImage(zlib.gzipSync(Buffer.from(vmlinux()).fill(0xff, 72, 80))) }],
    [/cannot be a guest/, { [`boot/vmlinuz-${RELEASE}`]: bzImage(gzip.subarray(0, -30)) }],
    [/a file of it is larger than it may be/, { [`${ROOT}/${pathOf('net-failover')}.ko.gz`]: zlib.gzipSync(Buffer.alloc(9 * 1024 * 1024)) }],
    [/a file without a module name/, { [`${ROOT}/${pathOf('erofs')}.ko`]: Buffer.from('nothing') }],
    [/more than 48 modules/, {
      [`${ROOT}/modules.order`]: Buffer.from([...MODULES, ...Array.from({ length: 60 }, (_, index) => `m${index}`)].map((name) => `${pathOf(name)}.ko\n`).join('')),
      ...Object.fromEntries(Array.from({ length: 60 }, (_, index) => [`${ROOT}/${pathOf(`m${index}`)}.ko`, module(`m${index}`, `m${index + 1}`)])),
      [`${ROOT}/${pathOf('virtio_net')}.ko`]: module('virtio_net', 'm0'),
    }],
  ] as const) await assert.rejects(layOut(t, tree(changes)), refusal(pattern), String(pattern));
  for (const release of ['../../etc', '', 'x'.repeat(100), '6\n']) await assert.rejects(layOut(t, tree(), release), refusal(/not a name that a kernel has/));
});

test('names of modules lead nowhere else', async (t) => {
  const kernel = await layOut(t, tree({ [`${ROOT}/modules.order`]: Buffer.from([...MODULES, 'net-failover'].map((name) => `${pathOf(name)}.ko\n`).join('') + '../../../etc/erofs.ko\n/abs/overlay.ko\nkernel/../../../virtio_blk.ko\n') }));
  assert.deepEqual(kernel.modules.root, ['virtio_blk', 'erofs', 'overlay']);
});
