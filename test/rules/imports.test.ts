import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IMPORT_EXCEPTIONS, importViolations } from './import-table.ts';
import { importsOf, repositoryFiles } from './source-tree.ts';

test('every room imports only what the import table allows', async () => {
  assert.deepEqual(importViolations(await repositoryFiles()), []);
});

test('every exception of the import table is still needed', async () => {
  const files = await repositoryFiles();
  for (const exception of IMPORT_EXCEPTIONS) {
    const without = importViolations(files, IMPORT_EXCEPTIONS.filter((one) => one !== exception));
    assert.notDeepEqual(without, importViolations(files), `${exception.file} → ${exception.target} needs no exception any more`);
  }
});

const REFUSED: Readonly<Record<string, readonly [path: string, text: string]>> = {
  'lib imports ours': ['src/lib/a.ts', "import { x } from '../model/errors.ts';"],
  'model imports host': ['src/model/a.ts', "import type { X } from '../host/run.ts';"],
  'host imports the model': ['src/host/a.ts', "import { x } from '../model/instance.ts';"],
  'control imports host': ['src/control/instance/a.ts', "const x = await import('../../host/run.ts');"],
  'control imports an implementation': ['src/control/a.ts', "import { x } from '../drivers/store/sqlite/store.ts';"],
  'a driver imports another technology': ['src/drivers/runtime/qemu/a.ts', "import { x } from '../crun/spec.ts';"],
  'a driver imports control': ['src/drivers/runtime/qemu/a.ts', "export { x } from '../../../control/locks.ts';"],
  'a contract imports host': ['src/drivers/runtime/driver.ts', "import { x } from '../../host/run.ts';"],
  'client imports control': ['src/client/a.ts', "import {\n  x,\n  y,\n} from '../control/locks.ts';"],
  'setup imports a driver': ['src/setup/a.ts', "import { x } from '../drivers/runtime/driver.ts';"],
  'cli imports advise at start': ['src/cli/a.ts', "import { x } from '../advise/score.ts';"],
  'api spawns': ['src/api/a.ts', "import { spawn } from 'node:child_process';"],
  'daemon spawns': ['src/daemon/a.ts', "import { spawn } from 'node:child_process';"],
  'a driver loads koffi': ['src/drivers/network/bridge/a.ts', "import koffi from 'koffi';"],
  'model imports a package': ['src/model/a.ts', "import fastify from 'fastify';"],
  'a computed import': ['src/cli/a.ts', 'const x = await import(name);'],
  'no room': ['src/stuff/a.ts', "import { x } from '../lib/a.ts';"],
  'a control test with root': ['src/control/a.test.ts', "import { x } from '../host/run.ts';"],
  'a worker of another room': ['src/control/a.ts', "new Worker(new URL('../host/x.ts', import.meta.url));"],
};

for (const [what, [file, text]] of Object.entries(REFUSED)) {
  test(`refused: ${what}`, () => assert.equal(importViolations([{ path: file, text }]).length, 1));
}

test('allowed: what the table names, and words in comments', () => {
  assert.deepEqual(importViolations([
    { path: 'src/control/a.ts', text: "import type { R } from '../drivers/runtime/driver.ts';\nimport { B } from '../model/errors.ts';\n// import x from '../host/run.ts';" },
    { path: 'src/drivers/runtime/crun/a.ts', text: "import { run } from '../../../host/run.ts';\nimport fs from 'node:fs';\nimport './b.ts';" },
    { path: 'src/cli/a.ts', text: "const { x } = await import('../advise/score.ts');" },
    { path: 'src/daemon/a.ts', text: "import { x } from '../drivers/store/sqlite/store.ts';\nimport pino from 'pino';" },
  ]), []);
});

test('imports are found in every spelling', () => {
  const text = "import a from 'a';import * as b from \"b\";\nimport { type c,\n  d } from './c.ts';\nexport * from './d.ts';\nimport './e.ts';\nimport type { F } from './f.ts';\nconst g = () => import('./g.ts');";
  assert.deepEqual(importsOf({ path: 'src/x/y.ts', text }).map((one) => one.specifier), ['a', 'b', './c.ts', './d.ts', './e.ts', './f.ts', './g.ts']);
});
