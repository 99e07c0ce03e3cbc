import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as rules from './code-rules.ts';
import { repositoryFiles, type SourceFile } from './source-tree.ts';

interface Case {
  readonly rule: rules.Rule;
  /** One file each that breaks the rule. */
  readonly breaks: readonly (SourceFile | readonly SourceFile[])[];
}

const file = (path: string, text: string): SourceFile => ({ path, text });
const lines = (count: number): string => 'x;\n'.repeat(count);

const CASES: Readonly<Record<string, Case>> = {
  'no file is longer than a person reads': { rule: rules.fileSizes, breaks: [file('src/lib/long.ts', lines(701)), file('native/long.c', lines(701))] },
  'files are named in kebab-case for what they hold': {
    rule: rules.fileNames,
    breaks: [file('src/lib/camelCase.ts', ''), file('src/lib/string-utils.ts', ''), file('src/lib/common/x.ts', ''), file('src/model/index.ts', ''), file('src/lib/a_b.test.ts', '')],
  },
  'types are erasable and exports have names': {
    rule: rules.declarations,
    breaks: [file('a.ts', 'export enum A { B }'), file('a.ts', 'const enum A { B }'), file('a.ts', 'namespace A {\n}'), file('a.ts', 'export default 1;'), file('a.ts', '@sealed\nclass A {}')],
  },
  'no barrels': { rule: rules.barrels, breaks: [file('src/lib/all.ts', "/** all */\nexport * from './a.ts';\nexport { b } from './b.ts';\n")] },
  'imports name the whole file': { rule: rules.importExtensions, breaks: [file('src/lib/a.ts', "import { x } from './b';")] },
  'no test is skipped without a listed reason': {
    rule: rules.noSkips,
    breaks: [file('a.test.ts', "test.skip('x', () => 1);"), file('a.test.ts', "test('x', { skip: true }, f);"), file('a.test.ts', "test('x', { todo: 'later' }, f);"), file('a.test.ts', "describe.only('x', f);"), file('a.test.ts', "test('x', (t) => { t.skip('no'); });")],
  },
  'no test sleeps': {
    rule: rules.noSleeps,
    breaks: [file('test/e2e/a.test.ts', 'await new Promise((resolve) => setTimeout(resolve, 100));'), file('src/a.test.ts', "import { setTimeout as wait } from 'node:timers/promises';"), file('test/lib/x.ts', 'await new Promise<void>((r) => void setTimeout(r, 5));')],
  },
  'the lock file binds to hashes, not to places': {
    rule: rules.lockFile,
    breaks: [file('package-lock.json', '{"packages":{"node_modules/a":{"resolved":"https://x/a.tgz","integrity":"sha512-x"}}}'), file('package-lock.json', '{"packages":{"node_modules/a":{}}}')],
  },
  'dependencies have one exact version': { rule: rules.exactVersions, breaks: [file('package.json', '{"dependencies":{"a":"^1.2.3"}}'), file('package.json', '{"devDependencies":{"a":"latest"}}')] },
  'every dependency is used': { rule: rules.usedDependencies, breaks: [file('package.json', '{"dependencies":{"left-over":"1.0.0"}}')] },
  'a number names one decision': { rule: rules.numberedDecisions, breaks: [[file('docs/decisions/0001-a.md', ''), file('docs/decisions/0001-b.md', '')]] },
  'every dependency is a recorded decision': { rule: rules.decidedDependencies, breaks: [file('package.json', '{"dependencies":{"nobody-decided":"1.0.0"}}')] },
};

for (const [title, { rule, breaks }] of Object.entries(CASES)) {
  test(title, async () => assert.deepEqual(rule(await repositoryFiles()), []));
  test(`${title}: broken`, () => {
    for (const bad of breaks) assert.equal(rule([bad].flat()).length, 1, JSON.stringify(bad).slice(0, 80));
  });
}

// Put together here, so that the repository does not hold the words itself.
const FORBIDDEN: Readonly<Record<string, readonly string[]>> = {
  'nothing is left unfinished in a comment': ['// TO' + 'DO: later', '/* FIX' + 'ME */'],
  'no path of one machine': ['cd /wo' + 'rk/main', "read('../sha" + "red/x')", '/ho' + 'me/ann/src'],
  'nothing about the tools of its makers': ['made by Cla' + 'ude', 'an L' + 'LM'],
  'no host name of a registry': ['https://index.docker' + '.io/v1/', 'https://registry' + '.npmjs.org/zod'],
};

for (const [title, rule] of Object.entries(rules.TEXT_RULES)) {
  test(title, async () => assert.deepEqual(rule(await repositoryFiles()), []));
  test(`${title}: broken`, () => {
    for (const text of FORBIDDEN[title]!) assert.equal(rule([file('src/a.ts', `first\n${text}`)]).length, 1, text);
  });
}

test('listed exceptions are still needed', async () => {
  const files = await repositoryFiles();
  for (const path of [...Object.keys(rules.LONG_FILES), ...Object.keys(rules.LISTED_SKIPS), ...Object.keys(rules.SLEEPERS), ...rules.TEXT_EXCEPTIONS.map((one) => one.path)]) {
    assert.ok(files.some((one) => one.path === path), `${path} is gone: remove its exception`);
  }
});

test('how long the files are', async (t) => {
  const report = rules.sizeReport(await repositoryFiles());
  t.diagnostic(report);
  assert.match(report, /^\d+ files, median \d+ lines/);
});
