/** Connections that leave HTTP: run, exec and attach, with clients that behave, leave, stall or attack. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { FakeApi, type StreamClient } from '../../test/lib/fake-api.ts';
import { settle } from '../../test/lib/test-clock.ts';
import { until } from '../../test/lib/until.ts';
import { encodeFrame, encodeJsonFrame, FRAME } from '../lib/frames.ts';
import { objectId } from '../model/ids.ts';

const INSTANCES = '/v1/projects/default/instances';
const MIB = 1024 * 1024;

async function exec(api: FakeApi, request: Record<string, unknown>): Promise<StreamClient> {
  const client = await api.stream(`${INSTANCES}/web/exec`);
  client.json(FRAME.request, request);
  return client;
}

async function attach(api: FakeApi, request: Record<string, unknown> = {}): Promise<StreamClient> {
  const client = await api.stream(`${INSTANCES}/web/attach`);
  client.json(FRAME.request, request);
  return client;
}

async function run(api: FakeApi, spec: Record<string, unknown>, meta: Record<string, unknown> = { name: 'web' }): Promise<StreamClient> {
  const client = await api.stream(`${INSTANCES}/-/run`);
  client.json(FRAME.request, { object: { meta, spec: { image: 'busybox', ...spec } } });
  return client;
}

const unit = (api: FakeApi) => api.world.unit('web')!;

/** The process of the only exec. */
async function execProcess(api: FakeApi) {
  return until(() => [...unit(api).execs][0], { intervalMs: 5, what: 'a process of an exec' });
}

/** Nothing of a conversation is left on the daemon's side. */
async function untilLetGo(api: FakeApi): Promise<void> {
  await until(() => unit(api).execs.size === 0 && unit(api).openSessions === 0, { intervalMs: 5, what: 'the end of every session' });
}

describe('exec', () => {
  it('says that it started, what came out, and how it ended', async () => {
    await using api = await FakeApi.open();
    await api.create('web', { running: true });
    const client = await exec(api, { command: ['echo', 'hello'] });
    assert.match(client.head, /^HTTP\/1\.1 101 .*\r\nConnection: Upgrade\r\nUpgrade: berth-stream\/1\r\nX-Request-Id: request-\d+$/s);
    assert.deepEqual(await client.frame(FRAME.exit), { exitCode: 0, reason: 'exited' });
    await client.end();
    assert.deepEqual([client.text(), client.frames.map((frame) => frame.type)], ['hello\n', [FRAME.started, FRAME.stdout, FRAME.exit]]);
  });

  it('carries input, its end, signals and sizes', async () => {
    await using api = await FakeApi.open();
    await api.create('web', { running: true });
    const cat = await exec(api, { command: ['cat'], stdin: true });
    cat.send(FRAME.stdin, Buffer.from('one '));
    cat.send(FRAME.stdin, Buffer.from('two'));
    cat.send(FRAME.stdinEnd);
    assert.deepEqual(await cat.frame(FRAME.exit), { exitCode: 0, reason: 'exited' });
    assert.equal(cat.text(), 'one two');
    const sleep = await exec(api, { command: ['sleep'], terminal: true });
    sleep.json(FRAME.resize, { rows: 11, columns: 22 });
    await until(() => unit(api).size?.rows === 11);
    sleep.json(FRAME.signal, { signal: 'INT' });
    assert.deepEqual(await sleep.frame(FRAME.exit), { exitCode: 130, reason: 'exited' });
  });

  it('a request in the same packet as the head is read', async () => {
    await using api = await FakeApi.open();
    await api.create('web', { running: true });
    const text = await api.raw(Buffer.concat([Buffer.from(`GET ${INSTANCES}/web/exec HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: berth-stream/1\r\n\r\n`), encodeJsonFrame(FRAME.request, { command: ['echo', 'at once'] })]));
    assert.match(text, /at once/);
  });

  it('what is refused is an error frame with its code', async () => {
    await using api = await FakeApi.open();
    await api.create('web', { running: true });
    await api.create('idle');
    for (const [url, request, code] of [
      [`${INSTANCES}/nobody/exec`, { command: ['true'] }, 'notFound'],
      [`${INSTANCES}/idle/exec`, { command: ['true'] }, 'wrongState'],
      [`${INSTANCES}/idle/attach`, {}, 'wrongState'],
      [`${INSTANCES}/web/exec`, {}, 'invalid'],
      [`${INSTANCES}/web/exec`, { command: [] }, 'invalid'],
      [`${INSTANCES}/web/exec`, { command: ['true'], privileged: true }, 'invalid'],
      [`${INSTANCES}/web/exec`, { command: ['true'], workdir: '../etc' }, 'invalid'],
      [`${INSTANCES}/web/exec`, { command: ['tr\0ue'] }, 'invalid'],
      [`${INSTANCES}/-/run`, { object: { meta: { name: 'web' }, spec: { image: 'busybox' } } }, 'alreadyExists'],
      [`${INSTANCES}/-/run`, { object: { spec: { image: 'nothing' } } }, 'notFound'],
      [`${INSTANCES}/-/run`, { object: { spec: { image: 'busybox', privileged: true } } }, 'invalid'],
      [`${INSTANCES}/-/run`, { object: { meta: { project: 'other' }, spec: { image: 'busybox' } } }, 'invalid'],
    ] as const) {
      const client = await api.stream(url);
      client.json(FRAME.request, request);
      const problem = await client.frame(FRAME.error);
      assert.deepEqual([problem.code, typeof problem.requestId, problem.status >= 400], [code, 'string', true], JSON.stringify([request, problem]));
      await client.end();
    }
    await untilLetGo(api);
  });

  it('the 65th is refused, and every way to leave makes room', async () => {
    await using api = await FakeApi.open();
    await api.create('web', { running: true });
    const clients = await Promise.all(Array.from({ length: 64 }, () => exec(api, { command: ['sleep'] })));
    await Promise.all(clients.map((client) => client.frame(FRAME.started)));
    assert.equal((await (await exec(api, { command: ['sleep'] })).frame(FRAME.error)).code, 'exhausted');
    clients[0]!.socket.destroy();
    clients[1]!.socket.end();
    clients[2]!.json(FRAME.signal, { signal: 'KILL' });
    clients[3]!.json(FRAME.resize, 'no size');
    await until(() => unit(api).execs.size === 60, { what: 'four places' });
    for (let i = 0; i < 4; i++) await (await exec(api, { command: ['sleep'] })).frame(FRAME.started);
    assert.equal((await (await exec(api, { command: ['sleep'] })).frame(FRAME.error)).code, 'exhausted');
  });
});

