import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { peerCredentials, type PeerCredentials } from '../../src/host/peer-credentials.ts';

const CONNECT = 'const a = process.argv[1]; require("node:net").connect(/^\\d+$/.test(a) ? Number(a) : a).on("close", () => process.exit())';

/** Who the kernel says is at the other end, for a client that `prefix` starts. */
async function seen(prefix: readonly string[], listen: string | number): Promise<{ found: PeerCredentials | undefined; pid: number | undefined }> {
  const server = net.createServer();
  if (typeof listen === 'string') server.listen(listen);
  else server.listen(listen, '127.0.0.1');
  await once(server, 'listening');
  if (typeof listen === 'string') chmodSync(listen, 0o666);
  const address = server.address()!;
  const [program, ...rest] = [...prefix, process.execPath, '-e', CONNECT, typeof address === 'string' ? address : String(address.port)];
  const child = spawn(program!, rest, { stdio: 'ignore' });
  const ended = once(child, 'exit');
  const [socket] = await once(server, 'connection') as [net.Socket];
  const found = peerCredentials(socket);
  socket.destroy();
  await ended;
  server.close();
  return { found, pid: child.pid };
}

test('the peer of a unix socket is who connected, whoever that is; over TCP nobody is', async () => {
  const dir = mkdtempSync(path.join(os.tmpdir(), 'berth-peer-'));
  chmodSync(dir, 0o755);
  try {
    const own = await seen([], path.join(dir, 'own'));
    assert.deepEqual(own.found, { pid: own.pid, uid: 0, gid: 0 });
    const user = await seen(['setpriv', '--reuid=12345', '--regid=54321', '--clear-groups', '--'], path.join(dir, 'user'));
    assert.deepEqual({ uid: user.found?.uid, gid: user.found?.gid }, { uid: 12345, gid: 54321 });
    assert.equal((await seen([], 0)).found, undefined);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});
