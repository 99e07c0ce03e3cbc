/** Doctor says that a test guards against each known weakness of a tool: that test must exist. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WEAKNESSES, type Weakness } from '../../src/setup/doctor/weaknesses.ts';
import { repositoryFiles, type SourceFile } from './source-tree.ts';

/** A test whose title begins with the case, as in “A08: …” or “A07, A08: …”. */
function unguarded(weaknesses: readonly Weakness[], files: readonly SourceFile[]): readonly string[] {
  const tests = files.filter((file) => file.path.endsWith('.test.ts') && !file.path.startsWith('test/rules/'));
  return weaknesses.filter((one) => {
    const title = new RegExp(`\\b(test|it)\\(\\s*['"\`](?:[^'"\`\\n]*\\W)?${one.guard?.test ?? 'none'}\\b`);
    return one.guard === undefined || !tests.some((file) => title.test(file.text));
  }).map((one) => `${one.tool} ${one.id}: no test ${one.guard?.test ?? ''}`);
}

test('each known weakness of a tool has the test that doctor names', async () => {
  assert.deepEqual(unguarded(WEAKNESSES, await repositoryFiles()), []);
});

test('a weakness without its test is seen', () => {
  const weakness: Weakness = { tool: 'x', id: 'y', fixedIn: '2', what: 'z', guard: { does: 'it', test: 'Z42' } };
  assert.equal(unguarded([weakness], [{ path: 'test/host/a.test.ts', text: '// Z42\ntest("Z4: other", f)' }]).length, 1);
  assert.equal(unguarded([weakness], [{ path: 'test/host/a.test.ts', text: "test('app container Z41, Z42: refused', f)" }]).length, 0);
});
