/** What a hostile client may send: it is refused with a 4xx that says why, the daemon never answers 5xx and lives on. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { FakeApi, type ApiAnswer } from '../../test/lib/fake-api.ts';
import { until } from '../../test/lib/until.ts';
import { ERROR_CODES } from '../model/errors.ts';

const INSTANCES = '/v1/projects/default/instances';
const MIB = 1024 * 1024;
const good = (name: string, spec: object = {}) => ({ meta: { name }, spec: { image: 'busybox', ...spec } });

let api: FakeApi;
before(async () => { api = await FakeApi.open(); });
after(() => api[Symbol.asyncDispose]());

/** RFC 9457 in our words. */
function assertProblem(answer: ApiAnswer, status: number | readonly number[]): void {
  const allowed = typeof status === 'number' ? [status] : status;
  assert.ok(allowed.includes(answer.status), `${answer.status} ${answer.text}`);
  assert.match(answer.headers['content-type']!, /^application\/problem\+json(;|$)/);
  const { type, title, status: inside, detail, code, message, requestId } = answer.body;
  assert.deepEqual([inside, message], [answer.status, detail]);
  assert.ok(ERROR_CODES.includes(code) && type === `urn:berth:error:${code}` && typeof title === 'string' && /^request-\d+$/.test(requestId), answer.text);
  assert.equal(answer.headers['x-request-id'], requestId);
  assert.match(detail, /[.!?:)]$|JSON/u);
}

const statuses = (text: string): number[] => [...text.matchAll(/HTTP\/1\.1 (\d{3})/g)].map((match) => Number(match[1]));

