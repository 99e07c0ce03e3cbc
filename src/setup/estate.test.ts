import assert from 'node:assert/strict';
import net from 'node:net';
import { test, type TestContext } from 'node:test';
import { answers, estateTable, localImages, notYetAnswering, parseInstances, suiteOf, type ListedInstance } from './estate.ts';

const instance = (name: string, state: string, ports: number[] = []): ListedInstance => ({
  meta: { name, project: 'default' },
  status: { state, form: 'appContainer', addresses: { estate: ['10.89.0.2', 'fd00::2'] }, published: ports.map((hostPort) => ({ protocol: 'tcp', hostAddress: '127.0.0.1', hostPort, targetPort: 80 })) },
});

async function serve(t: TestContext, talk: (socket: net.Socket) => void): Promise<number> {
  const server = net.createServer((socket) => {
    socket.on('error', () => undefined);
    talk(socket);
  });
  t.after(() => server.close());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as net.AddressInfo).port;
}

test('a web server answers unless it answers with a server error', async (t) => {
  assert.equal(await answers('127.0.0.1', await serve(t, (socket) => socket.end('HTTP/1.1 404 Not Found\r\n\r\n'))), true);
  assert.equal(await answers('127.0.0.1', await serve(t, (socket) => socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n'))), false);
});

test('a server that waits for its client has answered; one that hangs up at once, or is not there, has not', async (t) => {
  assert.equal(await answers('127.0.0.1', await serve(t, () => undefined)), true);
  assert.equal(await answers('127.0.0.1', await serve(t, (socket) => socket.destroy())), false);
  assert.equal(await answers('127.0.0.1', 1), false);
});

test('what is not there yet is named, and a failure ends the wait', async () => {
  assert.deepEqual(await notYetAnswering([instance('a', 'starting'), instance('b', 'running', [80]), instance('c', 'running', [81])], async (_address, port) => port === 80), ['a is starting', 'c on port 81']);
  await assert.rejects(notYetAnswering([instance('a', 'failed')]), { code: 'unavailable' });
});

test('images follow the host’s distribution where it is known', () => {
  assert.equal(suiteOf('NAME=x\nVERSION_CODENAME=trixie\n'), 'trixie');
  assert.equal(suiteOf('VERSION_CODENAME=noble\n'), 'bookworm');
  assert.deepEqual(localImages('trixie').map((image) => image.as), ['busybox', 'debian:trixie', 'postgres', 'web']);
});

test('the table lines up', () => {
  assert.equal(estateTable([instance('web', 'running', [8080]), instance('database', 'running')]), [
    'NAME      FORM           STATE    ADDRESS    ANSWERS AT',
    'web       app container  running  10.89.0.2  http://127.0.0.1:8080/',
    'database  app container  running  10.89.0.2  -', ''].join('\n'));
  assert.throws(() => parseInstances('{}'), { code: 'internal' });
});
