/** A verb exists everywhere or nowhere: a route, words on the command line, a page, a test from end to end. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ROUTES } from '../../src/model/routes.ts';
import { VERBS, type VerbName } from '../../src/model/verbs.ts';
import { repositoryFiles, withoutComments, type SourceFile } from './source-tree.ts';

const NAMES = Object.keys(VERBS) as VerbName[];

/** Verbs that no person says, each with what says them. */
const WITHOUT_WORDS: Readonly<Partial<Record<VerbName, string>>> = {
  'advise.estate': 'the command line weighs files by itself, without a daemon',
  'instance.resize': 'sent by exec and attach when the terminal changes its size',
};

/** By its whole name, or put together from a kind and the verb: `${kind}.list`. */
function calls(files: readonly SourceFile[], name: VerbName): boolean {
  const verb = name.slice(name.indexOf('.') + 1);
  const pattern = new RegExp(`['"\`]${name.replace('.', '\\.')}['"\`]|\`\\$\\{[^}]*\\}\\.(${verb}|\\$\\{[^}]*\\})\``);
  return files.some((file) => pattern.test(withoutComments(file.text)));
}

/** The words of a command line in a test: ['image', 'tag', …] or ['stop', …]; `run` and its like make instances, too. */
const SPOKEN: Readonly<Partial<Record<VerbName, RegExp>>> = {
  'instance.create': /'(create|run)'/, 'instance.run': /'run'/, 'instance.get': /'(get|describe)'|instance\(/, 'instance.list': /'(list|ps)'/, 'instance.delete': /'(rm|delete)'/,
  'event.list': /'events'/, 'audit.list': /'audit'/, 'instance.resize': /resize/, 'instance.copyIn': /'cp', here\(/, 'instance.copyOut': /'cp', `/,
};

function isTried(files: readonly SourceFile[], name: VerbName): boolean {
  const [kind, verb] = name.split('.') as [string, string];
  const words = SPOKEN[name] ?? (kind === 'instance' ? new RegExp(`'${verb}'`) : new RegExp(`'${kind}',\\s*'${verb}'`));
  const byUrl = new RegExp(`/${kind}s?/[^'"\`]*/?${verb}\\b`);
  return files.some((file) => words.test(file.text) || file.text.includes(name) || byUrl.test(file.text));
}

const below = (files: readonly SourceFile[], ...prefixes: string[]): readonly SourceFile[] => files.filter((file) => prefixes.some((prefix) => file.path.startsWith(prefix)));

test('every verb has a route, and every route a verb', () => {
  assert.deepEqual(NAMES.filter((name) => !ROUTES.some((route) => route.verb === name)), []);
  assert.deepEqual(ROUTES.filter((route) => !NAMES.includes(route.verb)), []);
});

test('every verb can be said on the command line', async () => {
  const cli = below(await repositoryFiles(), 'src/cli/').filter((file) => !file.path.includes('/generated/'));
  assert.deepEqual(NAMES.filter((name) => WITHOUT_WORDS[name] === undefined && !calls(cli, name)), []);
});

test('every verb is tried from end to end', async () => {
  const tests = below(await repositoryFiles(), 'test/e2e/', 'test/fault/');
  assert.deepEqual(NAMES.filter((name) => !isTried(tests, name)), []);
});

test('a verb that nobody calls or tries is seen', () => {
  const of = (text: string): readonly SourceFile[] => [{ path: 'x.ts', text }];
  assert.ok(calls(of("client.call('image.tag', {})"), 'image.tag') && calls(of('client.call(`${kind.singular}.list`)'), 'volume.list'));
  assert.ok(!calls(of("// 'image.tag'\nclient.call('image.get')"), 'image.tag') && !calls(of('`${kind}.get`'), 'volume.list'));
  assert.ok(isTried(of("berth(['image', 'tag', 'a', 'b'])"), 'image.tag') && isTried(of("berth(['stop', 'a'])"), 'instance.stop'));
  assert.ok(!isTried(of("berth(['image', 'list'])"), 'image.tag') && !isTried(of("berth(['start', 'a'])"), 'instance.stop'));
});
