/** G01: an agent that lies, floods, falls silent. The other end is a socket of the test's own. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeFields, encodeFrame, FRAME, STREAM_WINDOW_BYTES, SYNC_BYTES, type FrameType } from '../../../model/agent-protocol.ts';
import { BerthError } from '../../../model/errors.ts';
import { EXEC, guest, HELLO, NONCE } from '../../../../test/lib/agent-guest.ts';
import { until } from '../../../../test/lib/until.ts';
import { AgentLink } from './agent-link.ts';
import { startExec } from './exec-session.ts';

const frame = (type: FrameType, session: number, payload?: Uint8Array): Uint8Array => encodeFrame(type, session, payload);
const fails = (promise: Promise<unknown>, code: string): Promise<void> => assert.rejects(promise, (error: unknown) => error instanceof BerthError && error.code === code);

test('a request has its answer, an answer to nothing has no effect', async (t) => {
  const { socketPath } = await guest(t, (type, session) => (type === FRAME.stats ? Buffer.concat([frame(FRAME.ok, session + 50), frame(FRAME.ok, session, encodeFields({ pids: 3 })), frame(FRAME.ok, session)]) : undefined));
  using link = await AgentLink.connect(socketPath, NONCE, 1000);
  assert.deepEqual(Object.fromEntries(await link.request(FRAME.stats, {}, 1000)), { pids: ['3'] });
  assert.deepEqual(Object.fromEntries(await link.request(FRAME.stats, {}, 1000)), { pids: ['3'] });
});

test('an agent that never answers costs the deadline and nothing more', async (t) => {
  const { socketPath } = await guest(t);
  using link = await AgentLink.connect(socketPath, NONCE, 1000);
  await fails(link.request(FRAME.start, {}, 30), 'timeout');
  const mute = await guest(t, undefined, () => Buffer.alloc(0));
  await fails(AgentLink.connect(mute.socketPath, NONCE, 30), 'timeout');
});

test('a hello of another boot, a wrong one, or none at all opens nothing', async (t) => {
  const other = await guest(t, undefined, () => Buffer.concat([Buffer.alloc(SYNC_BYTES, 7), encodeFrame(FRAME.hello, 0, HELLO)]));
  await fails(AgentLink.connect(other.socketPath, NONCE, 50), 'timeout');
  const odd = await guest(t, undefined, (sync) => Buffer.concat([sync, encodeFrame(FRAME.hello, 0, encodeFields({ state: '../../etc' }))]));
  await fails(AgentLink.connect(odd.socketPath, NONCE, 1000), 'unavailable');
  const young = await guest(t, undefined, (sync) => Buffer.concat([sync, encodeFrame(FRAME.hello, 0, encodeFields({ 'protocol-min': 7, 'protocol-max': 9, agent: '1', state: 'booted' }))]));
  await fails(AgentLink.connect(young.socketPath, NONCE, 1000), 'unsupported');
});

test('a frame of a gigabyte, or megabytes that nobody asked for, end the connection and every request on it', async (t) => {
  for (const flood of [Buffer.from('000000404100000000', 'hex'), Buffer.concat(Array.from({ length: 5 }, () => frame(FRAME.stdout, 99, Buffer.alloc(1024 * 1024))))]) {
    const { socketPath, say } = await guest(t);
    using link = await AgentLink.connect(socketPath, NONCE, 1000);
    const asked = fails(link.request(FRAME.stats, {}, 5000), 'unavailable');
    say(flood);
    await asked;
    assert.equal((await link.over).code, 'unavailable');
    assert.ok(link.ended);
  }
});

test('output over its window ends the connection; within it waits for its reader', async (t) => {
  const { socketPath, say, heard } = await guest(t, (type, session) => (type === FRAME.exec ? frame(FRAME.ok, session) : undefined));
  using link = await AgentLink.connect(socketPath, NONCE, 1000);
  const session = await startExec(link, EXEC);
  const chunk = Buffer.alloc(32 * 1024, 97);
  for (let sent = 0; sent < STREAM_WINDOW_BYTES; sent += chunk.length) say(frame(FRAME.stdout, 1, chunk));
  const output = session.output[Symbol.asyncIterator]();
  for (let read = 0; read < STREAM_WINDOW_BYTES / 2; read += chunk.length) assert.equal((await output.next()).value!.data.length, chunk.length);
  await until(() => heard.some(([type]) => type === FRAME.window), { what: 'a grant' });
  for (let sent = 0; sent < STREAM_WINDOW_BYTES; sent += chunk.length) say(frame(FRAME.stdout, 1, chunk));
  assert.equal((await link.over).code, 'unavailable');
  assert.deepEqual(await session.exit, { exitCode: 137 });
});

test('input waits for grants', async (t) => {
  const { socketPath, say, heard } = await guest(t, (type, session) => (type === FRAME.exec ? frame(FRAME.ok, session) : undefined));
  using link = await AgentLink.connect(socketPath, NONCE, 1000);
  const session = await startExec(link, EXEC);
  let done = false;
  const writing = session.write(Buffer.alloc(STREAM_WINDOW_BYTES + 1)).then(() => { done = true; });
  await until(() => heard.filter(([type]) => type === FRAME.stdin).length === 8, { what: 'a full window' });
  assert.equal(done, false);
  say(frame(FRAME.grant, 1, Uint8Array.of(1, 0, 0, 0)));
  await writing;
  say(frame(FRAME.exit, 1, encodeFields({ code: 3 })));
  assert.deepEqual(await session.exit, { exitCode: 3 });
  await fails(session.write(Buffer.from('x')), 'wrongState');
});

test('processes of an earlier connection are closed', async (t) => {
  const hello = encodeFields({ 'protocol-min': 1, 'protocol-max': 1, agent: '1', state: 'running', session: [4, 9] });
  const { socketPath, heard } = await guest(t, (type, session) => (type === FRAME.stats ? frame(FRAME.ok, session) : undefined), (sync) => Buffer.concat([sync, encodeFrame(FRAME.hello, 0, hello)]));
  using link = await AgentLink.connect(socketPath, NONCE, 1000);
  await link.request(FRAME.stats, {}, 1000);
  assert.deepEqual(heard.map(([type, session]) => [type, session]), [[FRAME.welcome, 0], [FRAME.close, 4], [FRAME.close, 9], [FRAME.stats, 10]]);
});