describe('E05: bodies that mean two things', () => {
  const body = JSON.stringify(good('smuggled'));
  const smuggled = `POST ${INSTANCES} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  const head = `POST ${INSTANCES} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n`;
  for (const [name, bytes] of [
    ['CL.TE', `${head}Content-Length: ${smuggled.length + 5}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`],
    ['TE.CL', `${head}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n${smuggled.length.toString(16)}\r\n${smuggled}\r\n0\r\n\r\n`],
    ['two lengths', `${head}Content-Length: 4\r\nContent-Length: ${smuggled.length}\r\n\r\n${smuggled}`],
    ['two equal lengths', `${head}Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}`],
    ['a length and chunks', `${head}Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n`],
    ['an encoding that is none', `${head}Transfer-Encoding: xchunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n`],
    ['chunked twice', `${head}Transfer-Encoding: chunked, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n`],
    ['chunked, then another', `${head}Transfer-Encoding: chunked, identity\r\n\r\n2\r\n{}\r\n0\r\n\r\n`],
    ['a chunk size that is none', `${head}Transfer-Encoding: chunked\r\n\r\n-1\r\n{}\r\n0\r\n\r\n`],
    ['a chunk size beyond counting', `${head}Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{}\r\n0\r\n\r\n`],
    ['a length with a sign', `${head}Content-Length: +2\r\n\r\n{}`],
    ['a bare line feed', `POST ${INSTANCES} HTTP/1.1\nHost: localhost\nContent-Length: 2\n\n{}`],
    ['a space before the colon', `${head}Content-Length : 2\r\n\r\n{}`],
    ['a folded header', `${head}X-A: 1\r\n Content-Length: 2\r\n\r\n{}`],
    ['no host', `POST ${INSTANCES} HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}`],
    ['no HTTP at all', '\u0016\u0003\u0001\u0002\u0000\u0001\u0000'],
    ['another protocol', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
  ] as const) {
    it(name, async () => {
      const text = await api.raw(bytes);
      assert.ok(statuses(text).every((status) => status >= 400 && status < 500), text);
      assert.ok(statuses(text).length <= 1, text);
      assert.equal(api.world.find('smuggled'), undefined);
      assert.equal((await api.request('GET', '/healthz')).status, 200);
    });
  }

  it('a byte more than 1 MiB is refused, announced or not; 1 MiB is read', async () => {
    const filler = (bytes: number) => JSON.stringify({ ...good('large'), filler: 'x'.repeat(bytes - Buffer.byteLength(JSON.stringify({ ...good('large'), filler: '' }))) });
    assertProblem(await api.request('POST', INSTANCES, filler(MIB)), 400);
    for (const headers of [{}, { 'transfer-encoding': 'chunked' }]) {
      const answer = await api.request('POST', INSTANCES, filler(MIB + 1), headers).catch((error: { code: string }) => error.code);
      if (typeof answer !== 'string') assertProblem(answer, [400, 413]);
      else assert.ok(['EPIPE', 'ECONNRESET'].includes(answer), answer);
    }
  });

  for (const [name, headers, status] of [
    ['text', { 'content-type': 'text/plain' }, [400, 415]],
    ['a form', { 'content-type': 'application/x-www-form-urlencoded' }, [400, 415]],
    ['no type', { 'content-type': '' }, [400, 415]],
    ['compressed', { 'content-encoding': 'gzip' }, [400, 415]],
    ['a stream where JSON is due', { 'content-type': 'application/octet-stream' }, 400],
  ] as const) {
    it(`${name} where JSON is due: refused`, async () => { assertProblem(await api.request('POST', INSTANCES, Buffer.from([0x1f, 0x8b, 8]), headers as never), status); });
  }

  it('an empty body where one is due is refused; where none is due it is none', async () => {
    assertProblem(await api.request('POST', INSTANCES), 400);
    assertProblem(await api.request('POST', INSTANCES, '', { 'content-type': 'application/json' }), 400);
    assertProblem(await api.request('POST', `${INSTANCES}/nobody/start`), 404);
  });

  it('a body that comes too slowly ends the connection', async () => {
    const socket = api.connect();
    let text = '';
    socket.on('data', (chunk: Buffer) => { text += chunk.toString(); });
    socket.write(`POST ${INSTANCES} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{`);
    await until(() => api.world.clock.nextInMs !== undefined && api.world.clock.nextInMs <= 30_000);
    await api.world.clock.advance(31_000);
    await until(() => socket.destroyed || socket.readableEnded);
    assert.ok(statuses(text).every((status) => status === 408), text);
  });
});

describe('E06: names and paths', () => {
  const names = ['..', '.', '%2e%2e', '%2e%2e%2f', '%2e%2e%2fetc%2fpasswd', 'a%2fb', 'a%00b', 'a%0ab', '%00', '%zz', '%', 'A', 'a_b', 'a.b', '-a', 'a-', '%E2%80%A4%E2%80%A4', '%c0%ae%c0%ae', 'a'.repeat(64), 'a'.repeat(10_000), '%20', 'a%20', '__proto__', 'constructor', '%F0%9F%92%A9', 'a;b', '${x}', "a'--", '*', '-'];
  const routes = [(name: string) => `${INSTANCES}/${name}`, (name: string) => `/v1/projects/${name}/instances`, (name: string) => `${INSTANCES}/${name}/logs`, (name: string) => `/v1/projects/default/volumes/${name}`, (name: string) => `/v1/projects/default/operations/${name}/wait`, (name: string) => `/v1/nodes/${name}`, (name: string) => `/v1/pools/${name}`];
  for (const [index, route] of routes.entries()) {
    it(`in ${route('NAME')}`, async () => {
      for (const name of names) {
        if (name === '-' && index === 1) continue; // all projects
        const text = await api.raw(`GET ${route(name)} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
        assert.ok([400, 404, 431].includes(statuses(text)[0]!), `${name.slice(0, 40)}: ${text}`);
        assert.doesNotMatch(text, /root:x|ENOENT/);
      }
    });
  }

  it('in the streams', async () => {
    for (const name of names) {
      for (const url of [`${INSTANCES}/${name}/exec`, `/v1/projects/${name}/instances/-/run`]) {
        if (name === '-' && url.includes('exec')) continue;
        const text = await api.raw(`GET ${url} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: berth-stream/1\r\n\r\n\u0009\u0000\u0000\u0000\u0002{}`, { waitMs: 200 });
        const first = statuses(text)[0]!;
        assert.ok([400, 404, 431].includes(first) || (first === 101 && /"code":"(notFound|invalid)"/.test(text)), `${name.slice(0, 40)}: ${text}`);
      }
    }
  });

  it('in bodies and queries', async () => {
    for (const name of ['..', 'a/b', 'a\0b', 'a\nb', 'A', '', '․․', 'x'.repeat(64), '-a', '__proto__']) {
      assertProblem(await api.request('POST', INSTANCES, good(name)), 400);
      assertProblem(await api.request('POST', '/v1/projects/default/volumes', { meta: { name } }), 400);
      assertProblem(await api.request('POST', '/v1/projects/default/networks', { meta: { name } }), 400);
      assertProblem(await api.request('POST', '/v1/projects', { meta: { name } }), 400);
    }
    for (const reference of ['..', '../../x', '%00', '%0a', 'A%20B', '@']) assertProblem(await api.request('GET', `/v1/projects/default/images/-/get?reference=${reference}`), [400, 404]);
  });

  it('other methods, other versions, other places', async () => {
    for (const [method, url] of [['PUT', INSTANCES], ['DELETE', INSTANCES], ['TRACE', '/healthz'], ['OPTIONS', INSTANCES], ['GET', '/'], ['GET', '/v2/projects'], ['GET', '//v1/projects'], ['GET', '/v1/../v1/projects'], ['GET', `${INSTANCES}/`]] as const) assertProblem(await api.request(method, url), 404);
  });
});

