import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BerthError } from '../model/errors.ts';
import { COMMANDS, findCommand, loadCommand } from './command-table.ts';
import { parseWords } from './words.ts';

const hintOf = (...argv: string[]): string => {
  try {
    findCommand(argv);
  } catch (error) {
    assert.ok(error instanceof BerthError);
    return `${error.code}: ${error.message} ${error.hint ?? ''}`;
  }
  throw new Error(`${argv.join(' ')} was found`);
};

test('every command of the table is there under its name, with the summary of the table', async () => {
  for (const [name, entry] of Object.entries(COMMANDS)) {
    if (entry.verbs === undefined) {
      const command = await loadCommand(name, '');
      assert.deepEqual([command.name, command.summary], [name, entry.summary]);
    } else for (const verb of entry.verbs) assert.equal((await loadCommand(name, verb)).name, `${name} ${verb}`);
  }
});

test('every flag can be told from the others, and takes --help and --project', async () => {
  for (const [name, { verbs = [''], alone = false }] of Object.entries(COMMANDS)) {
    for (const verb of alone ? ['', ...verbs] : verbs) {
      const command = await loadCommand(name, verb);
      const names = command.flags.flatMap((flag) => [flag.name, ...(flag.also ?? [])]);
      const letters = command.flags.flatMap((flag) => flag.short ?? []);
      assert.equal(new Set(names).size, names.length, command.name);
      assert.equal(new Set(letters).size, letters.length, command.name);
      assert.equal(parseWords(['--project', 'p', '--help'], command).text('project'), 'p');
    }
  }
});

test('words before the command', () => {
  const { host, project, rest } = findCommand(['--host', 'unix:/a', '--project=p', 'list', '-q']);
  assert.deepEqual([host, project, rest], ['unix:/a', 'p', ['-q']]);
});

test('unknown words are answered with the nearest known one', () => {
  assert.match(hintOf('strat'), /invalid: There is no command 'strat'\. Did you mean `berth start`/);
  assert.match(hintOf('images'), /Did you mean `berth image list`/);
  assert.match(hintOf('image', 'lst'), /Did you mean `berth image list`/);
  assert.match(hintOf('doctr'), /Did you mean `berth doctor`/);
  assert.match(hintOf('snapshot'), /^unsupported: .*snapshots come later/);
  assert.match(hintOf('up'), /launcher/);
  assert.match(hintOf('constructor'), /no command 'constructor'/);
});

test('habits of other tools', async () => {
  assert.equal((await findCommand(['volume', 'ls']).load()).name, 'volume list');
  assert.equal((await findCommand(['image', 'rm', 'x']).load()).name, 'image delete');
});
