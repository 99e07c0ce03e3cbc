import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { it } from 'node:test';
import { openConsoleSocket } from './console-socket.ts';
import { descriptorOfSocket, sendDescriptor } from './descriptor-message.ts';
import { closeDescriptor, systemError } from './libc.ts';

it('a terminal that comes long after the connection is taken', async () => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-console-'));
  const file = path.join(dir, 'terminal');
  fs.writeFileSync(file, 'the terminal');
  const sent = fs.openSync(file, 'r');
  using console_ = await openConsoleSocket(path.join(dir, 'socket'));
  const runtime = net.connect(console_.path);
  try {
    await once(runtime, 'connect');
    // Within these turns of the loop the listener accepts, looks, and finds nothing.
    for (let turns = 0; turns < 50; turns++) await new Promise((resolve) => setImmediate(resolve));
    sendDescriptor(descriptorOfSocket(runtime), 'x', sent);
    const master = await console_.master;
    assert.equal(fs.readFileSync(master, 'utf8'), 'the terminal');
    closeDescriptor(master);
  } finally {
    runtime.destroy();
    fs.closeSync(sent);
    fs.rmSync(dir, { recursive: true, force: true });
  }
});

it('of an error with two names the one that Node gives it', () => {
  const { EAGAIN, ENOTSUP } = os.constants.errno;
  assert.deepEqual([EAGAIN, ENOTSUP].map((errno) => systemError('call', errno).code), ['EAGAIN', 'ENOTSUP']);
});
