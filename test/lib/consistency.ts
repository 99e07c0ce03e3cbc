/** What must hold whenever nothing is under way: objects, claims, journal and the (fake) host say the same. */
import assert from 'node:assert/strict';
import { findLeaks } from '../../src/control/leaks.ts';
import { addressKey } from '../../src/control/network/addresses.ts';
import { hostPortKey } from '../../src/control/network/ports.ts';
import { objectId } from '../../src/model/ids.ts';
import { imageType, type Image } from '../../src/model/image.ts';
import type { Instance } from '../../src/model/instance-status.ts';
import { isFinished, type Operation } from '../../src/model/operation.ts';
import type { AuditRecord } from '../../src/model/audit-record.ts';
import type { Volume } from '../../src/model/volume.ts';
import type { FakeWorld } from './fake-control.ts';

/** States in which an instance may stand when no verb is at work on it. */
const AT_REST: ReadonlySet<string> = new Set(['stopped', 'running', 'paused', 'backoff', 'unsupervised', 'failed']);

export async function assertConsistent(world: FakeWorld): Promise<void> {
  const { registry, journal, locks, pool } = world.services;
  const instances = registry.list<Instance>('Instance');
  assert.deepEqual(await findLeaks(world.services), [], 'leaks');
  assert.deepEqual(registry.list<Operation>('Operation').filter((operation) => !isFinished(operation)).map((one) => one.spec.verb), [], 'unfinished operations');
  assert.deepEqual(journal.unfinished(), []);
  assert.deepEqual(registry.claimKeys('pending-audit/'), [], 'audit records without an outcome');
  const { items } = await registry.records<AuditRecord>('AuditRecord');
  assert.deepEqual(items.filter((record) => record.status.result === 'pending').map((record) => record.spec.verb), [], 'pending audit records');
  const wanted = { ports: new Set(pool.portIds()), addresses: [] as string[], hostPorts: [] as string[], units: [] as string[], names: [] as string[], published: [] as string[] };
  for (const instance of instances) {
    const { id, name } = instance.meta;
    const { state, status } = { state: instance.status.state, status: instance.status };
    assert.ok(AT_REST.has(state), `'${name}' is ${state}`);
    assert.equal(status.operation, undefined, `'${name}' is held by ${status.operation}`);
    assert.equal(locks.holder(id), undefined, `'${name}' is locked by ${locks.holder(id)}`);
    if (state !== 'backoff') assert.equal(status.error !== undefined, state === 'failed', `'${name}' is ${state} with error ${JSON.stringify(status.error)}`);
    assert.ok(world.storage.roots.has(id), `'${name}' has no root`);
    for (const port of status.ports) wanted.addresses.push(addressKey(port.networkId, port.ipv4));
    for (const bound of status.published) wanted.hostPorts.push(hostPortKey(bound));
    const up = ['running', 'paused', 'unsupervised'].includes(state);
    assert.equal(status.pid !== undefined, up, `'${name}' is ${state} with pid ${status.pid}`);
    if (!up) continue;
    const unit = (status.isolation === 'vm' ? world.machines : world.containers).units.get(objectId(id));
    assert.equal(unit?.info.process.pid, status.pid, `the process of '${name}'`);
    assert.equal(unit?.exit, undefined, `'${name}' is ${state} and its process has ended`);
    wanted.units.push(id);
    for (const port of status.ports) {
      wanted.ports.add(port.portId);
      assert.equal(world.network.ports.get(port.portId)?.nameless, false, `port of '${name}'`);
      assert.deepEqual(world.network.names.get(objectId(port.networkId))?.get(objectId(id)), [{ name, addresses: [port.ipv4, port.ipv6] }], `names of '${name}'`);
    }
    if (status.ports.length > 0) wanted.names.push(id);
    if (status.published.length > 0) wanted.published.push(id);
    if (status.isolation === 'container' && status.uidMap !== undefined) assert.ok(world.network.ranges.has(status.uidMap.base), `range of '${name}'`);
  }
  const sorted = (values: Iterable<string>): string[] => [...values].toSorted();
  assert.deepEqual(sorted(new Set([...world.containers.units.keys(), ...world.machines.units.keys()])), sorted(wanted.units), 'units');
  assert.deepEqual(sorted(world.network.ports.keys()), sorted(wanted.ports), 'ports');
  assert.deepEqual(sorted(new Set([...world.network.names.values()].flatMap((owners) => [...owners.keys()]))), sorted(wanted.names), 'names');
  assert.deepEqual(sorted(world.network.published.keys()), sorted(wanted.published), 'published ports');
  assert.deepEqual(sorted(registry.claimKeys('address/')), sorted(wanted.addresses), 'address claims');
  assert.deepEqual(sorted(registry.claimKeys('port/')), sorted(wanted.hostPorts), 'port claims');
  assert.deepEqual(sorted(world.storage.roots.keys()), sorted(instances.map((one) => one.meta.id)), 'roots');
  for (const image of registry.list<Image>('Image')) assert.ok(imageType(image) === 'oci' || world.content.disks.has(image.status.digest), `the disk of image '${image.spec.references[0]}'`);
  for (const volume of registry.list<Volume>('Volume')) assert.ok(world.storage.volumes.has(volume.meta.id) || !inUse(instances, volume), `data of volume '${volume.meta.name}'`);
}

function inUse(instances: readonly Instance[], volume: Volume): boolean {
  return instances.some((instance) => instance.status.state === 'running' && Object.values(instance.status.volumes).includes(volume.meta.id));
}

/** Nothing at all is left of any instance; volumes stay. */
export async function assertEmpty(world: FakeWorld): Promise<void> {
  await assertConsistent(world);
  assert.deepEqual(world.services.registry.list<Instance>('Instance').map((one) => one.meta.name), []);
  for (const host of [world.containers, world.machines]) assert.deepEqual([...host.units.keys(), ...host.logs.keys()], []);
}