describe('run and attach', () => {
  it('run misses nothing, also of what ends at once, and tells the exit code; --rm leaves nothing', async () => {
    await using api = await FakeApi.open();
    for (let i = 0; i < 20; i++) {
      const client = await run(api, { command: i % 2 === 0 ? ['echo', 'first', 'word'] : ['exit', '7'], removeOnExit: true });
      assert.deepEqual(await client.frame(FRAME.exit), { exitCode: i % 2 === 0 ? 0 : 7, reason: 'exited' });
      await client.end();
      assert.deepEqual([client.text(), client.frames[0]!.type], [i % 2 === 0 ? 'first word\n' : '', FRAME.started]);
      assert.equal(api.world.find('web'), undefined, 'gone when the exit is told');
    }
  });

  it('run of a program that is not there says so as docker does', async () => {
    await using api = await FakeApi.open();
    const client = await run(api, { command: ['missing'] });
    assert.deepEqual([(await client.frame(FRAME.error)).code, (await client.frame(FRAME.error)).details], ['notFound', { exitCode: 127 }]);
    await client.end();
    assert.equal(api.world.find('web'), undefined);
  });

  it('run names what it made, and is written down as run by who asked', async () => {
    await using api = await FakeApi.open();
    api.peer = { uid: 1000, gid: 1000, pid: 1 };
    const client = await run(api, { command: ['sleep'] }, {});
    const { name, id } = await client.frame(FRAME.started);
    assert.equal(api.world.get(name).meta.id, id);
    const { body } = await api.request('GET', `/v1/projects/default/audit?filter=target=${name}`);
    assert.deepEqual(body.items.map((one: { spec: { verb: string; actor: string } }) => [one.spec.verb, one.spec.actor]), [['instance.run', 'uid:1000']]);
  });

  it('who leaves a run or an attach leaves the workload alone', async () => {
    await using api = await FakeApi.open();
    const client = await run(api, { command: ['cat'], stdin: true });
    await client.frame(FRAME.started);
    for (const how of ['destroy', 'end'] as const) {
      const other = await attach(api);
      assert.deepEqual(Object.keys(await other.frame(FRAME.started)), ['name', 'id', 'terminal']);
      other.socket[how]();
    }
    client.socket.destroy();
    await untilLetGo(api);
    assert.equal(api.world.get('web').status.state, 'running');
    const last = await attach(api);
    last.send(FRAME.stdin, Buffer.from('still here'));
    await until(() => last.text() === 'still here', { intervalMs: 5 });
  });

  it('everybody who is attached gets the output and the end', async () => {
    await using api = await FakeApi.open();
    await api.create('web', { running: true, command: ['cat'], stdin: true });
    const clients = [await attach(api), await attach(api)];
    await Promise.all(clients.map((client) => client.frame(FRAME.started)));
    clients[0]!.send(FRAME.stdin, Buffer.from('hello'));
    clients[0]!.send(FRAME.stdinEnd);
    for (const client of clients) {
      assert.deepEqual(await client.frame(FRAME.exit), { exitCode: 0, reason: 'exited' });
      assert.equal(client.text(), 'hello');
    }
  });

  it('a forced delete ends every conversation', async () => {
    await using api = await FakeApi.open();
    await api.create('web', { running: true });
    const clients = [await attach(api), await exec(api, { command: ['sleep'] })];
    await Promise.all(clients.map((client) => client.frame(FRAME.started)));
    await api.request('DELETE', `${INSTANCES}/web?force=1&waitMs=1000`);
    for (const client of clients) {
      assert.equal((await client.frame(FRAME.exit)).exitCode, 137);
      await client.end();
    }
  });
});

