/** A guest's agent that the test speaks for: the other end of a link is a socket of the test's own. */
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import type { ExecPlan } from '../../src/drivers/runtime/driver.ts';
import { encodeFields, encodeFrame, FRAME, SYNC_BYTES } from '../../src/model/agent-protocol.ts';

export const NONCE = '000102030405060708090a0b0c0d0e0f';
export const HELLO = encodeFields({ 'protocol-min': 1, 'protocol-max': 1, agent: '1', state: 'running' });
export const EXEC: ExecPlan = { args: ['x'], env: [], cwd: '/', user: { uid: 0, gid: 0, additionalGids: [] }, terminal: false, stdin: true, noNewPrivileges: true, capabilities: [] };

export interface Guest {
  readonly socketPath: string;
  /** Frames that the host sent: type and session. */
  readonly heard: (readonly [number, number])[];
  say(bytes: Uint8Array): void;
}

/** Answers the sync word as `greet` says; `answer` makes the reply to each frame. */
export async function guest(t: TestContext, answer: (type: number, session: number) => Uint8Array | undefined = () => undefined, greet: (sync: Buffer) => Uint8Array = (sync) => Buffer.concat([sync, encodeFrame(FRAME.hello, 0, HELLO)])): Promise<Guest> {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-agent-'));
  const heard: (readonly [number, number])[] = [];
  let peer: net.Socket | undefined;
  const server = net.createServer((socket) => {
    peer = socket;
    let data = Buffer.alloc(0), greeted = false;
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => {
      data = Buffer.concat([data, chunk]);
      if (!greeted && data.length >= SYNC_BYTES) {
        greeted = true;
        socket.write(greet(data.subarray(0, SYNC_BYTES)));
        data = data.subarray(SYNC_BYTES);
      }
      while (greeted && data.length >= 9 && data.length >= 9 + data.readUInt32LE(0)) {
        const type = data[4]!, session = data.readUInt32LE(5);
        data = data.subarray(9 + data.readUInt32LE(0));
        heard.push([type, session]);
        const reply = answer(type, session);
        if (reply !== undefined) socket.write(reply);
      }
    });
  });
  const socketPath = path.join(dir, 'agent.sock');
  await new Promise<void>((resolve) => { server.listen(socketPath, resolve); });
  t.after(() => {
    peer?.destroy();
    server.close();
    fs.rmSync(dir, { recursive: true });
  });
  return { socketPath, heard, say: (bytes) => { peer!.write(bytes); } };
}
