/** What a command loads before it does anything: every millisecond of it is waited for by a person. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { importsOf, repositoryFiles, type SourceFile } from './source-tree.ts';

const withoutTypeImports = (file: SourceFile): SourceFile => ({ ...file, text: file.text.replaceAll(/^(import|export) type [^;]*;$/gm, '') });

/** The decision engine checks what strangers wrote, with zod; only `berth advise` loads it. */
const LOADED_BY_ONE = /^src\/advise\//;

/** Packages and modules of the runtime that are loaded with `start`, each with the file that wants it. */
function outsiders(files: readonly SourceFile[], start: string, followDynamic: boolean): readonly string[] {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const seen = new Set([start]);
  const found: string[] = [];
  for (const path of seen) {
    for (const one of importsOf(withoutTypeImports(byPath.get(path)!))) {
      if (one.dynamic && !followDynamic) continue;
      if (one.target === undefined) found.push(`${one.specifier} by ${path}`);
      else if (one.target.endsWith('.ts') && !LOADED_BY_ONE.test(one.target)) seen.add(one.target);
    }
  }
  return found;
}

for (const start of ['main', 'talk', 'show']) {
  test(`src/cli/${start}.ts loads nothing but our own files: node:net alone would cost more than a command`, async () => {
    assert.deepEqual(outsiders(await repositoryFiles(), `src/cli/${start}.ts`, false), []);
  });
}

test('no command but advise loads zod: what it needs of the model is generated', async () => {
  const all = outsiders(await repositoryFiles(), 'src/cli/main.ts', true);
  assert.ok(all.some((one) => one.startsWith('yaml ')), 'the walk reaches what is loaded late');
  assert.deepEqual(all.filter((one) => one.startsWith('zod ')), []);
});

test('a start that loads more is seen', () => {
  const files = [{ path: 'src/cli/main.ts', text: "import type { A } from 'zod';\nimport { b } from './b.ts';\n" }, { path: 'src/cli/b.ts', text: "import net from 'node:net';\nawait import('./c.ts');\n" }, { path: 'src/cli/c.ts', text: "import * as z from 'zod';\n" }];
  assert.deepEqual(outsiders(files, 'src/cli/main.ts', false), ['node:net by src/cli/b.ts']);
  assert.deepEqual(outsiders(files, 'src/cli/main.ts', true), ['node:net by src/cli/b.ts', 'zod by src/cli/c.ts']);
});
