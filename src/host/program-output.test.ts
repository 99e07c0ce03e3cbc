import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { describe, it } from 'node:test';
import { BerthError } from '../model/errors.ts';
import { programOutput } from './program-output.ts';
import { until } from '../../test/lib/until.ts';
import { identify } from './process.ts';

const sh = (script: string, options: Partial<Parameters<typeof programOutput>[2]> = {}) => programOutput('/bin/sh', ['-c', script], { timeoutMs: 10_000, ...options });

async function all(chunks: AsyncIterable<Uint8Array>): Promise<string> {
  const found: Uint8Array[] = [];
  for await (const chunk of chunks) found.push(chunk);
  return Buffer.concat(found).toString();
}

const fails = (code: string, text: RegExp) => (error: unknown) => error instanceof BerthError && error.code === code && text.test(error.message);

describe('programOutput', () => {
  it('gives output and lines apart, in an environment of its own', async () => {
    const lines: string[] = [];
    assert.equal(await all(sh('echo out; echo one >&2; echo "two $HOME$X" >&2', { env: { X: 'x' }, onLine: (line) => lines.push(line) })), 'out\n');
    assert.deepEqual(lines, ['one', 'two x']);
  });

  it('fails with what the program said last', async () => {
    await assert.rejects(all(sh('echo partial; echo why >&2; exit 3')), fails('unavailable', /ended with 3: why/));
    await assert.rejects(all(programOutput('/no/such', [], { timeoutMs: 1000 })), fails('unavailable', /not installed/));
  });

  it('ends the whole group of processes when the reader leaves, on cancel and at the deadline', async () => {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-program-'));
    const pidFile = path.join(dir, 'pid');
    const gone = async () => {
      const pid = Number(fs.readFileSync(pidFile, 'utf8'));
      await until(() => identify(pid) === undefined, { what: 'the end of the grandchild' });
    };
    const script = `sleep 100 & echo $! >${pidFile}; echo ready; wait`;
    try {
      for await (const chunk of sh(script)) { assert.ok(chunk.length > 0); break; }
      await gone();
      const stop = new AbortController();
      await assert.rejects((async () => { for await (const chunk of sh(script, { signal: stop.signal })) { assert.ok(chunk.length > 0); stop.abort(); } })(), fails('wrongState', /cancelled/));
      await gone();
      await assert.rejects(all(sh(script, { timeoutMs: 500 })), fails('timeout', /500 ms/));
      await gone();
    } finally {
      fs.rmSync(dir, { recursive: true });
    }
  });
});
