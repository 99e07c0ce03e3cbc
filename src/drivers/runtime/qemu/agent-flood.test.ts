/** G01: floods that break no single rule: each costs the host no more than what it granted. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EXEC, guest, NONCE } from '../../../../test/lib/agent-guest.ts';
import { heldBytes } from '../../../../test/lib/agent-fuzz.ts';
import { until } from '../../../../test/lib/until.ts';
import { encodeFields, encodeFrame, FRAME, FrameReader, MAX_PAYLOAD_BYTES, STREAM_WINDOW_BYTES, SYNC_BYTES } from '../../../model/agent-protocol.ts';
import { AgentLink } from './agent-link.ts';
import { startExec } from './exec-session.ts';

const execs = (type: number, session: number): Uint8Array | undefined => (type === FRAME.exec ? encodeFrame(FRAME.ok, session) : undefined);

test('a frame that comes byte by byte is copied once, not once for each byte', () => {
  const sync = Buffer.alloc(SYNC_BYTES, 7), reader = new FrameReader(sync);
  reader.push(sync);
  const bytes = encodeFrame(FRAME.stdout, 1, new Uint8Array(MAX_PAYLOAD_BYTES).fill(7));
  const { user: before } = process.cpuUsage();
  let last: readonly { readonly payload: Uint8Array }[] = [];
  for (let at = 0; at < bytes.length; at++) {
    last = reader.push(bytes.subarray(at, at + 1));
    // Copied anew for each byte it would be half a million megabytes, and minutes.
    if (at % 65_536 === 0) assert.ok(process.cpuUsage().user - before < 10_000_000);
  }
  assert.equal(last[0]!.payload.length, MAX_PAYLOAD_BYTES);
});

test('hundreds of thousands of empty pieces of output, or a window of single bytes, are held in what the window allows', async (t) => {
  const { socketPath, say, heard } = await guest(t, (type, session) => execs(type, session) ?? (type === FRAME.stats ? encodeFrame(FRAME.ok, session) : undefined));
  using link = await AgentLink.connect(socketPath, NONCE, 5000);
  const session = await startExec(link, EXEC);
  const before = heldBytes();
  say(Buffer.concat(Array.from({ length: 300_000 }, () => encodeFrame(FRAME.stdout, 1))));
  const single = [encodeFrame(FRAME.stdout, 1, Buffer.from('o')), encodeFrame(FRAME.stderr, 1, Buffer.from('e'))];
  say(Buffer.concat(Array.from({ length: STREAM_WINDOW_BYTES }, (_, at) => single[at % 2]!)));
  await link.request(FRAME.stats, {}, 60_000);
  assert.ok(heard.some(([type]) => type === FRAME.stats));
  const held = heldBytes() - before;
  // One object for each piece would be hundreds of megabytes.
  assert.ok(held < 128 * STREAM_WINDOW_BYTES, `${held} bytes`);
  const output = session.output[Symbol.asyncIterator]();
  const seen = { stdout: 0, stderr: 0 };
  while (seen.stdout + seen.stderr < STREAM_WINDOW_BYTES) {
    const { stream, data } = (await output.next()).value!;
    assert.ok(data.every((byte: number) => byte === (stream === 'stdout' ? 0x6f : 0x65)));
    seen[stream as 'stdout'] += data.length;
  }
  assert.deepEqual(seen, { stdout: STREAM_WINDOW_BYTES / 2, stderr: STREAM_WINDOW_BYTES / 2 });
  assert.equal(link.ended, false);
});

test('a grant of nothing, or for what was never sent, ends the connection', async (t) => {
  for (const bytes of [0, 1, 2 ** 32 - 1]) {
    const { socketPath, say } = await guest(t, execs);
    using link = await AgentLink.connect(socketPath, NONCE, 5000);
    await startExec(link, EXEC);
    const payload = Buffer.alloc(4);
    payload.writeUInt32LE(bytes);
    say(encodeFrame(FRAME.grant, 1, payload));
    assert.equal((await link.over).code, 'unavailable');
  }
});

test('what closed sessions still had under way ends nobody else’s; for ever it may not go on', async (t) => {
  const { socketPath, say, heard } = await guest(t, execs);
  using link = await AgentLink.connect(socketPath, NONCE, 5000);
  const stays = await startExec(link, EXEC);
  const late = Buffer.concat(Array.from({ length: 8 }, () => encodeFrame(FRAME.stdout, 99, Buffer.alloc(STREAM_WINDOW_BYTES / 8))));
  for (let number = 2; number < 40; number++) {
    const session = await startExec(link, EXEC);
    await session.close();
    await until(() => heard.some(([type, closed]) => type === FRAME.close && closed === number), { what: 'its close' });
    late.writeUInt32LE(number, 5);
    say(late);
  }
  say(encodeFrame(FRAME.exit, 1, encodeFields({ code: 4 })));
  assert.deepEqual(await stays.exit, { exitCode: 4 });
  for (let at = 0; at < 200; at++) say(late);
  assert.equal((await link.over).code, 'unavailable');
});
