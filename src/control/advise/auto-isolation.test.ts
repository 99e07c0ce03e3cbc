/** `isolation: auto` at create: decided by what the spec, the image and the labels say, and by what this node can run. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ended, FakeWorld, ROOT } from '../../../test/lib/fake-control.ts';
import { createInstance } from '../instance/create.ts';
import { createVolume } from '../volume/volume.ts';
import type { Boundary, Form } from '../../model/forms.ts';
import type { FormFact } from '../../model/node.ts';

type Labels = Readonly<Record<string, string>>;

const STRANGERS: Labels = { 'workload/trust.code': 'tenant', 'workload/trust.internetFacing': 'yes' };

async function made(world: FakeWorld, name: string, spec: Record<string, unknown>, labels: Labels = {}) {
  const request = world.request(name, { isolation: 'auto', ...spec });
  const { done } = await createInstance(world.services, ROOT, { ...request, meta: { ...request.meta, labels: { ...labels } } });
  const operation = await done;
  if (operation.status.error !== undefined) throw new Error(operation.status.error.message);
  return world.get(name);
}

/** A node with other forms than the world's own. */
function withForms(forms: readonly (readonly [Form, Boundary, FormFact['noDirectories']?])[]): Parameters<typeof FakeWorld.open>[0] {
  return { parts: (parts) => ({ ...parts, describeNode: async () => ({ ...(await parts.describeNode()), forms: forms.map(([form, boundary, noDirectories]) => ({ form, available: true, boundary, noDirectories })) }) }) };
}

test('own code that asks for nothing becomes a container, and says why', async () => {
  await using world = await FakeWorld.open();
  const { spec, status } = await made(world, 'web', {}, { 'workload/trust.code': 'own' });
  assert.equal(spec.isolation, 'auto', 'the wish stays as it was said');
  assert.deepEqual([status.isolation, status.form, status.decision?.isolation], ['container', 'appContainer', 'container']);
  assert.ok(status.decision!.reasons.length > 0 && status.decision!.reasons.every((reason) => /[.)]$/.test(reason)), JSON.stringify(status.decision));
});

test('strangers’ code gets a kernel of its own where there is hardware for it', async () => {
  await using world = await FakeWorld.open(withForms([['appContainer', 'kernel'], ['microVM', 'hardware']]));
  const { status } = await made(world, 'job', {}, STRANGERS);
  assert.deepEqual([status.isolation, status.form], ['vm', 'microVM']);
});

test('where a hardware boundary is needed and none is here, auto refuses', async () => {
  await using world = await FakeWorld.open();
  await assert.rejects(made(world, 'job', {}, STRANGERS), (error: { code: string; message: string; hint: string }) => {
    assert.equal(error.code, 'unsupported');
    assert.match(error.message, /No isolation can be chosen/);
    assert.ok(error.hint.length > 0);
    return true;
  });
  assert.equal(world.find('job'), undefined);
  assert.equal((await world.create('forced', { isolation: 'container' })).status.decision, undefined, 'whoever says it gets it, without a decision');
});

test('a form that cannot honour a field is not chosen', async () => {
  await using world = await FakeWorld.open(withForms([['appContainer', 'kernel'], ['microVM', 'hardware', { reason: 'This host has no virtiofsd.', hint: 'Install it.' }]]));
  await ended(createVolume(world.services, ROOT, { project: 'default', meta: { name: 'data' }, spec: { type: 'filesystem' } }));
  await assert.rejects(made(world, 'job', { volumes: [{ volume: 'data', target: '/data' }] }, STRANGERS), /no virtiofsd/);
});

test('a label that says nothing is refused, not ignored', async () => {
  await using world = await FakeWorld.open();
  await assert.rejects(made(world, 'a', {}, { 'workload/trust.code': 'nobody' }), (error: { code: string }) => error.code === 'invalid');
  await assert.rejects(made(world, 'b', {}, { 'workload/trust.colour': 'red' }), /no such fact/);
});