describe('E07: limits', () => {
  it('headers over 16 KiB', async () => {
    const text = await api.raw(`GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Large: ${'x'.repeat(17 * 1024)}\r\n\r\n`);
    assert.deepEqual(statuses(text), [431]);
  });

  it('JSON too deep, too wide, with a key twice, or none', async () => {
    const deep = `${'{"spec":'.repeat(40)}1${'}'.repeat(40)}`;
    const lists = `{"spec":{"command":${'['.repeat(40)}${']'.repeat(40)}}}`;
    const wide = JSON.stringify({ spec: { image: 'busybox', env: Object.fromEntries(Array.from({ length: 11_000 }, (_, i) => [`A${i}`, ''])) } });
    for (const text of [deep, lists, wide, '{"spec":{"image":"busybox","image":"other"}}', '{"meta":{"name":"a"},"meta":{"name":"b"}}', '{', '', 'null', '[]', '"x"', '{"spec":NaN}', '{"a":1}//', '\uFEFF{}', '{"spec":{"image":"\\ud800"}}']) {
      assertProblem(await api.request('POST', INSTANCES, text), 400);
    }
    assertProblem(await api.request('POST', INSTANCES, Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d])), 400);
  });

  it('queries: unknown, twice, out of range, too many', async () => {
    for (const query of ['x=1', 'limit=0', 'limit=1e9', 'limit=a', 'limit=1&limit=2', 'watch=yes', 'revision=-1', 'filter=nothing', 'filter=constructor=1', 'filter=__proto__=1', '__proto__=1', 'constructor=1', Array.from({ length: 40 }, () => 'filter=name=a').join('&')]) assertProblem(await api.request('GET', `${INSTANCES}?${query}`), 400);
    for (const query of ['waitMs=-1', 'waitMs=600001', 'waitMs=NaN', 'waitMs=1e999', 'force=maybe', 'graceMs=1']) assertProblem(await api.request('DELETE', `${INSTANCES}/nobody?${query}`), 400);
  });

  it('If-Match and Idempotency-Key that are none', async () => {
    await api.create('matched');
    for (const match of ['x', '"a"', 'W/"1"', '1, 2', '-1', '9'.repeat(20)]) assertProblem(await api.request('PATCH', `${INSTANCES}/matched`, { spec: {} }, { 'if-match': match }), 400);
    assertProblem(await api.request('PATCH', `${INSTANCES}/matched`, { spec: {} }, { 'if-match': '"9"' }), 412);
    assert.equal((await api.request('PATCH', `${INSTANCES}/matched`, { meta: { owner: 'ops' } }, { 'if-match': '"1"' })).status, 200);
    for (const key of ['short', '../../../../../x', 'UPPER-CASE-123', 'x'.repeat(65)]) assertProblem(await api.request('POST', INSTANCES, good('keyed'), { 'idempotency-key': key }), 400);
  });
});

