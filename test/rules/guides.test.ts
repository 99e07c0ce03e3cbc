/** Every command that a guide shows is one that there is, with flags that it has. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { COMMANDS, LAUNCHED } from '../../src/cli/command-table.ts';

const DOCS = path.resolve(import.meta.dirname, '../../docs');

/** Flags by command, as the generated reference has them: `image pull` → --platform … */
function flagsByCommand(): ReadonlyMap<string, ReadonlySet<string>> {
  const sections = fs.readFileSync(path.join(DOCS, 'reference/cli.md'), 'utf8').split(/^## /m).slice(1);
  const flagsOf = (text: string): string[] => [...text.matchAll(/^\| `(?:-\w, )?(--[a-z-]+)|^\| `(-\w), /gm)].flatMap((found) => [found[1], found[2]]).filter((one) => one !== undefined);
  const everywhere = flagsOf(sections.find((section) => section.startsWith('Everywhere'))!);
  return new Map(sections.filter((section) => section.startsWith('berth ')).map((section) => [section.split('\n')[0]!.slice('berth '.length), new Set([...flagsOf(section), ...everywhere, '--help'])]));
}

/** What stands in code, each from `berth` to the end of the command. */
function commandsIn(text: string): readonly string[] {
  const blocks = [...text.matchAll(/^```[a-z]*\n(.*?)^```/gms)].flatMap((found) => found[1]!.replaceAll('\\\n', ' ').split('\n'));
  const spans = [...text.replaceAll(/^```.*?^```/gms, '').matchAll(/`([^`]+)`/g)].map((found) => found[1]!);
  return [...blocks, ...spans].flatMap((code) => code.split(/ [|#] | #|&&|;/)).map((code) => code.trim().replace(/^\$ |^sudo /, '')).filter((code) => /^(\.\/)?berth [a-z]/.test(code)).map((code) => code.replace(/^(\.\/)?berth /, ''));
}

const RUNS_OTHERS = ['run', 'create', 'exec'];

function problemOf(command: string, flags: ReturnType<typeof flagsByCommand>): string | undefined {
  const words = command.split(/\s+/), [first = '', second = ''] = words;
  if (first in LAUNCHED) return undefined;
  const entry = COMMANDS[first];
  if (entry === undefined) return `there is no command '${first}'`;
  const isVerb = entry.verbs?.includes(second) === true;
  if (entry.verbs !== undefined && !isVerb && entry.alone !== true && /^[a-z]+$/.test(second)) return `there is no '${first} ${second}'`;
  const known = flags.get(isVerb ? `${first} ${second}` : first);
  if (known === undefined) return undefined;
  // What follows `--`, or the command that is run inside, is not ours.
  const bare = words.flatMap((word, at) => (word.startsWith('-') ? [] : [at])), inside = RUNS_OTHERS.includes(first) ? bare[2] : undefined;
  const own = words.slice(0, words.includes('--') ? words.indexOf('--') : inside);
  const strange = own.find((word) => /^--[a-z]/.test(word) && !known.has(word.split('=')[0]!));
  return strange === undefined ? undefined : `'${first}' has no ${strange}`;
}

test('commands in guides exist, and have the flags that are shown', () => {
  const flags = flagsByCommand(), guides = fs.readdirSync(path.join(DOCS, 'guide')).filter((name) => name.endsWith('.md'));
  const all = guides.flatMap((name) => commandsIn(fs.readFileSync(path.join(DOCS, 'guide', name), 'utf8')).map((command) => ({ name, command })));
  assert.ok(all.length > 100, `only ${all.length} commands were found`);
  assert.deepEqual(all.flatMap(({ name, command }) => problemOf(command, flags)?.concat(` (${name}: berth ${command})`) ?? []), []);
});

test('commands in guides: broken', () => {
  const flags = flagsByCommand();
  for (const bad of ['berth teleport web1', 'berth image teleport x', 'berth launch --teleport x', 'sudo berth exec --teleport web1 -- ls --all']) {
    assert.deepEqual(commandsIn(`text \`${bad}\` text`).map((command) => problemOf(command, flags) !== undefined), [true], bad);
  }
  for (const good of ['berth exec web1 -- ls --all', 'berth image import - --as web1', 'berth advise estate.yaml -o json']) {
    assert.deepEqual(commandsIn(`\`\`\`sh\n${good}\n\`\`\``).map((command) => problemOf(command, flags)), [undefined], good);
  }
});
