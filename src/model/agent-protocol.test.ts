import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import {
  agentFailure, decodeFields, encodeFields, encodeFrame, encodeWindow, FRAME, FrameReader, MAX_PAYLOAD_BYTES, NONCE_BYTES, parseExit, parseGrant, parseHello, parseStats, PROTOCOL, SYNC_BYTES,
} from './agent-protocol.ts';
import { BerthError } from './errors.ts';

const sync = Uint8Array.from({ length: SYNC_BYTES }, (_, at) => at + 1);
const synced = (): FrameReader => {
  const reader = new FrameReader(sync);
  reader.push(sync);
  return reader;
};
const refused = (work: () => unknown, code = 'unavailable'): void => { assert.throws(work, (error: unknown) => error instanceof BerthError && error.code === code); };

test('fields come back as they went, lists in order', () => {
  const fields = decodeFields(encodeFields({ arg: ['sh', '-c', 'a=b', ''], uid: 0, terminal: true, init: false, rows: undefined, name: 'ü "x"' }));
  assert.deepEqual(Object.fromEntries(fields), { arg: ['sh', '-c', 'a=b', ''], uid: ['0'], terminal: ['1'], name: ['ü "x"'] });
  assert.equal(decodeFields(encodeFields({})).size, 0);
  refused(() => encodeFields({ env: ['A=x\0name=evil'] }), 'invalid');
  refused(() => encodeFields({ arg: ['x'.repeat(MAX_PAYLOAD_BYTES)] }), 'invalid');
});

test('malformed fields are refused', () => {
  for (const text of ['x=1', 'novalue\0', '=x\0', 'a=1\0\0', 'a=1\0'.repeat(9000)]) refused(() => decodeFields(Buffer.from(text)));
});

test('frames survive any cut of the stream', () => {
  const bytes = Buffer.concat([encodeFrame(FRAME.ok, 7, encodeFields({ a: 1 })), encodeFrame(FRAME.stdout, 0xffffffff, Buffer.alloc(1000, 1)), encodeWindow(3, 70_000)]);
  for (const size of [1, 2, 7, 9, 10, 500, bytes.length]) {
    const reader = synced(), frames = [];
    for (let at = 0; at < bytes.length; at += size) frames.push(...reader.push(bytes.subarray(at, at + size)));
    assert.deepEqual(frames.map(({ type, session, payload }) => [type, session, payload.length]), [[FRAME.ok, 7, 4], [FRAME.stdout, 0xffffffff, 1000], [FRAME.window, 3, 4]]);
  }
});

test('what an earlier connection left is skipped up to the sync word, and not for ever', () => {
  const reader = new FrameReader(sync);
  assert.deepEqual(reader.push(Buffer.concat([Buffer.alloc(5000, 1), sync.subarray(0, 10)])), []);
  assert.ok(!reader.synced);
  const rest = Buffer.concat([sync.subarray(10), encodeFrame(FRAME.pong, 1)]);
  assert.equal(reader.push(rest)[0]?.type, FRAME.pong);
  const silent = new FrameReader(sync);
  refused(() => { for (let i = 0; i < 6; i++) silent.push(Buffer.alloc(MAX_PAYLOAD_BYTES, 1)); });
});

test('a frame over its bound is refused before it is buffered', () => {
  refused(() => synced().push(Buffer.from('000000404100000000', 'hex')));
  refused(() => encodeFrame(FRAME.stdin, 1, new Uint8Array(MAX_PAYLOAD_BYTES + 1)), 'invalid');
});

test('a hello agrees on the highest common version or says who is too old', () => {
  const hello = (min: number, max: number, more = {}): Uint8Array => encodeFields({ 'protocol-min': min, 'protocol-max': max, agent: 'x\u001b[31m', state: 'running', session: [3, 5], ...more });
  assert.deepEqual(parseHello(hello(1, 9)), { protocol: PROTOCOL.max, agent: 'x?[31m', state: 'running', sessions: [3, 5] });
  refused(() => parseHello(hello(PROTOCOL.max + 1, 99)), 'unsupported');
  refused(() => parseHello(hello(0, PROTOCOL.min - 1)), 'unsupported');
  for (const bad of [{ state: 'root' }, { session: ['x'] }, { state: ['running', 'exited'] }, { session: Array.from({ length: 300 }, (_, n) => n) }]) refused(() => parseHello(hello(1, 1, bad)));
});

test('answers of a guest are checked', () => {
  assert.equal(parseExit(encodeFields({ code: 7 })), 7);
  for (const code of ['256', '-1', '', 'x', '1e3']) refused(() => parseExit(encodeFields({ code })));
  assert.equal(parseGrant(encodeWindow(1, 0xffffffff).subarray(9)), 256 * 1024, 'no grant above the window');
  refused(() => parseGrant(Buffer.alloc(5)));
  refused(() => parseStats(encodeFields({ 'memory-total': 1, 'memory-available': 1, pids: '99999999999999999999' })));
  const failure = agentFailure(encodeFields({ code: 'notFound', message: 'x\ny' }));
  assert.deepEqual([failure.code, failure.details?.['exitCode'], failure.message.includes('\n')], ['notFound', 127, false]);
  refused(() => agentFailure(encodeFields({ code: 'rm -rf', message: '' })));
});

test('the agent in C has the same numbers', () => {
  const header = fs.readFileSync(path.resolve(import.meta.dirname, '../../native/agent/wire.h'), 'utf8');
  const numbers = Object.fromEntries([...header.matchAll(/FRAME_([A-Z_]+) = (\d+)/g)].map(([, name, value]) => [name!.toLowerCase().replace(/_(.)/g, (_, letter: string) => letter.toUpperCase()), Number(value)]));
  assert.deepEqual(numbers, { ...FRAME });
  assert.match(header, new RegExp(`PROTOCOL_MIN = ${PROTOCOL.min}, PROTOCOL_MAX = ${PROTOCOL.max}\\b`));
  assert.match(header, new RegExp(`SYNC_BYTES = ${SYNC_BYTES}, NONCE_BYTES = ${NONCE_BYTES}, HEADER_BYTES = 9, MAX_PAYLOAD = 1 << 20`));
});