describe('E10, E11: a web page in between', () => {
  for (const host of ['evil.test', 'evil.test:80', 'localhost.evil.test', '127.0.0.1.evil.test', 'berth.evil', '10.0.0.1', '0.0.0.0']) {
    it(`Host: ${host}`, async () => {
      assertProblem(await api.request('GET', INSTANCES, undefined, { host }), 403);
      assert.equal((await api.stream(`${INSTANCES}/web/exec`, { Host: host })).status, 403);
    });
  }
  for (const origin of ['https://evil.test', 'null', 'http://localhost', 'file://']) {
    it(`Origin: ${origin}`, async () => {
      assertProblem(await api.request('POST', INSTANCES, good('cross'), { origin }), 403);
      assertProblem(await api.request('GET', INSTANCES, undefined, { origin }), 403);
      assert.equal((await api.stream(`${INSTANCES}/-/run`, { Origin: origin })).status, 403);
    });
  }
  for (const host of ['localhost', 'LOCALHOST', 'localhost:8080', 'berth', '127.0.0.1', '[::1]', 'd']) {
    it(`Host: ${host} is ours`, async () => { assert.equal((await api.request('GET', INSTANCES, undefined, { host })).status, 200); });
  }
  it('no header of theirs is allowed to any origin', async () => {
    const { headers } = await api.request('OPTIONS', INSTANCES, undefined, { 'access-control-request-method': 'POST' });
    assert.deepEqual(Object.keys(headers).filter((name) => name.startsWith('access-control')), []);
  });
});