describe('back-pressure', () => {
  it('a client that does not read makes the process wait, and gets every byte when it reads again', async () => {
    await using api = await FakeApi.open();
    await api.create('web', { running: true });
    const client = await api.stream(`${INSTANCES}/web/exec`);
    client.socket.pause();
    client.json(FRAME.request, { command: ['flood', String(64 * MIB)] });
    const process = await execProcess(api);
    for (let i = 0; i < 50; i++) await settle();
    assert.equal(process.end, undefined, 'the process would have ended if nobody held it back');
    client.socket.resume();
    assert.deepEqual(await client.frame(FRAME.exit), { exitCode: 0, reason: 'exited' });
    assert.equal(client.frames.filter((frame) => frame.type === FRAME.stdout).reduce((sum, frame) => sum + frame.payload.length, 0), 64 * MIB);
    await untilLetGo(api);
  });

  it('a process that does not read makes the client wait: the daemon takes in a bounded amount', async () => {
    await using api = await FakeApi.open();
    await api.create('web', { running: true });
    const client = await exec(api, { command: ['sleep'], stdin: true });
    await client.frame(FRAME.started);
    const payload = new Uint8Array(MIB);
    for (let i = 0; i < 64; i++) client.send(FRAME.stdin, payload);
    const taken = () => 64 * MIB - client.socket.writableLength;
    for (let i = 0, last = -1; taken() !== last; i++) {
      last = taken();
      for (let turn = 0; turn < 20; turn++) await settle();
    }
    assert.ok(taken() < 8 * MIB, `${taken()} bytes were taken in`);
    client.socket.destroy();
    await api.world.clock.advance(5_000); // nobody reads from it: its hanging up is found by speaking to it
    await untilLetGo(api);
  });

  it('small frames are bounded as well', async () => {
    await using api = await FakeApi.open();
    await api.create('web', { running: true });
    const client = await exec(api, { command: ['sleep'], stdin: true });
    await client.frame(FRAME.started);
    const many = Buffer.concat(Array.from({ length: 10_000 }, () => Buffer.from(encodeFrame(FRAME.stdin, new Uint8Array(100)))));
    for (let i = 0; i < 20; i++) client.socket.write(many);
    for (let turn = 0; turn < 200; turn++) await settle();
    assert.ok(client.socket.writableLength > 10 * many.length, `${client.socket.writableLength} bytes wait at the client`);
  });

  it('what was sent before a process began to read arrives in its order', async () => {
    await using api = await FakeApi.open();
    await api.create('web', { running: true });
    const client = await exec(api, { command: ['cat'], stdin: true });
    const lines = Array.from({ length: 3000 }, (_, i) => `line ${i}\n`);
    for (const line of lines) client.send(FRAME.stdin, Buffer.from(line));
    client.send(FRAME.stdinEnd);
    await client.frame(FRAME.exit);
    assert.equal(client.text(), lines.join(''));
  });
});

