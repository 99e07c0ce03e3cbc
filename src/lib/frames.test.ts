import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { encodeFrame, encodeJsonFrame, encodeStream, FRAME, frameDecoder, FrameError, frameHeader, jsonOfFrame, MAX_FRAME_BYTES, type FrameType } from './frames.ts';

it('has the bytes that the format says', () => {
  assert.deepEqual([...encodeFrame(FRAME.stderr, Buffer.from('hi'))], [2, 0, 0, 0, 2, 104, 105]);
  assert.deepEqual([...encodeFrame(FRAME.stdinEnd)], [8, 0, 0, 0, 0]);
  assert.deepEqual([...frameHeader(FRAME.stdout, 0x01_02_03 - 0x02)], [1, 0, 1, 2, 1]);
});

it('gives back what was sent, however the stream is cut', () => {
  const frames = fc.array(fc.tuple(fc.integer({ min: 0, max: 9 }), fc.uint8Array({ maxLength: 40 })), { maxLength: 12 });
  fc.assert(fc.property(frames, fc.array(fc.integer({ min: 1, max: 17 }), { minLength: 1 }), (sent, cuts) => {
    const stream = Buffer.concat(sent.map(([type, payload]) => encodeFrame(type as FrameType, payload)));
    const decoder = frameDecoder();
    const got: [number, Uint8Array][] = [];
    const chunk = Buffer.alloc(17);
    for (let at = 0, i = 0; at < stream.length; i++) {
      const size = cuts[i % cuts.length]!;
      const part = chunk.subarray(0, stream.copy(chunk, 0, at, at + size));
      for (const { type, payload } of decoder.push(part)) got.push([type, new Uint8Array(payload)]);
      chunk.fill(0xee); // the reader's buffer is used again
      at += size;
    }
    decoder.end();
    assert.deepEqual(got.map(([type, payload]) => [type, [...payload]]), sent.map(([type, payload]) => [type, [...payload]]));
  }));
});

it('does not copy a payload that came whole, and cuts what is too long for one frame', () => {
  const chunk = encodeFrame(FRAME.stdout, new Uint8Array(1000));
  assert.equal(frameDecoder().push(chunk)[0]!.payload.buffer, chunk.buffer);
  const bytes = Buffer.alloc(MAX_FRAME_BYTES * 2 + 1, 'x');
  const frames = encodeStream(FRAME.stdout, bytes);
  assert.equal(frames.length, 3);
  const decoder = frameDecoder();
  assert.deepEqual(Buffer.concat(frames.flatMap((frame) => decoder.push(frame)).map(({ payload }) => payload)), bytes);
  assert.deepEqual(encodeStream(FRAME.stdout, new Uint8Array(0)), []);
});

it('refuses a payload that is too large before it comes, an unknown type and a cut stream', () => {
  assert.throws(() => encodeFrame(FRAME.stdin, new Uint8Array(MAX_FRAME_BYTES + 1)), FrameError);
  const large = frameDecoder();
  assert.throws(() => large.push(Uint8Array.of(0, 0, 0x10, 0, 1)), FrameError);
  assert.throws(() => large.push(encodeFrame(FRAME.stdin)), FrameError);
  assert.throws(() => frameDecoder().push(Uint8Array.of(0, 255, 255, 255, 255)), /4294967295/);
  assert.throws(() => frameDecoder().push(Uint8Array.of(10, 0, 0, 0, 0)), FrameError);
  const cut = frameDecoder();
  cut.push(encodeFrame(FRAME.stdin, Buffer.from('abc')).subarray(0, 6));
  assert.throws(() => cut.end(), FrameError);
});

it('carries JSON', () => {
  const [frame] = frameDecoder().push(encodeJsonFrame(FRAME.resize, { columns: 80, rows: 24 }));
  assert.deepEqual(jsonOfFrame(frame!), { columns: 80, rows: 24 });
  assert.throws(() => jsonOfFrame({ type: FRAME.resize, payload: Buffer.from('{') }), FrameError);
  assert.throws(() => jsonOfFrame({ type: FRAME.resize, payload: Uint8Array.of(0x22, 0xff, 0x22) }), FrameError);
});

it('decodes small frames of a large stream in time that grows with its length', () => {
  const stream = Buffer.concat(Array.from({ length: 50_000 }, () => encodeFrame(FRAME.stdout, Buffer.from('0123456789'))));
  const decoder = frameDecoder();
  const start = performance.now();
  let count = 0;
  for (let at = 0; at < stream.length; at += 65_536) count += decoder.push(stream.subarray(at, at + 65_536)).length;
  assert.equal(count, 50_000);
  assert.ok(performance.now() - start < 2000);
});