describe('E13: fields that nobody asked for', () => {
  for (const [text, paths] of [
    ['{"__proto__":{"admin":true},"spec":{"image":"busybox"}}', ['__proto__']],
    ['{"spec":{"image":"busybox","__proto__":{"running":true}}}', ['spec.__proto__']],
    ['{"spec":{"image":"busybox","constructor":{"prototype":{}}}}', ['spec.constructor']],
    ['{"spec":{"image":"busybox","env":{"\\u005f_proto__":"x"}}}', ['spec.env.__proto__']],
    ['{"spec":{"image":"busybox","env":{"prototype":"x"}}}', ['spec.env.prototype']],
    ['{"spec":{"image":"busybox","privileged":true}}', ['spec.privileged']],
    ['{"spec":{"image":"busybox","securityOpt":[],"devices":[]}}', ['spec.securityOpt', 'spec.devices']],
    ['{"spec":{"image":"busybox"},"status":{"state":"running"}}', ['status']],
    ['{"spec":{"image":"busybox"},"meta":{"id":"abcdefghijkl","generation":9,"revision":1,"createdAt":"x"}}', ['meta.id', 'meta.generation', 'meta.revision', 'meta.createdAt']],
    ['{"spec":{"image":"busybox","volumes":[{"volume":"a","target":"/a","source":"/etc"}]}}', ['spec.volumes.0.source']],
    ['{"spec":{"image":"busybox","ports":[{"targetPort":80},{"targetPort":81,"hostIp":"0.0.0.0"}]}}', ['spec.ports.1.hostIp']],
    ['{"spec":{"image":"busybox","networks":[{"name":"default","mac":"02:00:00:00:00:01"}]}}', ['spec.networks.0.mac']],
    ['{"kind":"Volume","spec":{"image":"busybox"}}', ['kind']],
    ['{"apiVersion":"berth/v9","spec":{"image":"busybox"}}', ['apiVersion']],
    ['{"spec":{}}', ['spec.image']],
    ['{}', ['spec']],
    ['{"meta":{"project":"other"},"spec":{"image":"busybox"}}', ['meta.project']],
  ] as const) {
    it(text, async () => {
      const count = api.world.services.registry.count('Instance');
      const answer = await api.request('POST', INSTANCES, text);
      assertProblem(answer, 400);
      assert.deepEqual((answer.body.fields as { path: string }[]).map((field) => field.path), paths);
      assert.equal(api.world.services.registry.count('Instance'), count);
      assert.equal(({} as { admin?: boolean }).admin, undefined);
    });
  }

  it('in patches, renames and the other kinds', async () => {
    await api.create('patched');
    for (const text of ['{"spec":{"__proto__":{"running":true}}}', '{"spec":{"privileged":true}}', '{"status":{"state":"running"}}', '{"meta":{"id":"abcdefghijkl"}}', '{"meta":{"labels":{"constructor":"x"}}}']) assertProblem(await api.request('PATCH', `${INSTANCES}/patched`, text), 400);
    assertProblem(await api.request('POST', `${INSTANCES}/patched/rename`, { name: 'other', force: true }), 400);
    assertProblem(await api.request('POST', '/v1/projects/default/volumes', { meta: { name: 'v' }, spec: { path: '/etc' } }), 400);
    assertProblem(await api.request('POST', '/v1/projects/default/networks', { meta: { name: 'n' }, spec: { parent: 'eth0' } }), 400);
    assertProblem(await api.request('POST', '/v1/projects', { meta: { name: 'p' }, spec: { admin: true } }), 400);
  });

  it('a body where none is due is refused, not ignored', async () => {
    await api.create('bodied');
    for (const verb of ['start', 'stop', 'kill', 'pause']) assertProblem(await api.request('POST', `${INSTANCES}/bodied/${verb}`, { force: true }), 400);
  });
});

describe('I04: nobody says who they are', () => {
  it('headers that claim an identity change nothing', async () => {
    api.peer = { uid: 1234, gid: 1, pid: 1 };
    try {
      const claims = { 'x-forwarded-for': '127.0.0.1', forwarded: 'for=root', 'x-user': 'root', 'x-remote-user': 'root', 'x-request-id': 'mine', authorization: 'Basic cm9vdDpyb290', cookie: 'user=root', 'user-agent': 'a b' };
      const made = await api.request('POST', INSTANCES, good('claimed'), claims);
      assert.equal(made.status, 202);
      assert.notEqual(made.headers['x-request-id'], 'mine');
      const { body } = await api.request('GET', '/v1/projects/default/audit?filter=target=claimed');
      assert.deepEqual([body.items[0].spec.actor, body.items[0].spec.requestId], ['uid:1234', made.headers['x-request-id']]);
      const host = await api.request('POST', INSTANCES, good('host', { volumes: [{ hostPath: '/etc', target: '/x' }] }), { ...claims, 'x-uid': '0' });
      assertProblem(host, 403);
    } finally {
      api.peer = { uid: 0, gid: 0, pid: 1 };
    }
  });

  it('who is not known may nothing', async () => {
    api.peer = undefined;
    try {
      assertProblem(await api.request('GET', INSTANCES), 401);
      assert.equal((await api.stream(`${INSTANCES}/web/exec`)).status, 401);
    } finally {
      api.peer = { uid: 0, gid: 0, pid: 1 };
    }
  });
});

it('after all of that: nothing was a bug, and the daemon answers', async () => {
  assert.deepEqual(api.world.log.filter((line) => line.level === 'error'), []);
  assert.equal((await api.request('GET', INSTANCES)).status, 200);
});
