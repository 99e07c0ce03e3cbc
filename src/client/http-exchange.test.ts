import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BerthError } from '../model/errors.ts';
import type { Connection } from './connection.ts';
import { exchange, type HttpResponse } from './http-exchange.ts';

interface Scripted extends Connection {
  readonly written: string[];
}

/** Answers with the chunks, then the end. */
function scripted(chunks: readonly string[]): Scripted {
  const left = [...chunks];
  const written: string[] = [];
  return {
    written,
    async write(bytes) { written.push(Buffer.from(bytes).toString()); },
    async read() {
      const chunk = left.shift();
      return chunk === undefined ? undefined : Uint8Array.from(Buffer.from(chunk));
    },
    end: () => undefined,
    close: () => undefined,
  };
}

async function body(response: HttpResponse): Promise<string> {
  let text = '';
  for (let chunk = await response.read(); chunk !== undefined; chunk = await response.read()) text += Buffer.from(chunk).toString();
  return text;
}

const ask = (chunks: readonly string[], method = 'GET') => exchange(scripted(chunks), { method, target: '/x' });
const bytewise = (text: string): string[] => [...text];

const ANSWERS: Readonly<Record<string, readonly [string, number, string]>> = {
  'with a length': ['HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello', 200, 'hello'],
  'in chunks, with extensions and trailers': ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nhel\r\n2\r\nlo\r\n0\r\nX-T: 1\r\n\r\n', 200, 'hello'],
  'until the end': ['HTTP/1.0 200 OK\r\n\r\nhello', 200, 'hello'],
  'without a body': ['HTTP/1.1 204 No Content\r\n\r\n', 204, ''],
  'after a 100': ['HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok', 201, 'ok'],
  'of a changed protocol': ['HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nhello', 101, 'hello'],
  'without a reason': ['HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n', 200, ''],
};

for (const [what, [text, status, expected]] of Object.entries(ANSWERS)) {
  test(`an answer ${what}, whole and byte by byte`, async () => {
    for (const chunks of [[text], bytewise(text)]) {
      const response = await ask(chunks);
      assert.deepEqual([response.status, await body(response)], [status, expected]);
      assert.equal(await response.read(), undefined, 'the end stays the end');
    }
  });
}

const BROKEN: Readonly<Record<string, string>> = {
  'nothing at all': '',
  'no HTTP': 'SSH-2.0-OpenSSH\r\n\r\n',
  'a head without end': `HTTP/1.1 200 OK\r\nX: ${'y'.repeat(40_000)}`,
  'a head that stops': 'HTTP/1.1 200 OK\r\nContent-',
  'a header without name': 'HTTP/1.1 200 OK\r\n: x\r\n\r\n',
  'a body that stops': 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello',
  'chunks that stop': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhello',
  'a chunk that is none': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhello\r\n',
  'no last chunk': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n',
  'a wrong length': 'HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n',
};

for (const [what, text] of Object.entries(BROKEN)) {
  test(`${what} is no answer`, async () => {
    await assert.rejects(async () => body(await ask(text === '' ? [] : [text])), (error) => error instanceof BerthError && error.code === 'unavailable');
  });
}

test('what is sent', async () => {
  const connection = scripted(['HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n']);
  await exchange(connection, { method: 'POST', target: '/a?b=c', headers: { 'If-Match': '"3"' }, body: Buffer.from('{}') });
  assert.deepEqual(connection.written, ['POST /a?b=c HTTP/1.1\r\nHost: localhost\r\nIf-Match: "3"\r\nContent-Length: 2\r\n\r\n{}']);
});

test('a body of unknown length goes in chunks', async () => {
  const inner = scripted(['HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n']);
  let complete!: () => void;
  const whole = new Promise<void>((resolve) => { complete = resolve; });
  const connection: Scripted = {
    ...inner,
    async write(bytes) {
      await inner.write(bytes);
      if (Buffer.from(bytes).toString() === '0\r\n\r\n') complete();
    },
    read: () => whole.then(() => inner.read()),
  };
  async function* parts() { yield Buffer.from('hello'); yield Buffer.from(''); yield Buffer.from('!'); }
  await exchange(connection, { method: 'POST', target: '/a', body: parts() });
  assert.equal(connection.written.join(''), 'POST /a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n');
});

test('no header can smuggle another one in', async () => {
  await assert.rejects(exchange(scripted([]), { method: 'GET', target: '/', headers: { 'If-Match': '1\r\nX: y' } }), /line breaks/);
});

test('a body that cannot be read ends the exchange, though the server waits for the rest', { timeout: 10_000 }, async () => {
  const connection: Connection = { ...scripted([]), read: () => new Promise(() => undefined) };
  async function* parts() {
    yield Buffer.from('x');
    throw new BerthError('invalid', 'there is no such file');
  }
  await assert.rejects(exchange(connection, { method: 'POST', target: '/', body: parts() }), /no such file/);
});

test('an early refusal is heard while the body still goes out', async () => {
  let refuseWrite = false;
  const connection: Connection = { ...scripted(['HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n']), async write() { if (refuseWrite) throw new BerthError('unavailable', 'broken pipe'); refuseWrite = true; } };
  async function* parts() { yield Buffer.from('x'); }
  assert.equal((await exchange(connection, { method: 'POST', target: '/', body: parts() })).status, 413);
});
