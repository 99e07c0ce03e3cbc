import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before, describe, it } from 'node:test';
import { FakeApi } from '../../test/lib/fake-api.ts';
import { settle } from '../../test/lib/test-clock.ts';
import { until } from '../../test/lib/until.ts';

const INSTANCES = '/v1/projects/default/instances';

interface Line {
  readonly type: 'list' | 'put' | 'delete' | 'error';
  readonly revision: number;
  readonly items?: { meta: { name: string } }[];
  readonly object?: { meta: { name: string; revision: number }; spec: Record<string, unknown>; status: { state: string } };
  readonly key?: string;
  readonly code?: string;
}

class Watch {
  readonly lines: Line[] = [];
  text = '';
  status = 0;
  readonly #request: http.ClientRequest;

  constructor(api: FakeApi, url: string) {
    this.#request = http.get({ socketPath: api.socketPath, path: url, agent: false }, (response) => {
      this.status = response.statusCode!;
      let rest = '';
      response.on('error', () => undefined); // its own hanging up
      response.setEncoding('utf8').on('data', (chunk: string) => {
        this.text += chunk;
        const all = (rest + chunk).split('\n');
        rest = all.pop()!;
        for (const line of all) if (line !== '') this.lines.push(JSON.parse(line) as Line);
      });
    });
    this.#request.on('error', () => undefined);
  }

  async has(count: number): Promise<Line[]> {
    await until(() => this.lines.length >= count, { intervalMs: 5, what: `line ${count} of a watch` });
    return this.lines;
  }

  close(): void {
    this.#request.destroy();
  }
}

let api: FakeApi;
before(async () => { api = await FakeApi.open(); });
after(() => api[Symbol.asyncDispose]());

