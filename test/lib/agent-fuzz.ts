/**
 * What a guest's agent may say, damaged: for both ends of the protocol. Everything follows from the seed, so that a failure
 * can be seen again.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import v8 from 'node:v8';
import vm from 'node:vm';
import { AgentLink } from '../../src/drivers/runtime/qemu/agent-link.ts';
import { startExec } from '../../src/drivers/runtime/qemu/exec-session.ts';
import {
  agentFailure, decodeFields, encodeFields, encodeFrame, FRAME, FrameReader, MAX_PAYLOAD_BYTES, parseExit, parseGrant, parseHello, parseStats, SYNC_BYTES, type FrameType,
} from '../../src/model/agent-protocol.ts';
import { BerthError } from '../../src/model/errors.ts';
import { EXEC } from './agent-guest.ts';

export type Below = (limit: number) => number;

const HELLO = encodeFields({ 'protocol-min': 1, 'protocol-max': 1, agent: '1', state: 'running', session: [1, 2] });
const SAID: readonly (readonly [FrameType, Uint8Array])[] = [
  [FRAME.hello, HELLO], [FRAME.ok, new Uint8Array()], [FRAME.ok, encodeFields({ 'memory-total': 1, 'memory-available': 2, pids: 3, 'oom-kills': 4 })],
  [FRAME.error, encodeFields({ code: 'notFound', message: 'no \u001b[31msuch <b>program' })], [FRAME.pong, Buffer.from('pong')], [FRAME.stdout, Buffer.from('output')], [FRAME.stderr, Buffer.from('errors')],
  [FRAME.exit, encodeFields({ code: 3 })], [FRAME.grant, Uint8Array.of(1, 0, 0, 0)],
];
const NUMBERS = [0, 1, 2, 255, 256, 65_535, MAX_PAYLOAD_BYTES - 1, MAX_PAYLOAD_BYTES, MAX_PAYLOAD_BYTES + 1, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1];
const TEXTS = ['\0', '=', 'pids=', 'pids=9999999999999999\0', 'state=../../etc\0', 'code=256\0', '__proto__=x\0', 'session=1\0'.repeat(300), '{"a":'.repeat(100), '\u001b]0;x\u0007', '\ud800'];

/** A frame of an agent with up to four damages. One of `breaking` has a wrong length, after which nothing can be understood. */
export function damagedFrame(below: Below, breaking: number): Buffer {
  const [type, payload] = SAID[below(SAID.length)]!;
  let bytes = Buffer.from(encodeFrame(type, below(8), payload));
  for (let count = below(5); count > 0; count--) {
    const at = 9 + below(Math.max(1, bytes.length - 9));
    switch (below(7)) {
      case 0: if (at < bytes.length) bytes[at] = below(256); break;
      case 1: if (at + 4 <= bytes.length) bytes.writeUInt32LE(NUMBERS[below(NUMBERS.length)]!, at); break;
      case 2: bytes = bytes.subarray(0, Math.max(9, at)); break;
      case 3: bytes = Buffer.concat([bytes.subarray(0, at), Buffer.from(TEXTS[below(TEXTS.length)]!), bytes.subarray(at)]); break;
      case 4: bytes[4] = below(4) === 0 ? below(256) : 64 + below(9); break;
      case 5: bytes.writeUInt32LE(below(3) === 0 ? NUMBERS[below(NUMBERS.length)]! : below(6), 5); break;
      default: bytes = Buffer.concat([bytes, bytes.subarray(Math.min(at, bytes.length))]);
    }
  }
  bytes.writeUInt32LE(bytes.length - 9, 0);
  if (below(breaking) === 0) bytes.writeUInt32LE(NUMBERS[below(NUMBERS.length)]!, 0);
  return bytes;
}

