/** Routes of the decision engine over a control plane of fakes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Figures } from '../model/figures.ts';
import { FakeApi } from '../../test/lib/fake-api.ts';

const WORKLOADS = 'kind: Workload\nmeta: { name: win }\nspec: { os: { family: windows } }\n---\nkind: Workload\nmeta: { name: bad }\nspec: { replicas: many }\n';
const FIGURES: Figures = {
  host: 'a host of the test', shipped: false, hardwareVirtualization: false,
  forms: { appContainer: { memoryOverheadBytes: { value: 1_000_000, n: 3, date: '2026-11-21', source: 'test', transferable: true } } },
};

test('an estate in the body is answered, and what is broken in it is said', async () => {
  await using api = await FakeApi.open();
  const { status, body, headers } = await api.request('POST', '/v1/advise', { files: [{ name: 'a.yaml', text: WORKLOADS }] });
  assert.equal(status, 200);
  assert.match(String(headers['content-type']), /^application\/json/);
  assert.deepEqual(body.workloads.map((one: { name: string; form: string }) => [one.name, one.form])[1], ['win', 'vm']);
  assert.deepEqual(body.problems.map((one: { file: string; line: number; field: string }) => [one.file, one.line, one.field]), [['a.yaml', 7, 'spec.replicas']]);
  assert.equal(body.figures.shipped, true);
});

test('a body that is no request for advice is refused by its fields', async () => {
  await using api = await FakeApi.open();
  for (const bad of [{}, { files: [] }, { files: [{ name: 'a' }] }, { files: [{ name: 'a', text: 'b' }], format: 'pdf' }, { files: [{ name: 'a', text: 'b' }], more: 1 }]) {
    const { status, body } = await api.request('POST', '/v1/advise', bad);
    assert.equal(status, 400, JSON.stringify(bad));
    assert.ok(body.fields.length > 0);
  }
});

test('figures of a node are kept, used and shown; shipped ones are not taken for measured ones', async () => {
  await using api = await FakeApi.open();
  assert.equal((await api.request('POST', '/v1/nodes/node1/figures', { ...FIGURES, shipped: true })).status, 400);
  assert.equal((await api.request('POST', '/v1/nodes/other/figures', FIGURES)).status, 404);
  const kept = await api.request('POST', '/v1/nodes/node1/figures', FIGURES);
  assert.equal(kept.body.status.figures.host, FIGURES.host);
  const { body } = await api.request('POST', '/v1/advise', { files: [{ name: 'a.yaml', text: WORKLOADS }] });
  assert.deepEqual(body.figures, { host: FIGURES.host, shipped: false, hardwareVirtualization: false });
  await api.world.reopen();
  assert.equal((await api.world.services.registry.get<never>('Node', '', 'node1') as { status: { figures: Figures } }).status.figures.host, FIGURES.host, 'after a restart, too');
});

test('evidence of a running instance, and none of one that is stopped', async () => {
  await using api = await FakeApi.open();
  await api.world.run('web');
  await api.world.create('idle');
  const { status, body } = await api.request('GET', '/v1/projects/default/instances/web/evidence');
  assert.equal(status, 200);
  assert.deepEqual([body.name, body.form, body.memoryBytes, body.listeningPorts, body.capabilitiesUsed], ['web', 'appContainer', 2 * 1024 * 1024, [80], ['NET_BIND_SERVICE']]);
  assert.equal(typeof body.diskBytes, 'number');
  assert.equal((await api.request('GET', '/v1/projects/default/instances/idle/evidence')).body.code, 'wrongState');
});

test('a review weighs what runs, says what it would change, and changes nothing', async () => {
  await using api = await FakeApi.open();
  await api.world.run('web');
  await api.world.run('build', { memoryBytes: 64 * 1024 * 1024 });
  await api.request('PATCH', '/v1/projects/default/instances/build', { meta: { labels: { 'workload/trust.code': 'tenant', 'workload/trust.internetFacing': 'yes', 'workload/inside.administrators': 'tenant' } } });
  const before = api.world.get('build').meta.revision;
  const { body } = await api.request('GET', '/v1/projects/default/advise');
  const items = body.items as { name: string; wouldChange: boolean; advised: string; evidence: object }[];
  assert.deepEqual(items.map((one) => one.name).toSorted(), ['build', 'web']);
  const build = items.find((one) => one.name === 'build')!;
  assert.equal(build.wouldChange, true, JSON.stringify(build));
  assert.notEqual(build.advised, 'app-container');
  assert.equal(items.find((one) => one.name === 'web')!.wouldChange, false);
  assert.equal(api.world.get('build').meta.revision, before);
  const one = await api.request('GET', '/v1/projects/default/advise?name=web');
  assert.deepEqual(one.body.items.map((item: { name: string }) => item.name), ['web']);
});