describe('watch', () => {
  it('the list, then every change in its order, and nothing of other kinds and projects', async () => {
    await api.create('one');
    const watch = new Watch(api, `${INSTANCES}?watch=1`);
    await watch.has(1);
    assert.deepEqual([watch.lines[0]!.type, watch.lines[0]!.items!.map((item) => item.meta.name)], ['list', ['one']]);
    await api.request('POST', '/v1/projects', { meta: { name: 'other' }, spec: {} });
    await api.request('POST', '/v1/projects/default/volumes?waitMs=1000', { meta: { name: 'data' } });
    await api.create('two', { running: true });
    await api.request('DELETE', `${INSTANCES}/two?force=1&waitMs=1000`);
    const lines = await watch.has(5);
    assert.deepEqual(lines.slice(1).map((line) => [line.type, line.object?.meta.name ?? line.key, line.object?.status.state]), [['put', 'two', 'creating'], ['put', 'two', 'running'], ['put', 'two', 'deleting'], ['delete', 'default/two', undefined]]);
    assert.deepEqual(lines.map((line) => line.revision), lines.map((line) => line.revision).toSorted((a, b) => a - b));
    for (const line of lines) if (line.object !== undefined) assert.equal(line.object.meta.revision, line.revision);
    watch.close();
  });

  it('goes on from a revision: no change is missed, none comes twice', async () => {
    const { body: list } = await api.request('GET', INSTANCES);
    await api.create('three');
    const first = new Watch(api, `${INSTANCES}?watch=1&revision=${list.revision}`);
    const [creating] = await first.has(2);
    first.close();
    const second = new Watch(api, `${INSTANCES}?watch=1&revision=${creating!.revision}`);
    await second.has(1);
    await api.request('PATCH', `${INSTANCES}/three`, { meta: { owner: 'ops' } });
    await second.has(2);
    assert.deepEqual([...first.lines, ...second.lines].map((line) => [line.type, line.object?.status.state]), [['put', 'creating'], ['put', 'stopped'], ['put', 'stopped'], ['put', 'stopped']]);
    assert.equal(second.lines[0]!.revision, first.lines[1]!.revision);
    second.close();
  });

  it('a revision that is no longer kept is 410 with the code changed; one that is still to come is refused', async () => {
    const { body: list } = await api.request('GET', INSTANCES);
    await api.create('four');
    await api.world.store.compact(api.world.services.registry.revision);
    const gone = await api.request('GET', `${INSTANCES}?watch=1&revision=${list.revision}`);
    assert.deepEqual([gone.status, gone.body.status, gone.body.code], [410, 410, 'changed']);
    const future = await api.request('GET', `${INSTANCES}?watch=1&revision=${list.revision + 10_000}`);
    assert.deepEqual([future.status, future.body.code], [400, 'invalid']);
  });

  it('follows filters', async () => {
    const watch = new Watch(api, `${INSTANCES}?watch=1&filter=name=seen`);
    await watch.has(1);
    await api.create('hidden');
    await api.create('seen');
    await watch.has(3);
    assert.deepEqual(watch.lines.slice(1).map((line) => line.object!.meta.name), ['seen', 'seen']);
    watch.close();
  });

  it('operations are shown without the journal’s own facts', async () => {
    const watch = new Watch(api, '/v1/projects/default/operations?watch=1');
    await watch.has(1);
    await api.create('five');
    await watch.has(3);
    assert.doesNotMatch(watch.text, /"arguments"|requestId/);
    watch.close();
  });

  it('events of a project are that project’s', async () => {
    const mine = new Watch(api, '/v1/projects/default/events?watch=1');
    const theirs = new Watch(api, '/v1/projects/other/events?watch=1');
    await Promise.all([mine.has(1), theirs.has(1)]);
    await api.create('six');
    await mine.has(2);
    assert.equal((mine.lines[1]!.object!.spec as { type: string }).type, 'instance.created');
    assert.equal(theirs.lines.length, 1);
    mine.close();
    theirs.close();
  });

  it('audit records cannot be followed past their project', async () => {
    const watch = new Watch(api, '/v1/projects/other/audit?watch=1');
    await until(() => watch.status !== 0);
    await api.create('seven');
    await settle();
    assert.equal(watch.lines.filter((line) => line.type === 'put').length, 0);
    watch.close();
  });

  it('beats when nothing changes', async () => {
    const watch = new Watch(api, `${INSTANCES}?watch=1`);
    await watch.has(1);
    const before = watch.text.length;
    await api.world.clock.advance(15_000);
    await until(() => watch.text.length > before);
    assert.equal(watch.text.slice(before), '\n');
    watch.close();
  });

  it('a reader that does not read is let go, and the daemon keeps nothing of it', async () => {
    await api.create('loud', { command: ['sleep', 'x'.repeat(100_000)] });
    await api.world.clock.advance(60_000); // whatever else waits is over
    const before = api.world.clock.waiting;
    const socket = api.connect().pause();
    socket.write(`GET ${INSTANCES}?watch=1 HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    await until(() => api.world.clock.waiting > before);
    const sent: number[] = [];
    for (let i = 0; i < 400 && api.world.clock.waiting > before; i++) sent.push((await api.request('PATCH', `${INSTANCES}/loud`, { meta: { owner: `ops${i}` } })).status);
    assert.ok(sent.length > 50 && sent.length < 400, `${sent.length} changes of 100 kB each`);
    socket.resume();
    await until(() => socket.readableEnded || socket.destroyed);
  });

  it('who hangs up is forgotten: no timer of theirs stays', async () => {
    await api.world.clock.advance(60_000); // whatever else waits is over
    const before = api.world.clock.waiting;
    const watches = Array.from({ length: 5 }, () => new Watch(api, `${INSTANCES}?watch=1`));
    await Promise.all(watches.map((watch) => watch.has(1)));
    assert.equal(api.world.clock.waiting, before + 5);
    for (const watch of watches) watch.close();
    await until(() => api.world.clock.waiting === before);
  });
});
