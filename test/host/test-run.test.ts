/** The test run itself ends, whatever a file does. Each case is a run of its own: a run inside a run is none. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';

const runner = path.resolve(import.meta.dirname, '../../src/setup/test-run.ts');
const home = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-run-'));
after(() => fs.rmSync(home, { recursive: true }));

const HEAD = "import { test } from 'node:test'; import { spawn } from 'node:child_process'; import { writeFileSync } from 'node:fs';\n";
/** It goes on in a session of its own, and holds the file's output. */
const LEFT_BEHIND = (pidFile: string) => `const child = spawn('sleep', ['600'], { stdio: 'inherit', detached: true }); child.unref(); writeFileSync(${JSON.stringify(pidFile)}, String(child.pid));\n`;

interface Ran {
  readonly code: number | null;
  readonly said: string;
}

async function runOf(files: Readonly<Record<string, string>>, limits: { testMs: number; fileMs: number; runMs: number }): Promise<Ran> {
  const paths = Object.entries(files).map(([name, text]) => {
    const file = path.join(home, name);
    fs.writeFileSync(file, HEAD + text);
    return file;
  });
  // A file: node:test hands --eval on to the files that it runs.
  const program = path.join(home, 'run.mjs');
  fs.writeFileSync(program, `import { runBounded } from ${JSON.stringify(runner)}; process.exitCode = await runBounded(${JSON.stringify(paths)}, ${JSON.stringify(limits)}, 100);`);
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const child = spawn(process.execPath, [program], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => { said += text; });
  const [code] = await once(child, 'close') as [number | null];
  return { code, said };
}

const LAST_LINE = /duration_ms [\d.]+\s*(✖ failing tests:[^]*)?$/;
const isGone = (pid: number): boolean => !fs.existsSync(`/proc/${pid}`) || /^State:\s+Z/m.test(fs.readFileSync(`/proc/${pid}/status`, 'utf8'));

test('what passes, passes: the limits end nothing that is quick', { timeout: 60_000 }, async () => {
  const { code, said } = await runOf({ 'quick.test.mjs': "test('quick', () => {});" }, { testMs: 20_000, fileMs: 20_000, runMs: 40_000 });
  assert.equal(code, 0);
  assert.match(said, /pass 1\n/);
  assert.doesNotMatch(said, /was ended/);
});

test('a file whose child holds its output is ended with it, and the next one runs', { timeout: 60_000 }, async () => {
  const pidFile = path.join(home, 'left');
  const { code, said } = await runOf({ 'a-hangs.test.mjs': `${LEFT_BEHIND(pidFile)}test('left behind', () => {});`, 'b-next.test.mjs': "test('next', () => {});" }, { testMs: 1000, fileMs: 2000, runMs: 40_000 });
  assert.equal(code, 1, said);
  assert.match(said, /sleep 600 was ended: it took longer than 2 s/);
  assert.match(said, /pass 2\n/);
  assert.match(said, LAST_LINE);
  assert.ok(isGone(Number(fs.readFileSync(pidFile, 'utf8'))));
});

test('a test that never ends fails its file, and the run says so and ends', { timeout: 60_000 }, async () => {
  const { code, said } = await runOf({ 'never.test.mjs': "test('never', async () => { setInterval(() => {}, 1000); await new Promise(() => {}); });" }, { testMs: 500, fileMs: 2000, runMs: 40_000 });
  assert.equal(code, 1);
  assert.match(said, /never\.test\.mjs was ended/);
  assert.match(said, LAST_LINE);
});

test('a run that is overdue ends with its summary, as failed, and leaves nothing running', { timeout: 60_000 }, async () => {
  const pidFile = path.join(home, 'slow');
  const { code, said } = await runOf({ 'slow.test.mjs': `${LEFT_BEHIND(pidFile)}test('slow', async () => { setInterval(() => {}, 1000); await new Promise(() => {}); });` }, { testMs: 50_000, fileMs: 50_000, runMs: 1000 });
  assert.equal(code, 1);
  assert.match(said, /The run was ended: it took longer than 1 s/);
  assert.match(said, LAST_LINE);
  assert.ok(isGone(Number(fs.readFileSync(pidFile, 'utf8'))));
});
