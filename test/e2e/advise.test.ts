/** The decision engine from end to end: auto, evidence, review and calibration by a real daemon, and advice over the API. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { parse, stringify } from 'yaml';
import { berth } from '../lib/cli.ts';
import { TestDaemon } from '../lib/daemon.ts';
import { enterOwnNamespaces } from '../lib/own-namespaces.ts';
import { until } from '../lib/until.ts';

enterOwnNamespaces();

const ESTATES = path.resolve(import.meta.dirname, '../fixtures/estates');

describe('advise', () => {
  let daemon: TestDaemon;
  before(async () => {
    daemon = await TestDaemon.start();
    await daemon.bootstrapBusybox();
  });
  after(async () => {
    await daemon[Symbol.asyncDispose]();
  });

  const created = async (...words: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await berth(daemon, words);
    assert.equal(code, 0, stderr);
    return stdout.trim();
  };

  test('--isolation auto picks a container for what asks for nothing, with its reasons in the status', async () => {
    await created('run', '-d', '--name', 'plain', '--isolation', 'auto', 'busybox', 'sleep', '1000');
    const { spec, status } = await daemon.instance('plain');
    assert.deepEqual([spec.isolation, status.isolation, status.decision.isolation], ['auto', 'container', 'container']);
    assert.ok(status.decision.reasons.length > 0);
  });

  test('advise review sees what runs: memory, ports, its root user; it changes nothing', async () => {
    await created('run', '-d', '--name', 'web', '-m', '64m', 'busybox', 'httpd', '-f', '-p', '8080', '-h', '/tmp');
    const evidence = await until(async () => {
      const now = await daemon.ok('GET', '/v1/projects/default/instances/web/evidence');
      return now.listeningPorts.includes(8080) ? now : undefined;
    });
    assert.ok(evidence.memoryBytes > 10_000 && evidence.memoryBytes < 20_000_000, `${evidence.memoryBytes}`);
    assert.ok(evidence.monitorMemoryBytes > 10_000);
    assert.deepEqual([evidence.root, evidence.isPartial, evidence.processes], [true, false, 1]);
    const before = (await daemon.instance('web')).meta;
    const { code, stdout } = await berth(daemon, ['advise', 'review', 'web']);
    assert.equal(code, 0);
    assert.match(stdout, /^web +app container +as it is .* 8080 /m);
    const { items } = JSON.parse((await berth(daemon, ['advise', 'review', '-o', 'json'])).stdout) as { items: { name: string }[] };
    assert.deepEqual(items.map((one) => one.name).toSorted(), ['plain', 'web']);
    assert.deepEqual((await daemon.instance('web')).meta, before);
  });

  test('advise.estate: files in the body, on a thread of its own; a broken one costs itself alone', async () => {
    const text = fs.readFileSync(path.join(ESTATES, 'compose/broken.yaml'), 'utf8');
    const answer = await daemon.ok('POST', '/v1/advise', { files: [{ name: 'compose.yaml', text }] });
    assert.deepEqual(answer.workloads.map((one: { name: string }) => one.name), ['good', 'lists', 'sizes']);
    assert.deepEqual(answer.problems[0], { file: 'compose.yaml', line: 7, field: 'services.sizes.mem_limit', message: answer.problems[0].message });
    const wrong = await daemon.request('POST', '/v1/advise', { files: [{ name: 'a', text: 'x' }], weights: { colour: 1 } });
    assert.deepEqual([wrong.status, wrong.body.code], [400, 'invalid']);
  });

  test('advise.estate: every format, with costs where prices are given', async () => {
    const files = [{ name: 'a.yaml', text: stringify({ kind: 'Workload', meta: { name: 'web' }, spec: { replicas: 2, source: { kind: 'image', image: 'busybox', signed: true }, inside: { applications: 1 }, trust: { code: 'own' } } }) }];
    const prices = parse(fs.readFileSync(path.resolve(import.meta.dirname, '../../examples/prices.yaml'), 'utf8')) as object;
    const answer = await daemon.ok('POST', '/v1/advise', { files, prices });
    assert.deepEqual(answer.cost.scenarios.map((one: { scenario: string }) => one.scenario), ['all-vm', 'all-container', 'today', 'recommended']);
    for (const [format, type, begin] of [['html', 'text/html', '<!DOCTYPE html>'], ['csv', 'text/csv', 'workload,'], ['markdown', 'text/markdown', '# '], ['yaml', 'application/yaml', 'workloads:'], ['manifests', 'application/yaml', '# ']] as const) {
      const { status, headers, body } = await daemon.request('POST', '/v1/advise', { files, prices, format });
      assert.deepEqual([status, headers['content-type'], String(body).slice(0, begin.length)], [200, `${type}; charset=utf-8`, begin], format);
    }
    const wrong = await daemon.request('POST', '/v1/advise', { files, prices: { ...prices, currency: 'euro' } });
    assert.deepEqual([wrong.status, wrong.body.fields[0].path], [400, 'prices.currency']);
  });

  test('advise manifests writes what apply takes', async () => {
    const estate = stringify({ kind: 'Workload', meta: { name: 'Shop (old)', owner: 'shop' }, spec: { replicas: 2, source: { kind: 'image', image: 'busybox', signed: true }, inside: { applications: 1 }, state: { kind: 'none' }, trust: { code: 'own', internetFacing: false }, resources: { limits: { memoryBytes: 67_108_864, cpus: 0.5 } } } });
    const { code, stdout, stderr } = await berth(daemon, ['advise', 'manifests', '-'], { input: estate });
    assert.equal(code, 0, stderr);
    const applied = await berth(daemon, ['apply', '-f', '-'], { input: stdout });
    assert.equal(applied.code, 0, applied.stderr);
    const { meta, spec } = await daemon.instance('shop-old-2');
    assert.deepEqual([meta.owner, spec.memoryBytes, spec.cpus, spec.mode], ['shop', 67_108_864, 0.5, 'app']);
    await created('delete', '--force', 'shop-old-1', 'shop-old-2');
  });

  test('advise calibrate measures, keeps the figures on the node (node.setFigures), and leaves nothing', async () => {
    const { code, stdout, stderr } = await berth(daemon, ['advise', 'calibrate', '--force', '--form', 'appContainer', '-n', '4', '--starts', '2', '--idle', '1', '-o', 'json'], { timeoutMs: 120_000 });
    assert.equal(code, 0, stderr);
    const figures = JSON.parse(stdout);
    const one = figures.forms.appContainer;
    assert.equal(figures.shipped, false);
    assert.ok(one.memoryOverheadBytes.value > 100_000 && one.memoryOverheadBytes.value < 10_000_000, `${one.memoryOverheadBytes.value}`);
    assert.deepEqual([one.memoryOverheadBytes.n, one.memoryOverheadBytes.transferable, one.startWarmMs.n], [4, true, 2]);
    assert.ok(one.startWarmMs.value > 5 && one.startWarmMs.value < 60_000);
    const { items } = await daemon.ok('GET', '/v1/nodes');
    assert.deepEqual(items[0].status.figures, figures);
    const names = (await daemon.ok('GET', '/v1/projects/default/instances')).items.map((instance: { meta: { name: string } }) => instance.meta.name);
    assert.deepEqual(names.filter((name: string) => name.startsWith('calibrate')), []);
    const table = await berth(daemon, ['advise', path.join(ESTATES, 'berth/workloads.yaml')]);
    assert.ok(table.stdout.includes(`Figures: ${figures.host}`), 'from then on they are used');
    await daemon.untilNoLeaks();
  });

  test('what a killed calibration left is taken away by the next', async () => {
    await created('run', '-d', '--name', 'calibrate-old-n1', '--label', 'berth/calibrate=old', 'busybox', 'sleep', '1000');
    const { code, stderr } = await berth(daemon, ['advise', 'calibrate', '--force', '--form', 'appContainer', '-n', '2', '--starts', '1', '--idle', '1'], { timeoutMs: 120_000 });
    assert.equal(code, 0, stderr);
    assert.equal((await daemon.request('GET', '/v1/projects/default/instances/calibrate-old-n1')).status, 404);
  });

  test('a form that this host cannot run is refused by name', async () => {
    const { code, stderr } = await berth(daemon, ['advise', 'calibrate', '--force', '--form', 'osContainer']);
    assert.deepEqual([code, /--os-image/.test(stderr)], [11, true]);
  });
});
