import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseDownArguments } from './down.ts';
import { parseTestArguments } from './test-run.ts';
import { helpPage, USAGE, wantsHelp, type SetupCommand } from './usage.ts';

test('every command of the set-up has a page with its usage and each flag of it', () => {
  for (const [name, usage] of Object.entries(USAGE)) {
    const page = helpPage(name as SetupCommand);
    assert.match(page, /^[A-Z].*\.\n\nUsage: berth /);
    for (const flag of usage.match(/--[a-z-]+/g) ?? []) assert.ok(page.slice(page.indexOf('Flags:')).includes(flag), `${name} ${flag}`);
    assert.match(page, /-h, --help/);
  }
});

test('help is asked for anywhere among the words, and by nothing else', () => {
  assert.equal(wantsHelp(['--all', '-h']), true);
  assert.equal(wantsHelp(['--help']), true);
  assert.equal(wantsHelp(['--all', 'help']), false);
});

test('what is not known is answered with the usage', () => {
  assert.throws(() => parseDownArguments(['--al']), { hint: USAGE.down });
  assert.throws(() => parseTestArguments(['--lanes'], '/'), { hint: USAGE.test });
});
