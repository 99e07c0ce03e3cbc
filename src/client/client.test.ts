import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BerthError } from '../model/errors.ts';
import { ROUTES } from '../model/routes.ts';
import { ByteReader } from './byte-reader.ts';
import { ChunkQueue } from './chunk-queue.ts';
import { Client } from './client.ts';
import { parseEndpoint } from './endpoint.ts';
import { ROUTE_TABLE } from './generated/route-table.ts';
import { problemError } from './problem.ts';
import { unreachable } from './unreachable.ts';

const asked: string[] = [];
const client = new Client({
  project: 'p',
  connect: async () => {
    let answered = false;
    return {
      async write(bytes) { asked.push(Buffer.from(bytes).toString()); },
      async read() { return answered ? undefined : (answered = true, Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}')); },
      end: () => undefined, close: () => undefined,
    };
  },
});

test('paths and queries are encoded; lists repeat; what is undefined stays away', async () => {
  await client.call('instance.get', { name: 'a/../b?c#d e' });
  assert.match(asked.at(-1)!, /^GET \/v1\/projects\/p\/instances\/a%2F\.\.%2Fb%3Fc%23d%20e HTTP/);
  await client.call('instance.list', { project: '-', query: { filter: ['a=b&c', 'd=é'], limit: 3, watch: undefined } });
  assert.match(asked.at(-1)!, /^GET \/v1\/projects\/-\/instances\?filter=a%3Db%26c&filter=d%3D%C3%A9&limit=3 HTTP/);
  await client.call('instance.update', { name: 'a', ifMatch: 4, body: { spec: {} } });
  assert.match(asked.at(-1)!, /If-Match: "4"\r\nContent-Type: application\/json\r\nContent-Length: 11\r\n\r\n\{"spec":\{\}\}$/);
});

test('a name that is empty never becomes the path of a list', async () => {
  await assert.rejects(client.call('instance.delete', { name: '' }), /needs a name/);
  await assert.rejects(client.call('instance.delete'), /needs a name/);
});

test('every route of the model is in the table', () => {
  assert.deepEqual(Object.keys(ROUTE_TABLE).toSorted(), ROUTES.map((route) => route.verb as string).toSorted());
});

test('where the daemon answers', () => {
  for (const [text, path] of [[undefined, '/run/berth/berth.sock'], ['', '/run/berth/berth.sock'], ['unix:/a/b', '/a/b'], ['unix:///a/b', '/a/b'], ['/a/b', '/a/b']] as const) assert.equal(parseEndpoint(text).socketPath, path);
  for (const [text, code] of [['https://h:1', 'unsupported'], ['tcp://h:1', 'unsupported'], ['nowhere', 'invalid'], ['unix:relative', 'invalid'], [`unix:/${'x'.repeat(107)}`, 'invalid']] as const) {
    assert.throws(() => parseEndpoint(text), (error) => error instanceof BerthError && error.code === code && error.hint !== undefined || text === 'unix:relative', text);
  }
});

test('why nobody answers', () => {
  const problem = (code: string) => unreachable({ socketPath: '/s' }, Object.assign(new Error('x'), { code }));
  assert.deepEqual([problem('ENOENT').code, problem('ECONNREFUSED').code, problem('EACCES').code, problem('EMFILE').code], ['unavailable', 'unavailable', 'forbidden', 'unavailable']);
  assert.match(problem('EACCES').hint!, /group `berth`/);
  assert.match(problem('ENOENT').hint!, /sudo berth up/);
});

test('a problem of the daemon becomes an error; a strange one as well', () => {
  const full = problemError({ code: 'busy', detail: 'Held.', hint: 'Wait.', fields: [{ path: 'a', message: 'b' }, 'x'], details: { by: 1 } }, 423);
  assert.deepEqual([full.code, full.message, full.hint, full.fields, full.details], ['busy', 'Held.', 'Wait.', [{ path: 'a', message: 'b' }], { by: 1 }]);
  assert.equal(problemError({ code: '__proto__', detail: 'x' }, 404).code, 'notFound');
  assert.equal(problemError('nonsense', 418).code, 'invalid');
  assert.equal(problemError(null, 599).code, 'internal');
  assert.match(problemError({ code: 'internal', detail: 'x', requestId: 'r1' }, 500).hint!, /r1/);
});

test('a reader that waits holds back the socket, and no byte is lost', async () => {
  const calls: string[] = [];
  const queue = new ChunkQueue({ pause: () => calls.push('pause'), resume: () => calls.push('resume') });
  for (let at = 0; at < 20; at++) queue.push(new Uint8Array(100_000).fill(at));
  assert.deepEqual(calls, ['pause']);
  queue.finish();
  let bytes = 0;
  for (let chunk = await queue.read(); chunk !== undefined; chunk = await queue.read()) bytes += chunk.length;
  assert.equal(bytes, 2_000_000);
  assert.deepEqual(calls, ['pause', 'resume']);
});

test('an error comes after what arrived before it', async () => {
  const queue = new ChunkQueue({ pause: () => undefined, resume: () => undefined });
  queue.push(Uint8Array.of(1));
  queue.finish(new Error('lost'));
  assert.deepEqual(await queue.read(), Uint8Array.of(1));
  await assert.rejects(queue.read(), /lost/);
});

test('text up to an end that lies across chunks', async () => {
  const chunks = ['ab', 'c\r', '\nde', '\r\nrest'].map((text) => new TextEncoder().encode(text));
  const reader = new ByteReader(async () => chunks.shift());
  const end = new TextEncoder().encode('\r\n');
  assert.equal(await reader.until(end, 10), 'abc');
  assert.equal(await reader.until(end, 10), 'de');
  assert.deepEqual(await reader.some(2), new TextEncoder().encode('re'));
  assert.deepEqual(await reader.some(), new TextEncoder().encode('st'));
  assert.equal(await reader.until(end, 10), undefined);
});
