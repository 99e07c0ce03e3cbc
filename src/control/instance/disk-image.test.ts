/** VMs of disk images: what is told to the runtime and to the pool, and what is refused with its reason. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ended, FakeWorld, ROOT } from '../../../test/lib/fake-control.ts';
import type { Image } from '../../model/image.ts';
import type { BerthError, ErrorCode } from '../../model/errors.ts';
import { pushImage } from '../image/push.ts';
import { deleteImage, exportImage, importDisk, importImage } from '../image/image.ts';
import { pruneImages } from '../image/prune.ts';
import { imageUsage } from '../image/usage.ts';
import { diskUsage } from '../node/disk-usage.ts';
import { createInstance } from './create.ts';
import { ExecLimit, execInstance } from './exec.ts';
import { startInstance } from './start.ts';
import { stopInstance } from './stop.ts';
import { updateInstance } from './update.ts';
import { waitInstance } from './wait.ts';

const MIB = 1024 * 1024;
const never = new AbortController().signal;

async function* content(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

async function bring({ services }: FakeWorld, as: string, format: 'raw' | 'iso', fill: number): Promise<Image> {
  return importDisk(services, ROOT, 'default', content(Buffer.alloc(MIB, fill)), { as, format }, never);
}

async function opened(): Promise<FakeWorld> {
  const world = await FakeWorld.open();
  await bring(world, 'disk', 'raw', 1);
  await bring(world, 'cd', 'iso', 2);
  return world;
}

const VM = { image: 'disk', isolation: 'vm' };
const rootOf = (world: FakeWorld) => world.storage.roots.get(world.get('box').meta.id)!;
const planOf = (world: FakeWorld) => world.machines.units.get(world.get('box').meta.id as never)!.plan;

async function refused(world: FakeWorld, spec: Record<string, unknown>, code: ErrorCode, message: RegExp, field?: string): Promise<void> {
  const instances = world.services.registry.list('Instance').length;
  await assert.rejects(createInstance(world.services, ROOT, world.request('box', spec)), (error: BerthError) => {
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    assert.ok(error.hint !== undefined);
    if (field !== undefined) assert.ok(error.fields.some(({ path }) => path === field), JSON.stringify(error.fields));
    return true;
  });
  assert.equal(world.services.registry.list('Instance').length, instances);
}

describe('a VM of a disk image', () => {
  it('has a disk of its own, the devices that were asked for, and its cloud-init is told', async () => {
    await using world = await opened();
    const box = await world.run('box', { ...VM, firmware: 'uefi', machinePreset: 'ahci-e1000', iso: ['cd'], userData: { users: [{ name: 'ada' }] }, rootDiskBytes: 32 * MIB });
    assert.deepEqual([box.status.form, box.status.state, box.status.imageType, box.status.health], ['vm', 'running', 'disk', undefined]);
    const { digest } = world.services.registry.list<Image>('Image', 'default').find((one) => one.status.type === 'disk')!.status;
    assert.deepEqual(rootOf(world).disk, { from: world.services.content.diskFile(digest), sizeBytes: 32 * MIB });
    const { root, boot, process } = planOf(world);
    const { seed, isoFiles, ...disk } = root.disk!;
    assert.deepEqual([root.layers, root.imageFile, root.upperDisk, boot, process.args], [[], undefined, undefined, undefined, []]);
    assert.deepEqual(disk, { file: `/fake/pool/roots/${box.meta.id}/disk.raw`, firmware: 'uefi', preset: 'ahci-e1000' });
    assert.deepEqual([...world.network.ports.values()].filter(({ port }) => port.portId === box.status.ports[0]!.portId).map(({ port }) => port.dhcp), [true], 'it asks for its address');
    assert.deepEqual(isoFiles, [world.services.content.diskFile(box.status.isoIds![0]!)]);
    assert.deepEqual(JSON.parse(seed!.metaData), { 'instance-id': box.meta.id, 'local-hostname': 'box' });
    const [first, ...rest] = seed!.userData.split('\n');
    assert.deepEqual([first, JSON.parse(rest.join('\n'))], ['#cloud-config', { users: [{ name: 'ada' }] }]);
  });

  it('is as large as its image unless it is asked to be larger, and a system without a mode is a VM', async () => {
    await using world = await opened();
    const box = await world.create('box', { image: 'disk', isolation: 'auto', cloudInit: '#!/bin/sh\ntrue\n' });
    assert.deepEqual([box.status.form, box.status.decision?.reasons.length, rootOf(world).disk?.sizeBytes], ['vm', 1, MIB]);
    await ended(startInstance(world.services, ROOT, box));
    assert.deepEqual(planOf(world).root.disk?.seed?.userData, '#!/bin/sh\ntrue\n');
    assert.deepEqual([planOf(world).root.disk?.firmware, planOf(world).root.disk?.preset], ['bios', 'virtio']);
  });

  it('starts from a CD on an empty disk, without a seed that nobody asked for', async () => {
    await using world = await opened();
    await world.run('box', { image: 'cd', isolation: 'vm', mode: 'os' });
    assert.deepEqual(rootOf(world).disk, { sizeBytes: 10 * 1024 ** 3 });
    assert.equal(planOf(world).root.disk!.isoFiles.length, 1);
    assert.equal(planOf(world).root.disk!.seed, undefined);
  });

  it('is up when it runs, has nobody inside to be asked, and is switched off by its button', async () => {
    await using world = await opened();
    const box = await world.run('box', VM);
    assert.equal((await waitInstance(world.services, box, ['booted', 'failed'], 1000, never)).state, 'running');
    await assert.rejects(execInstance(world.services, new ExecLimit(), ROOT, box, { command: ['true'] } as never), { code: 'unsupported', message: /has no agent/ });
    await ended(stopInstance(world.services, ROOT, world.get('box')));
    assert.deepEqual([world.get('box').status.state, world.get('box').status.reason], ['stopped', 'poweroff']);
  });

  it('takes other CDs and another firmware with its next start', async () => {
    await using world = await opened();
    await bring(world, 'tools', 'iso', 3);
    const box = await world.run('box', { ...VM, iso: ['cd'] });
    const updated = await updateInstance(world.services, ROOT, box, { spec: { iso: ['tools', 'cd'], firmware: 'uefi' } });
    assert.match(updated.status.warnings!.join(), /(firmware|iso).* will change at the next start/);
    await ended(stopInstance(world.services, ROOT, world.get('box')));
    await ended(startInstance(world.services, ROOT, world.get('box')));
    assert.deepEqual([planOf(world).root.disk?.isoFiles.length, planOf(world).root.disk?.firmware], [2, 'uefi']);
    await assert.rejects(updateInstance(world.services, ROOT, world.get('box'), { spec: { iso: ['disk'] } }), { code: 'invalid', message: /is no CD/ });
    await assert.rejects(updateInstance(world.services, ROOT, world.get('box'), { spec: { env: { A: 'b' } } }), { code: 'unsupported' });
  });
});

describe('what does not go together is refused with the reason', () => {
  it('a disk in another form', async () => {
    await using world = await opened();
    await refused(world, { image: 'disk', isolation: 'container', mode: 'app' }, 'unsupported', /is a disk image: it has a kernel of its own/, 'spec.image');
    await refused(world, { image: 'disk', isolation: 'vm', mode: 'app' }, 'unsupported', /is a disk image: it boots by its firmware/, 'spec.image');
    await refused(world, { image: 'cd', isolation: 'vm', mode: 'app' }, 'unsupported', /is a CD/, 'spec.image');
    await assert.rejects(createInstance(world.services, ROOT, { ...world.request('box', VM), verb: 'instance.run' }), { code: 'unsupported', message: /a microVM starts one application/ });
  });

  it('firmware, devices and CDs for layers', async () => {
    await using world = await opened();
    for (const [field, value] of Object.entries({ firmware: 'uefi', machinePreset: 'virtio', iso: ['cd'] })) {
      await refused(world, { image: 'busybox', isolation: 'vm', mode: 'os', [field]: value }, 'unsupported', /no boot loader of its own/, `spec.${field}`);
      await refused(world, { image: 'busybox', [field]: value }, 'unsupported', /A container shares the host’s kernel: it boots no disk/, `spec.${field}`);
    }
  });

  it('fields that nobody inside could apply', async () => {
    await using world = await opened();
    const fields = { env: { A: 'b' }, command: ['x'], entrypoint: ['x'], tmpfs: [{ target: '/x', sizeBytes: 4096 }], shmBytes: MIB, ulimits: { core: { soft: 0, hard: 0 } }, capabilities: { add: [], drop: ['CHOWN'] }, stopSignal: 'SIGTERM' };
    for (const [field, value] of Object.entries(fields)) await refused(world, { ...VM, [field]: value }, 'unsupported', /nobody inside could apply it/, `spec.${field}`);
  });

  it('a disk that would be cut, a CD that is none, one that is not here, firmware that the host has not', async () => {
    await using world = await opened();
    const large = await importDisk(world.services, ROOT, 'default', content(Buffer.alloc(17 * MIB)), { as: 'large', format: 'raw' }, never);
    assert.equal(large.status.bytes, 17 * MIB);
    await refused(world, { image: 'large', isolation: 'vm', rootDiskBytes: 16 * MIB }, 'invalid', /cannot be made smaller/, 'spec.rootDiskBytes');
    await refused(world, { ...VM, iso: ['cd', 'disk'] }, 'invalid', /is no CD/, 'spec.iso.1');
    await refused(world, { ...VM, iso: ['gone'] }, 'notFound', /gone/);
    world.machines.missingFirmware.add('uefi');
    await refused(world, { ...VM, firmware: 'uefi' }, 'unsupported', /no uefi firmware/);
    await world.create('box', VM);
  });
});

describe('disk images among images', () => {
  it('what a VM has is not deleted, not pruned, not swept; what none has goes', async () => {
    await using world = await opened();
    const { services } = world;
    await world.create('box', { ...VM, iso: ['cd'] });
    await bring(world, 'tools', 'iso', 3);
    for (const name of ['disk', 'cd']) await assert.rejects(deleteImage(services, ROOT, 'default', name, false), { code: 'wrongState', message: /used by 'box'/ });
    assert.deepEqual(imageUsage(services, 'default').filter((one) => one.bytes === MIB).map((one) => one.instances).toSorted(), [0, 1, 1]);
    const before = (await diskUsage(services)).items.find(({ what }) => what === 'images')!;
    assert.ok(before.bytes >= 3 * MIB && before.reclaimableBytes >= MIB && before.reclaimableBytes < 2 * MIB, JSON.stringify(before));
    assert.deepEqual((await pruneImages(services, ROOT, 'default', true)).deleted.flatMap((one) => one.references).toSorted(), ['localhost/busybox:latest', 'localhost/tools:latest']);
    assert.equal(world.content.disks.size, 2);
  });

  it('are not sent to registries, nor written as layers; as they are they are written', async () => {
    await using world = await opened();
    const { services } = world;
    await assert.rejects(pushImage(services, ROOT, 'default', { reference: 'disk', destination: 'registry.example:5000/disk' }), { code: 'unsupported', message: /is a disk/ });
    await assert.rejects(exportImage(services, 'default', 'disk', 'oci-archive', never), { code: 'unsupported' });
    await assert.rejects(exportImage(services, 'default', 'busybox', 'raw', never), { code: 'unsupported' });
    const written: Uint8Array[] = [];
    for await (const chunk of await exportImage(services, 'default', 'disk', undefined, never)) written.push(chunk);
    assert.deepEqual(Buffer.concat(written), Buffer.alloc(MIB, 1));
  });

  it('need a name, and are one thing', async () => {
    await using world = await opened();
    const { services } = world;
    await assert.rejects(importDisk(services, ROOT, 'default', content(Buffer.alloc(512)), { as: undefined, format: 'raw' }, never), { code: 'invalid', message: /no name/ });
    await assert.rejects(importDisk(services, ROOT, 'default', content(Buffer.alloc(MIB, 1)), { as: 'other', format: 'iso' }, never), { code: 'alreadyExists', message: /of type disk/ });
    const again = await importDisk(services, ROOT, 'default', content(Buffer.alloc(MIB, 1)), { as: 'other', format: 'raw' }, never);
    assert.deepEqual(again.spec.references, ['localhost/disk:latest', 'localhost/other:latest']);
    await assert.rejects(importImage(services, ROOT, 'default', content(Buffer.alloc(MIB, 1)), 'x', never), { code: 'invalid' });
  });
});