describe('clients that break the rules', () => {
  const breaks: readonly (readonly [string, Uint8Array])[] = [
    ['a frame of an unknown type', Uint8Array.of(200, 0, 0, 0, 0)],
    ['a frame of 2 MiB', Uint8Array.of(0, 0, 32, 0, 0)],
    ['a frame of 4 GiB', Uint8Array.of(0, 255, 255, 255, 255)],
    ['a frame that only the daemon sends', encodeJsonFrame(FRAME.exit, { exitCode: 0 })],
    ['a second request', encodeJsonFrame(FRAME.request, { command: ['true'] })],
    ['a size that is none', encodeJsonFrame(FRAME.resize, { rows: -1, columns: 0 })],
    ['a size that is no JSON', encodeFrame(FRAME.resize, Buffer.from('{'))],
    ['a signal that is none', encodeJsonFrame(FRAME.signal, { signal: 'NOTHING' })],
    ['a signal that is an object', encodeJsonFrame(FRAME.signal, { signal: { toString: 1 } })],
    ['HTTP again', Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')],
  ];
  for (const [what, bytes] of breaks) {
    for (const verb of ['exec', 'attach'] as const) {
      it(`${what} in ${verb}: the conversation ends, the session is closed`, async () => {
        await using api = await FakeApi.open();
        await api.create('web', { running: true });
        const client = verb === 'exec' ? await exec(api, { command: ['sleep'] }) : await attach(api);
        await client.frame(FRAME.started);
        client.socket.write(bytes);
        await untilLetGo(api);
        await client.end();
        assert.equal(client.frames.some((frame) => frame.type === FRAME.exit), false);
        assert.equal(api.world.get('web').status.state, 'running');
        assert.deepEqual(api.world.log.filter((line) => line.level === 'error'), []);
      });
    }
  }

  it('one who breaks them and then never closes holds no session', async () => {
    await using api = await FakeApi.open();
    await api.create('web', { running: true });
    const client = await exec(api, { command: ['flood', String(64 * MIB)] });
    client.socket.pause();
    await execProcess(api);
    client.json(FRAME.resize, { rows: 'x' });
    await untilLetGo(api);
  });

  for (const [what, bytes] of [
    ['nothing at all', Buffer.alloc(0)],
    ['half a frame', encodeJsonFrame(FRAME.request, { command: ['true'] }).subarray(0, 7)],
  ] as const) {
    it(`${what} as a request: let go after ten seconds`, async () => {
      await using api = await FakeApi.open();
      await api.create('web', { running: true });
      const before = api.world.clock.waiting;
      const client = await api.stream(`${INSTANCES}/web/exec`);
      client.socket.write(bytes);
      await until(() => api.world.clock.waiting > before, { intervalMs: 5 });
      await api.world.clock.advance(9_999);
      assert.equal(client.ended, false);
      await api.world.clock.advance(2);
      await client.end();
    });
  }

  for (const [what, bytes] of [
    ['input before the request', encodeFrame(FRAME.stdin, Buffer.from('x'))],
    ['no JSON', encodeFrame(FRAME.request, Buffer.from('{'))],
    ['a key twice', encodeFrame(FRAME.request, Buffer.from('{"command":["true"],"command":["false"]}'))],
    ['a prototype', encodeFrame(FRAME.request, Buffer.from('{"command":["true"],"__proto__":{}}'))],
    ['a list', encodeFrame(FRAME.request, Buffer.from('[]'))],
  ] as const) {
    it(`${what} as the first frame: refused as invalid`, async () => {
      await using api = await FakeApi.open();
      await api.create('web', { running: true });
      const client = await api.stream(`${INSTANCES}/web/exec`);
      client.socket.write(bytes);
      assert.equal((await client.frame(FRAME.error)).code, 'invalid');
      await client.end();
      await untilLetGo(api);
    });
  }

  it('the wrong protocol, method or place is answered in HTTP', async () => {
    await using api = await FakeApi.open();
    await api.create('web', { running: true });
    assert.equal((await api.stream(`${INSTANCES}/web/exec`, { Upgrade: 'websocket' })).status, 400);
    assert.equal((await api.stream(`${INSTANCES}/web/start`)).status, 404);
    assert.equal((await api.stream(`${INSTANCES}/web/exec?command=true`)).status, 404);
    const text = await api.raw(`POST ${INSTANCES}/web/exec HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: berth-stream/1\r\nContent-Length: 0\r\n\r\n`);
    assert.match(text, /^HTTP\/1\.1 404 .*"code":"notFound"/s);
    assert.match(await api.raw(`GET ${INSTANCES}/web/exec HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`), /^HTTP\/1\.1 404/);
  });

  it('a thousand connections that say nothing do not keep others out', async () => {
    await using api = await FakeApi.open();
    await api.create('web', { running: true });
    for (let i = 0; i < 1000; i++) await once(api.connect(), 'connect');
    const client = await exec(api, { command: ['true'] });
    assert.deepEqual(await client.frame(FRAME.exit), { exitCode: 0, reason: 'exited' });
  });

  it('the log of a workload that lost its reader is whole', async () => {
    await using api = await FakeApi.open();
    const client = await run(api, { command: ['flood', String(4 * MIB)] });
    client.socket.pause();
    await until(() => api.world.find('web') !== undefined);
    await settle();
    client.socket.destroy();
    const { id } = api.world.get('web').meta;
    await until(() => api.world.get('web').status.state === 'stopped', { what: 'the end of the workload' });
    assert.equal(api.world.containers.logs.get(objectId(id))!.reduce((sum, line) => sum + line.text.length, 0), 4 * MIB);
  });
});
