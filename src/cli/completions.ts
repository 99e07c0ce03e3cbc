/** What may stand at the end of a command line. Names come from the daemon; when it is away there are none, quietly. */
import { terminalSafeLine } from '../lib/terminal-safe.ts';
import { shortReference } from '../model/reference.ts';
import { COMMANDS, findCommand, LAUNCHED } from './command-table.ts';
import type { Command, Context, Flag } from './command.ts';
import { daemonClient } from './daemon-client.ts';
import { KIND_TABLE } from './generated/kind-table.ts';
import { GLOBAL_FLAGS } from './words.ts';

/** `line`: the words after `berth`, the last one unfinished. */
export async function completions(line: readonly string[], context: Context): Promise<readonly string[]> {
  const current = line.at(-1) ?? '';
  const before = line.slice(0, -1);
  const all = await candidates(before, current, context).catch(() => []);
  return [...new Set(all)].filter((one) => one.startsWith(current)).toSorted();
}

async function candidates(before: readonly string[], current: string, context: Context): Promise<readonly string[]> {
  if (before.length === 0) return [...Object.keys(COMMANDS), ...Object.keys(LAUNCHED)];
  const entry = Object.hasOwn(COMMANDS, before[0]!) ? COMMANDS[before[0]!]! : undefined;
  if (entry?.verbs !== undefined && before.length === 1 && !(entry.alone === true && current.startsWith('-'))) return entry.verbs;
  if (before[0] === 'help') return Object.keys(COMMANDS);
  const { rest, load } = findCommand(before);
  const command = await load();
  const flags = [...command.flags, ...GLOBAL_FLAGS];
  const { words, open } = walk(rest, command, flags);
  if (open !== undefined) return flagValues(open, context);
  if (current.startsWith('-') && (command.passAfter === undefined || words.length < command.passAfter)) return flags.map((flag) => `--${flag.name}`);
  return wordValues(command, words, context);
}

/** The words so far, and the flag that still waits for its value. */
function walk(rest: readonly string[], command: Command, flags: readonly Flag[]): { readonly words: readonly string[]; readonly open: Flag | undefined } {
  const words: string[] = [];
  for (let at = 0; at < rest.length; at++) {
    const word = rest[at]!;
    if (!word.startsWith('-') || (command.passAfter !== undefined && words.length >= command.passAfter)) {
      words.push(word);
      continue;
    }
    const flag = word.startsWith('--') ? flags.find((one) => `--${one.name}` === word) : flags.find((one) => one.short === word.at(-1));
    if (flag?.value === undefined || flag.valueOptional === true || word.includes('=')) continue;
    if (at + 1 === rest.length) return { words, open: flag };
    at++;
  }
  return { words, open: undefined };
}

async function flagValues(flag: Flag, context: Context): Promise<readonly string[]> {
  if (flag.name === 'network') return ['none', ...(await names('network', context))];
  if (flag.name === 'volume') return (await names('volume', context)).map((name) => `${name}:/`);
  if (flag.name === 'project') return names('project', context);
  if (flag.name === 'image') return names('image', context);
  if (flag.value !== undefined && /^[a-z0-9.-]+(\|[a-z0-9.-]+)+$/.test(flag.value)) return flag.value.split('|');
  return [];
}

const KINDS = (): readonly string[] => Object.values(KIND_TABLE).map((one) => one.singular);

async function wordValues(command: Command, words: readonly string[], context: Context): Promise<readonly string[]> {
  const [first = '', verb] = command.name.split(' ');
  const isFirst = words.length === 0;
  if (command.passAfter !== undefined && words.length >= command.passAfter) return [];
  if (['run', 'create', 'launch'].includes(first)) return isFirst ? names('image', context) : [];
  if (verb !== undefined && first in COMMANDS && COMMANDS[first]!.group === 'kinds') {
    if (['list', 'create', 'import'].includes(verb)) return [];
    return verb === 'bootstrap' ? ['busybox', 'debian:bookworm', 'debian:trixie'] : names(first, context);
  }
  if (first === 'get' || first === 'describe') return isFirst ? KINDS() : words.length === 1 ? names(words[0]!, context) : [];
  if (first === 'explain') return isFirst ? ['states', ...KINDS(), ...(await instanceFields())] : [];
  if (first === 'completion') return ['bash', 'zsh', 'fish'];
  const repeats = command.words.max === undefined;
  return COMMANDS[first]?.group === 'instances' && (isFirst || repeats) ? names('instance', context) : [];
}

async function instanceFields(): Promise<readonly string[]> {
  return (await import('./generated/field-table.ts')).FIELD_TABLE['Instance']!.map((field) => `instance.${field.path}`);
}

async function names(word: string, context: Context): Promise<readonly string[]> {
  const kind = Object.values(KIND_TABLE).find((one) => one.singular === word || one.plural === word);
  if (kind === undefined) return [];
  const { items } = await daemonClient(context).call(`${kind.singular}.list` as 'image.list');
  return items.flatMap((one) => (kind.kind === 'Image' ? one.spec.references.map(shortReference) : [one.meta.name])).map(terminalSafeLine);
}
