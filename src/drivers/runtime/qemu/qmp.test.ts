/** One line to QEMU's monitor: answers belong to what was asked, and nothing is waited for without end. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { qmpCommand, qmpCommands, qmpTalk } from './qmp.ts';

interface Asked {
  readonly execute: string;
  readonly arguments?: { readonly value?: unknown };
}

const LIMIT = { timeout: 30_000 };
const VALUES = [1, 2, 3].map((value) => ({ execute: 'echo', arguments: { value } }));

/** Greets, and says what `answer` makes of each command; undefined: nothing, as a QEMU in its guest's hands. */
async function monitor(t: TestContext, answer: (asked: Asked) => object | string | undefined, greeting: object = { QMP: {} }): Promise<string> {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-qmp-')), socketPath = path.join(dir, 'qmp.sock');
  const open = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    open.add(socket);
    let text = '';
    const say = (said: object | string): void => { socket.write(typeof said === 'string' ? said : `${JSON.stringify(said)}\r\n`); };
    say(greeting);
    socket.on('error', () => undefined);
    socket.on('data', (data) => {
      const lines = (text += data.toString()).split('\n');
      text = lines.pop()!;
      for (const line of lines) {
        const asked = JSON.parse(line) as Asked, said = asked.execute === 'qmp_capabilities' ? { return: {} } : answer(asked);
        if (said !== undefined) say(said);
      }
    });
  });
  await new Promise<void>((resolve) => { server.listen(socketPath, resolve); });
  t.after(() => {
    for (const socket of open) socket.destroy();
    server.close();
    fs.rmSync(dir, { recursive: true });
  });
  return socketPath;
}

const echo = ({ arguments: args }: Asked): object => (args?.value === 2 ? { error: { desc: 'not two' } } : { return: args?.value ?? null });

test('what was sent at once is answered in its order, events between; a refusal is its command’s alone', LIMIT, async (t) => {
  const socketPath = await monitor(t, (asked) => `${JSON.stringify({ event: 'STOP' })}\r\n${JSON.stringify(echo(asked))}\r\n`);
  const answers = await qmpTalk(socketPath, (ask) => Promise.allSettled(VALUES.map((one) => ask(one.execute, one.arguments))));
  assert.deepEqual(answers.map((one) => (one.status === 'fulfilled' ? one.value : (one.reason as Error).message)), [1, "QEMU refused 'echo': not two.", 3]);
  assert.equal(await qmpCommands(socketPath, [VALUES[0]!, VALUES[2]!], 5_000), 3);
  await assert.rejects(qmpCommands(socketPath, VALUES, 5_000), { code: 'internal', message: "QEMU refused 'echo': not two." });
  assert.equal(await qmpCommand(socketPath, 'echo', { value: 4 }), 4);
});

test('who is silent, says what is no JSON, says too much or hangs up is not waited for', LIMIT, async (t) => {
  await assert.rejects(qmpCommands(await monitor(t, () => undefined), VALUES, 50), { code: 'timeout', message: "QEMU did not answer 'echo' within 50 ms." });
  await assert.rejects(qmpCommand(await monitor(t, () => 'no\n'), 'echo'), { code: 'unavailable', message: 'QEMU answered something that is no JSON.' });
  await assert.rejects(qmpCommand(await monitor(t, () => '{'.repeat(300_000)), 'echo'), { code: 'unavailable', message: 'QEMU says more than it should.' });
  await assert.rejects(qmpCommand(path.join(os.tmpdir(), 'berth-no-such.sock'), 'echo'), { code: 'unavailable' });
  await assert.rejects(qmpCommand(await monitor(t, echo, { error: { desc: 'busy' } }), 'echo'), { code: 'internal', message: "QEMU refused 'greeting': busy." });
});

test('a caller who leaves is let go, before and while it is answered', LIMIT, async (t) => {
  const left = new Error('left'), silent = await monitor(t, () => undefined);
  await assert.rejects(qmpCommands(silent, VALUES, 20_000, AbortSignal.abort(left)), left);
  const leaves = new AbortController(), asked = qmpCommands(silent, VALUES, 20_000, leaves.signal);
  setImmediate(() => { leaves.abort(left); });
  await assert.rejects(asked, left);
});
