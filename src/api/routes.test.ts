/** Every route is served, asks for its verb's permission, and is in the OpenAPI document; what the routes answer. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { FakeApi } from '../../test/lib/fake-api.ts';
import { settle } from '../../test/lib/test-clock.ts';
import { BerthError } from '../model/errors.ts';
import { KINDS } from '../model/kinds.ts';
import { ROUTES, type Route } from '../model/routes.ts';
import { VERBS, type Permission } from '../model/verbs.ts';
import { EDGE_GUARDS } from './guards.ts';

const INSTANCES = '/v1/projects/default/instances';

let api: FakeApi;
const asked: Permission[] = [];
before(async () => {
  // Nobody may do anything: whoever is let through was not asked.
  const permission = (_caller: unknown, wanted: Permission): void => {
    asked.push(wanted);
    if (denied) throw new BerthError('forbidden', 'A test says no.');
  };
  api = await FakeApi.open({ edge: { guards: { ...EDGE_GUARDS, permission } } });
});
after(() => api[Symbol.asyncDispose]());
let denied = false;

const urlOf = (route: Route): string => route.path.replace('{project}', 'default').replace('{name}', 'web');

describe('routes', () => {
  it('every verb has a route, and every route its own method and path', () => {
    assert.deepEqual(Object.keys(VERBS).filter((verb) => !ROUTES.some((route) => route.verb === verb)), []);
    assert.equal(new Set(ROUTES.map((route) => `${route.method} ${route.path}`)).size, ROUTES.length);
  });

  for (const route of ROUTES) {
    const rule = VERBS[route.verb];
    it(`${route.verb}: asks for ${rule.permission} before anything else`, async () => {
      denied = true;
      asked.length = 0;
      try {
        const status = route.stream === 'upgrade' ? (await api.stream(urlOf(route))).status : (await api.request(route.method, urlOf(route), route.body === undefined ? undefined : {})).status;
        assert.deepEqual([status, asked], [403, [rule.permission]]);
      } finally {
        denied = false;
      }
    });

    it(`${route.verb}: has a handler that answers no 5xx for what is not there`, async () => {
      if (route.stream === 'upgrade') return assert.equal((await api.stream(urlOf(route))).status, 101);
      const { status } = await api.request(route.method, urlOf(route).replace('web', 'nobody'), route.body === undefined ? undefined : {}, route.stream === 'upload' ? { 'content-type': 'application/octet-stream' } : {});
      assert.ok(status < 500, String(status));
      // Who takes away what nobody used finds nothing, and that is no error.
      if (rule.mutates && route.verb !== 'system.pruneTemplates') assert.ok(status >= 400, String(status));
    });
  }

  it('changes need POST, PUT, PATCH or DELETE, unless the connection leaves HTTP', () => {
    // Changes nothing; it is written down who took files out.
    assert.deepEqual(ROUTES.filter((route) => route.method === 'GET' && route.stream !== 'upgrade' && VERBS[route.verb].mutates).map((route) => route.verb), ['instance.copyOut']);
    // A question whose files fit in no URL.
    assert.deepEqual(ROUTES.filter((route) => route.method !== 'GET' && !VERBS[route.verb].mutates).map((route) => route.verb), ['advise.estate']);
  });
});

describe('the OpenAPI document', () => {
  it('has every route under its verb, with parameters, body and answers', async () => {
    const { body: document } = await api.request('GET', '/v1/openapi.json');
    assert.equal(document.openapi, '3.1.0');
    const operations = Object.entries<Record<string, any>>(document.paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, operation]) => ({ path, method, operation }))); // eslint-disable-line -- a document of any shape
    assert.equal(operations.length, ROUTES.length);
    for (const { path, method, operation } of operations) {
      const route = ROUTES.find((one) => one.path === path && one.method.toLowerCase() === method)!;
      assert.deepEqual([operation.operationId, operation['x-permission']], [route.verb, VERBS[route.verb].permission]);
      const inPath = operation.parameters.filter((one: { in: string }) => one.in === 'path').map((one: { name: string }) => one.name);
      assert.deepEqual(inPath, [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]));
      assert.equal(operation.requestBody !== undefined, route.body !== undefined || route.stream === 'upload');
      assert.ok(Object.keys(operation.responses).length >= 2 && operation.responses.default.$ref === '#/components/responses/Problem');
    }
    const create = document.paths['/v1/projects/{project}/instances'].post.requestBody.content['application/json'].schema;
    assert.deepEqual([create.additionalProperties, create.properties.spec.additionalProperties, create.properties.spec.required], [false, false, ['image']]);
    for (const match of JSON.stringify(document).matchAll(/"\$ref":"#\/([^"]+)"/g)) assert.ok(match[1]!.split('/').reduce((at: any, key) => at?.[key], document) !== undefined, match[0]); // eslint-disable-line -- a document of any shape
  });

  it('version, health and an answer for every scope', async () => {
    assert.deepEqual((await api.request('GET', '/v1/version')).body, { version: '0.0.0', apiVersion: 'berth/v1', features: [] });
    assert.deepEqual((await api.request('GET', '/healthz')).body, { status: 'ok' });
    for (const rule of Object.values(KINDS)) {
      const { status, body } = await api.request('GET', rule.scoped ? `/v1/projects/-/${rule.plural}` : `/v1/${rule.plural}`);
      assert.deepEqual([rule.kind, status, body.kind, Array.isArray(body.items), typeof body.revision], [rule.kind, 200, `${rule.kind}List`, true, 'number']);
    }
  });
});

describe('answers', () => {
  it('a long verb is 202 with its operation, 200 when it was waited for, 202 again when that was not enough', async () => {
    const made = await api.request('POST', INSTANCES, { meta: { name: 'long' }, spec: { image: 'busybox', running: true, command: ['stubborn'] } });
    assert.deepEqual([made.status, made.body.kind, made.body.spec.arguments], [202, 'Operation', undefined]);
    await settle();
    assert.deepEqual([(await api.request('GET', `/v1/projects/default/operations/${made.body.meta.name}`)).body.status.state], ['succeeded']);
    const stop = api.request('POST', `${INSTANCES}/long/stop?waitMs=500`);
    const { until } = await import('../../test/lib/until.ts');
    await until(() => api.world.get('long').status.state === 'stopping');
    await settle();
    await api.world.clock.advance(600);
    const late = await stop;
    assert.deepEqual([late.status, late.body.status.state], [202, 'running']);
    const lines = api.request('GET', `/v1/projects/default/operations/${late.body.meta.name}/wait`);
    await settle();
    await api.world.clock.advance(20_000);
    const all = (await lines).text.trim().split('\n').map((line) => JSON.parse(line) as { status: { state: string } });
    assert.deepEqual([all[0]!.status.state, all.at(-1)!.status.state], ['running', 'succeeded']);
    const removed = await api.request('DELETE', `${INSTANCES}/long?waitMs=1000`);
    assert.deepEqual([removed.status, removed.body.status.state], [200, 'succeeded']);
  });

  it('a failed operation is an answer, with the error inside', async () => {
    const { status, body } = await api.create('failing', { running: true, command: ['missing'] });
    assert.deepEqual([status, body.status.state, body.status.error.code, body.status.error.details], [200, 'failed', 'notFound', { exitCode: 127 }]);
  });

  it('an Idempotency-Key is the operation’s name', async () => {
    const send = () => api.request('POST', `${INSTANCES}?waitMs=1000`, { meta: { name: 'keyed' }, spec: { image: 'busybox' } }, { 'idempotency-key': 'key-0123456789' });
    const [first, second] = [await send(), await send()];
    assert.deepEqual([first.status, second.status, first.body.meta.name, second.body], [200, 200, 'key-0123456789', first.body]);
  });

  it('get, list, filter and limit', async () => {
    for (const name of ['aa1', 'aa2', 'bb1']) await api.request('POST', `${INSTANCES}?waitMs=1000`, { meta: { name, labels: { tier: name.slice(0, 2) } }, spec: { image: 'busybox' } });
    const names = async (query: string) => ((await api.request('GET', `${INSTANCES}?${query}`)).body.items as { meta: { name: string } }[]).map((one) => one.meta.name);
    assert.deepEqual(await names('filter=name=aa'), ['aa1', 'aa2']);
    assert.deepEqual(await names('filter=label=tier=bb'), ['bb1']);
    assert.deepEqual(await names('filter=name=aa&filter=name=bb&filter=state=stopped&limit=2'), ['aa1', 'aa2']);
    assert.deepEqual(await names('filter=label=tier&filter=form=microVM'), []);
    const one = await api.request('GET', `${INSTANCES}/aa1`);
    assert.deepEqual([one.body.kind, one.body.meta.name, one.body.status.state, one.headers['cache-control']], ['Instance', 'aa1', 'stopped', 'no-store']);
  });

  it('a filter with a value that nothing can have says which there are', async () => {
    for (const [url, filter, hint] of [[INSTANCES, 'form=x', 'One of appContainer, osContainer, microVM, vm.'], [INSTANCES, 'isolation=kvm', 'One of container, vm.'], [INSTANCES, 'status=exited', /^One of creating, stopped, /], ['/v1/projects/default/operations', 'state=done', /^One of running, undoing, /]] as const) {
      const { status, body } = await api.request('GET', `${url}?filter=${filter}`);
      assert.deepEqual([status, body.code], [400, 'invalid'], filter);
      if (typeof hint === 'string') assert.equal(body.hint, hint);
      else assert.match(body.hint, hint);
    }
    assert.equal((await api.request('GET', '/v1/projects/default/volumes?filter=state=anything')).status, 200);
  });

  it('an update is held to the same rules as a create', async () => {
    await api.create('held');
    for (const [spec, path] of [[{ tmpfs: [{ target: '/proc', sizeBytes: 4096 }] }, 'spec.tmpfs.0.target'], [{ workdir: '/dev/fd' }, 'spec.workdir'], [{ pids: 1 }, 'spec.pids']] as const) {
      const { status, body } = await api.request('PATCH', `${INSTANCES}/held`, { spec });
      assert.deepEqual([status, body.fields[0].path], [400, path]);
    }
  });

  it('a project says how many instances are in it', async () => {
    const count = (await api.request('GET', INSTANCES)).body.items.length as number;
    assert.ok(count > 0);
    assert.equal((await api.request('GET', '/v1/projects/default')).body.status.instances, count);
    assert.deepEqual((await api.request('GET', '/v1/projects')).body.items.map((one: { status: { instances: number } }) => one.status.instances), [count]);
    await api.create('counted');
    assert.equal((await api.request('GET', '/v1/projects')).body.items[0].status.instances, count + 1);
  });

  it('wait, stats, kill, rename and logs', async () => {
    await api.create('busy', { running: true, command: ['graceful', '4'] });
    const { body: stats } = await api.request('GET', '/v1/projects/-/instances/-/stats');
    assert.equal(stats.items.find((one: { name: string }) => one.name === 'busy').memoryBytes, 1024);
    const waiting = api.request('GET', `${INSTANCES}/busy/wait?state=stopped`);
    await settle();
    assert.equal((await api.request('POST', `${INSTANCES}/busy/kill?signal=TERM`)).status, 200);
    assert.deepEqual((await waiting).body, { state: 'stopped', exitCode: 4, reason: 'exited' });
    assert.equal((await api.request('GET', `${INSTANCES}/busy/wait?state=nothing`)).status, 400);
    assert.equal((await api.request('POST', `${INSTANCES}/busy/rename`, { name: 'calm' })).body.meta.name, 'calm');
    await api.create('talker', { running: true, command: ['echo', 'hello', 'world'] });
    await settle();
    const { frameDecoder } = await import('../lib/frames.ts');
    const logs = await api.request('GET', `${INSTANCES}/talker/logs?follow=1&timestamps=1`);
    const [frame] = frameDecoder().push(Buffer.from(logs.text));
    assert.deepEqual([logs.headers['content-type'], Buffer.from(frame!.payload).toString()], ['application/vnd.berth.frames', '2026-03-01T12:00:00.000000000Z hello world\n']);
    for (const query of ['since=soon', 'tail=-1', 'since=10parsecs']) assert.equal((await api.request('GET', `${INSTANCES}/talker/logs?${query}`)).status, 400, query);
    for (const query of ['since=10m', 'since=2026-01-01T00:00:00Z', 'since=0', 'tail=0']) assert.equal((await api.request('GET', `${INSTANCES}/talker/logs?${query}`)).status, 200, query);
  });

  it('images come in and go out as bodies', async () => {
    const archive = JSON.stringify({ images: [{ names: ['app:1'] }] });
    const imported = await api.request('POST', '/v1/projects/default/images/-/import', Buffer.from(archive), { 'content-type': 'application/octet-stream' });
    assert.deepEqual([imported.status, imported.body.images[0].reference], [200, 'localhost/app:1']);
    const exported = await api.request('GET', '/v1/projects/default/images/-/export?reference=app:1&format=docker-archive');
    assert.deepEqual([exported.status, exported.headers['content-type'], exported.body.format], [200, 'application/octet-stream', 'docker-archive']);
    assert.equal((await api.request('GET', '/v1/projects/default/images/-/export?reference=none')).status, 404);
    assert.equal((await api.request('POST', '/v1/projects/default/images/-/tag', { reference: 'app:1', newReference: 'app:2' })).status, 200);
    assert.deepEqual((await api.request('DELETE', '/v1/projects/default/images/-/delete?reference=app:1')).body, { deleted: false, untagged: ['localhost/app:1'] });
    assert.equal((await api.request('POST', '/v1/projects/default/images/-/import', Buffer.from('what'), { 'content-type': 'application/octet-stream' })).status, 400);
  });

  it('an import that its client leaves is written down as failed', async () => {
    const socket = api.connect();
    socket.write('POST /v1/projects/default/images/-/import?as=left:1 HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\nContent-Length: 1000\r\n\r\n{"images":');
    const { until } = await import('../../test/lib/until.ts');
    const records = async () => (await api.request('GET', '/v1/projects/default/audit?filter=target=localhost/left:1')).body.items as { status: { result: string } }[];
    await until(async () => (await records()).length === 1);
    socket.destroy();
    await until(async () => (await records())[0]!.status.result === 'failed');
    assert.equal((await api.request('GET', '/v1/projects/default/images/-/get?reference=left:1')).status, 404);
  });

  it('leaks and steps are shown', async () => {
    assert.deepEqual((await api.request('GET', '/v1/debug/leaks')).body, { leaks: [] });
    const { steps } = (await api.request('GET', '/v1/debug/steps')).body;
    for (const verb of ['instance.create', 'instance.start', 'instance.stop', 'instance.delete', 'network.create', 'network.delete', 'volume.create', 'volume.delete', 'image.bootstrap']) assert.ok(steps.some((step: { verb: string }) => step.verb === verb), verb);
  });
});
