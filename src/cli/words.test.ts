import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BerthError } from '../model/errors.ts';
import { run } from './commands/run.ts';
import { exec } from './commands/exec.ts';
import type { Command } from './command.ts';
import { checkCount, parseWords } from './words.ts';

const parse = (line: string, command: Command = run) => parseWords(line === '' ? [] : line.split(' '), command);

function refusal(work: () => unknown): BerthError {
  try {
    work();
  } catch (error) {
    assert.ok(error instanceof BerthError);
    assert.equal(error.code, 'invalid');
    return error;
  }
  throw new Error('nothing was refused');
}

test('docker’s ways to write flags', () => {
  const ways: readonly (readonly [string, string, readonly string[]])[] = [
    ['-e A=1 -e B=2 busybox', 'env', ['A=1', 'B=2']],
    ['-eA=1 busybox', 'env', ['A=1']],
    ['--env A=1 busybox', 'env', ['A=1']],
    ['--env=A=1 busybox', 'env', ['A=1']],
    ['-it --rm busybox', 'tty', ['true']],
    ['-dit busybox', 'interactive', ['true']],
    ['-itp80:80 busybox', 'publish', ['80:80']],
    ['-itp 80:80 busybox', 'publish', ['80:80']],
    ['-m=1g busybox', 'memory', ['1g']],
    ['--rm=false busybox', 'rm', ['false']],
    ['--rm=1 busybox', 'rm', ['true']],
    ['--net none busybox', 'network', ['none']],
    ['-v -x:/y busybox', 'volume', ['-x:/y']],
  ];
  for (const [line, flag, values] of ways) assert.deepEqual(parse(line).all(flag), values, line);
});

test('what follows the image belongs to the command', () => {
  assert.deepEqual(parse('--rm busybox ls -l --rm -- x').words, ['busybox', 'ls', '-l', '--rm', '--', 'x']);
  assert.deepEqual(parse('-- busybox -x').words, ['busybox', '-x']);
  assert.equal(parse('busybox --help').on('help'), false);
  assert.equal(parse('--help busybox').on('help'), true);
});

test('exec drops one separator and no more', () => {
  assert.deepEqual(parse('web -- ls -- -l', exec).words, ['web', 'ls', '--', '-l']);
  assert.deepEqual(parse('-it web sh -c x', exec).words, ['web', 'sh', '-c', 'x']);
});

test('the last of two values counts', () => {
  const words = parse('--name a --name b --rm --rm=false busybox');
  assert.equal(words.text('name'), 'b');
  assert.equal(words.on('rm'), false);
  assert.equal(words.given('rm'), true);
});

test('flags of every command', () => {
  const words = parse('--host unix:/x --project p busybox');
  assert.deepEqual([words.text('host'), words.text('project')], ['unix:/x', 'p']);
});

test('unknown flags are answered with the nearest known one', () => {
  assert.match(refusal(() => parse('--memroy 1g busybox')).hint!, /Did you mean --memory\?/);
  assert.match(refusal(() => parse('-x busybox')).message, /berth run has no flag -x/);
  assert.match(refusal(() => parse('-rm busybox')).hint!, /Did you mean --rm\?/);
  assert.match(refusal(() => parse('-itX busybox')).message, /-X in -itX/);
});

test('a value that is missing or no boolean is refused', () => {
  assert.match(refusal(() => parse('--name')).message, /--name needs a value/);
  assert.match(refusal(() => parse('--rm=maybe busybox')).message, /neither true nor false/);
});

test('control characters of a word do not reach the message', () => {
  assert.doesNotMatch(refusal(() => parseWords(['--x\u001b[31m'], run)).message, /\u001b/);
});

test('too few and too many words', () => {
  assert.match(refusal(() => checkCount(run, [])).message, /Something is missing: berth run/);
  assert.match(refusal(() => checkCount({ name: 'rename', usage: 'OLD NEW', words: { min: 2, max: 2 } }, ['a', 'b', 'c'])).message, /'c' is too much/);
});
