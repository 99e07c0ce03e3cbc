import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { parseDownArguments, refuseForeignDirectory } from './down.ts';

test('the words of down', () => {
  assert.deepEqual(parseDownArguments(['--all', '--yes', '--root', '/a/', '--run=/b']), { all: true, yes: true, place: { root: '/a', run: '/b' }, leaseDir: '/run/berth-leases' });
  assert.deepEqual(parseDownArguments([]).place, { root: '/var/lib/berth', run: '/run/berth' });
  for (const words of [['--root', '/a'], ['--root'], ['--root', 'a', '--run', '/b'], ['--everything']]) assert.throws(() => parseDownArguments(words), { code: 'invalid' }, words.join(' '));
});

test('a directory that no daemon made its root is not removed', (t) => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-down-'));
  t.after(() => fs.rmSync(dir, { recursive: true }));
  const at = (name: string, ...inside: string[]): string => {
    fs.mkdirSync(path.join(dir, name));
    for (const entry of inside) fs.mkdirSync(path.join(dir, name, entry));
    return path.join(dir, name);
  };
  const root = at('root', 'state', 'pool');
  const run = at('run', 'i');
  const home = at('home', 'photos');
  refuseForeignDirectory({ root, run });
  refuseForeignDirectory({ root: path.join(dir, 'gone'), run: path.join(dir, 'gone-too') });
  refuseForeignDirectory({ root: at('empty'), run: at('empty-run') });
  assert.throws(() => refuseForeignDirectory({ root: home, run }), { code: 'invalid' });
  assert.throws(() => refuseForeignDirectory({ root, run: home }), { code: 'invalid' });
  assert.throws(() => refuseForeignDirectory({ root: '/', run }), { code: 'invalid' });
});
