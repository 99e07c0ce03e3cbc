/** What is read of a unit's processes is what they do. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { processEvidence } from '../../src/host/process-evidence.ts';
import { until } from '../lib/until.ts';

const LISTENER = `
const held = Buffer.alloc(48 * 1024 * 1024, 1);
const server = require('node:net').createServer().listen(0, '127.0.0.1', () => console.log(server.address().port));
require('node:child_process').spawn('/bin/sleep', ['100']);
for (const end = Date.now() + 300; Date.now() < end;);
setInterval(() => held.length, 1000);
`;

test('memory, time, processes, users and ports of a tree of processes', async () => {
  const child = spawn(process.execPath, ['-e', LISTENER], { stdio: ['ignore', 'pipe', 'inherit'], detached: true });
  try {
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    const port = Number(line.toString().trim());
    const hasWorked = async (): Promise<boolean> => {
      const now = await processEvidence({ pid: child.pid!, monitorPid: undefined });
      return now !== undefined && now.processes >= 2 && now.cpuSeconds >= 0.05;
    };
    await until(hasWorked, { what: 'a second process that worked' });
    const evidence = (await processEvidence({ pid: child.pid!, monitorPid: process.pid }))!;
    assert.ok(evidence.memoryBytes > 48 * 1024 * 1024 && evidence.memoryBytes < 512 * 1024 * 1024, `${evidence.memoryBytes}`);
    assert.ok(evidence.monitorMemoryBytes > 5 * 1024 * 1024, 'this process is its monitor');
    assert.ok(evidence.listeningPorts.includes(port));
    assert.deepEqual(evidence.uids, [process.getuid!()]);
    assert.equal(evidence.isPartial, false);
  } finally {
    process.kill(-child.pid!, 'SIGKILL');
    await once(child, 'exit');
  }
  assert.equal(await processEvidence({ pid: child.pid!, monitorPid: undefined }), undefined);
});