function refused(work: () => unknown): void {
  try {
    work();
  } catch (error) {
    assert.ok(error instanceof BerthError && error.code !== 'internal' && error.message.length < 1200, String(error));
    // eslint-disable-next-line no-control-regex -- that is what is looked for
    assert.doesNotMatch(error.message, /[\u0000-\u001f\u007f-\u009f]/);
  }
}

/** Each frame cut as chance has it, and whatever comes out given to everything that reads a payload. Answers how many came out. */
export function fuzzReaders(count: number, below: Below): number {
  const sync = Buffer.alloc(SYNC_BYTES, 7);
  const fresh = (): FrameReader => {
    const reader = new FrameReader(sync);
    reader.push(sync);
    return reader;
  };
  let reader = fresh(), understood = 0;
  for (let done = 0; done < count; done++) {
    const bytes = damagedFrame(below, 200);
    const cut = below(bytes.length + 1);
    refused(() => {
      try {
        for (const { payload } of [...reader.push(bytes.subarray(0, cut)), ...reader.push(bytes.subarray(cut))]) {
          understood++;
          refused(() => decodeFields(payload));
          for (const parse of [parseHello, parseExit, parseStats, parseGrant, agentFailure]) if (below(3) === 0) refused(() => parse(payload));
        }
      } catch (error) {
        reader = fresh();
        throw error;
      }
    });
    // One that waits for a payload of a megabyte would understand nothing for long.
    if (done % 100 === 99) reader = fresh();
  }
  return understood;
}

/** Few: many a damage ends the connection, and nothing after it is read. */
const FRAMES_EACH = 50;

/** The same at connections with requests and sessions under way. Answers how many connections were ended for it. */
export async function fuzzLinks(count: number, below: Below): Promise<number> {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-fuzz-'));
  let speak: (socket: net.Socket, sync: Buffer) => void = () => undefined;
  const server = net.createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', (sync: Buffer) => {
      speak(socket, sync.subarray(0, SYNC_BYTES));
      socket.resume();
    });
  });
  const socketPath = path.join(dir, 'agent.sock');
  await new Promise<void>((resolve) => { server.listen(socketPath, resolve); });
  let ended = 0;
  try {
    for (let done = 0; done < count; done += FRAMES_EACH) {
      speak = (socket, sync) => {
        socket.write(sync);
        socket.write(encodeFrame(FRAME.hello, 0, encodeFields({ 'protocol-min': 1, 'protocol-max': 1, agent: '1', state: 'running' })));
        socket.write(Buffer.concat([encodeFrame(FRAME.ok, 1), encodeFrame(FRAME.ok, 2), ...Array.from({ length: FRAMES_EACH }, () => damagedFrame(below, 4000))]));
        socket.end();
      };
      const link = await AgentLink.connect(socketPath, '00'.repeat(16), 20_000).catch((error: unknown) => {
        refused(() => { throw error; });
        ended++;
      });
      if (link === undefined) continue;
      const sessions = [startExec(link, EXEC), startExec(link, { ...EXEC, terminal: true })];
      const asked = [FRAME.stats, FRAME.signal, FRAME.clock].map((type) => link.request(type, {}, 20_000));
      const outcomes = await Promise.allSettled([...sessions.map(async (starting) => {
        const session = await starting;
        void session.write(Buffer.alloc(1000)).catch(() => undefined);
        for await (const _chunk of session.output) if (below(50) === 0) break;
        await session.close();
        return (await session.exit).exitCode;
      }), ...asked]);
      for (const outcome of outcomes) if (outcome.status === 'rejected') refused(() => { throw outcome.reason; });
      const why = await link.over;
      if (why.message !== 'The machine is gone.') ended++;
      refused(() => { throw why; });
    }
  } finally {
    server.close();
    fs.rmSync(dir, { recursive: true });
  }
  return ended;
}

/** Bytes that are really held, after everything that can go went. */
export function heldBytes(): number {
  v8.setFlagsFromString('--expose-gc');
  const collect = vm.runInNewContext('gc') as () => void;
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
