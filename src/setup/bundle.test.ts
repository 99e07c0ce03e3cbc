import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { run } from '../host/run.ts';
import { bundle, inputsOf, staleFunction } from './bundle.ts';

const bun = path.resolve(import.meta.dirname, '../../node_modules/@oven/bun-linux-x64/bin/bun');
const temporary = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-bundle-'));
after(() => fs.rmSync(temporary, { recursive: true }));

function sources(name: string, text: string): string {
  const home = path.join(temporary, name);
  fs.mkdirSync(path.join(home, 'src/cli'), { recursive: true });
  fs.writeFileSync(path.join(home, 'package-lock.json'), '{}');
  fs.writeFileSync(path.join(home, 'src/cli/main.ts'), text);
  fs.writeFileSync(path.join(home, 'src/cli/lazy.ts'), 'export const word: string = "lazy";');
  return home;
}

async function isStale(home: string): Promise<boolean> {
  return (await run('/bin/sh', ['-c', '. "$0/dist/cli/inputs.sh"; stale "$0"', home], { allowFailure: true })).code === 0;
}

test('a bundle runs, knows its inputs, and is stale when one of them is newer', async () => {
  const home = sources('good', 'const { word } = await import("./lazy.ts"); console.log(word, process.env.NODE_ENV);');
  await bundle('cli', { home, bun });
  assert.equal((await run(process.execPath, [path.join(home, 'dist/cli/main.js')])).stdout, 'lazy production\n');
  assert.equal(await isStale(home), false);
  const later = new Date(Date.now() + 5000);
  fs.utimesSync(path.join(home, 'src/cli/lazy.ts'), later, later);
  assert.equal(await isStale(home), true);
});

test('letters beyond ASCII are the same on both runtimes', async () => {
  const home = sources('letters', 'const word: string = "→ 🚢"; console.log(`${word} …`, /^→ 🚢$/u.test(word), /[–€]/.test("€"));');
  await bundle('cli', { home, bun });
  const main = path.join(home, 'dist/cli/main.js');
  for (const runtime of [process.execPath, bun]) assert.equal((await run(runtime, [main])).stdout, '→ 🚢 … true true\n');
});

test('sources that do not bundle leave the bundle before them in place, and nothing half-made', async () => {
  const home = sources('bad', 'console.log("first");');
  await bundle('cli', { home, bun });
  fs.writeFileSync(path.join(home, 'src/cli/main.ts'), 'const = ;');
  await assert.rejects(bundle('cli', { home, bun }), { code: 'invalid' });
  assert.equal((await run(process.execPath, [path.join(home, 'dist/cli/main.js')])).stdout, 'first\n');
  assert.equal(fs.readdirSync(path.join(home, 'dist')).length, 2);
});

test('a Bun that does not run here is remembered, and forgotten when it does', async () => {
  const home = sources('no-bun', 'console.log(1);');
  await assert.rejects(bundle('cli', { home, bun: '/bin/false' }), { code: 'unavailable' });
  assert.ok(fs.existsSync(path.join(home, 'dist/no-bun')));
  await bundle('cli', { home, bun });
  assert.ok(!fs.existsSync(path.join(home, 'dist/no-bun')));
});

test('libraries are not listed, and a name that the shell would interpret is refused', () => {
  assert.deepEqual(inputsOf('{"inputs":{"src/b.ts":{},"node_modules/zod/index.js":{},"src/a.ts":{}}}'), ['package-lock.json', 'src/a.ts', 'src/b.ts']);
  assert.throws(() => inputsOf('{"inputs":{"src/$(id).ts":{}}}'), { code: 'invalid' });
  assert.match(staleFunction(['src/a.ts'], 'cli'), /\[ "\$1\/src\/a\.ts" -nt "\$made" \]/);
});
