/** Flags and words of a command line, after the habits of docker: `-it`, `-eA=1`, `-p 80:80`, `--name=x`, `--rm=false`, `--`. */
import { nearest } from '../lib/nearest.ts';
import { BerthError } from '../model/errors.ts';
import { printable } from '../model/ids.ts';
import type { Command, Flag } from './command.ts';

export interface Words {
  /** What is not a flag. */
  readonly words: readonly string[];
  /** The flag's last value; undefined when it was not given. */
  text(flag: string): string | undefined;
  /** All its values in their order. */
  all(flag: string): readonly string[];
  on(flag: string): boolean;
  given(flag: string): boolean;
}

/** Accepted by every command, before and after its name. */
export const GLOBAL_FLAGS: readonly Flag[] = [
  { name: 'host', value: 'ADDRESS', help: 'The daemon to ask: unix:/path/to/berth.sock (BERTH_HOST).' },
  { name: 'project', value: 'NAME', help: 'The project to work in (BERTH_PROJECT; `default`).' },
  { name: 'help', short: 'h', help: 'Show help.' },
];

type Grammar = Pick<Command, 'name' | 'flags' | 'passAfter' | 'dropSeparator'>;

/** @throws BerthError `invalid` for unknown flags, with the nearest known one. */
export function parseWords(argv: readonly string[], command: Grammar): Words {
  const flags = [...command.flags, ...GLOBAL_FLAGS.filter((one) => command.flags.every((own) => own.name !== one.name))];
  const values = new Map<string, string[]>();
  const words: string[] = [];
  const add = (flag: Flag, value: string): void => {
    const there = values.get(flag.name);
    if (there === undefined) values.set(flag.name, [value]);
    else there.push(value);
  };
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at]!;
    const pass = command.passAfter !== undefined && words.length >= command.passAfter;
    if (word === '--' && (!pass || (command.dropSeparator === true && words.length === command.passAfter))) {
      words.push(...argv.slice(at + 1));
      break;
    }
    if (pass || word === '-' || !word.startsWith('-')) {
      words.push(word);
      continue;
    }
    const next = (flag: Flag): string => {
      const value = argv[++at];
      if (value === undefined) throw new BerthError('invalid', `--${flag.name} needs a value: ${flag.value}.`, { hint: helpHint(command) });
      return value;
    };
    if (word.startsWith('--')) longFlag(word, flags, command, add, next);
    else shortFlags(word, flags, command, add, next);
  }
  return {
    words,
    text: (flag) => values.get(flag)?.at(-1),
    all: (flag) => values.get(flag) ?? [],
    on: (flag) => values.get(flag)?.at(-1) === 'true',
    given: (flag) => values.has(flag),
  };
}

type Add = (flag: Flag, value: string) => void;
type Next = (flag: Flag) => string;

function longFlag(word: string, flags: readonly Flag[], command: Grammar, add: Add, next: Next): void {
  const equals = word.indexOf('=');
  const name = equals < 0 ? word.slice(2) : word.slice(2, equals);
  const flag = flags.find((one) => one.name === name || one.also?.includes(name));
  if (flag === undefined) throw unknownFlag(`--${name}`, nearest(name, flags.map((one) => one.name)), command);
  if (flag.valueOptional === true) return add(flag, equals < 0 ? 'true' : word.slice(equals + 1));
  if (flag.value !== undefined) return add(flag, equals < 0 ? next(flag) : word.slice(equals + 1));
  add(flag, equals < 0 ? 'true' : booleanText(flag, word.slice(equals + 1)));
}

function booleanText(flag: Flag, text: string): string {
  if (/^(true|1|t|yes)$/i.test(text)) return 'true';
  if (/^(false|0|f|no)$/i.test(text)) return 'false';
  throw new BerthError('invalid', `--${flag.name} is on or off: '${printable(text)}' is neither true nor false.`);
}

/** `-it`, `-p80:80`, `-e A=1`, `-m=1g`. */
function shortFlags(word: string, flags: readonly Flag[], command: Grammar, add: Add, next: Next): void {
  for (let at = 1; at < word.length; at++) {
    const letter = word[at]!;
    const flag = flags.find((one) => one.short === letter);
    if (flag === undefined) {
      const long = nearest(word.slice(1), flags.map((one) => one.name));
      throw unknownFlag(word.length === 2 ? word : `-${letter} in ${word}`, word.length > 2 ? long : undefined, command);
    }
    const rest = word.slice(at + 1);
    if (flag.value === undefined) {
      if (rest.startsWith('=')) return add(flag, booleanText(flag, rest.slice(1)));
      add(flag, 'true');
    } else return add(flag, rest === '' ? next(flag) : rest.replace(/^=/, ''));
  }
}

function unknownFlag(written: string, meant: string | undefined, command: Grammar): BerthError {
  return new BerthError('invalid', `berth ${command.name} has no flag ${printable(written)}.`, {
    hint: meant === undefined ? helpHint(command) : `Did you mean --${meant}? ${helpHint(command)}`,
  });
}

function helpHint(command: Pick<Command, 'name'>): string {
  return `\`berth ${command.name} --help\` lists the flags.`;
}

export function checkCount(command: Pick<Command, 'name' | 'usage' | 'words'>, words: readonly string[]): void {
  const { min, max = Infinity } = command.words;
  if (words.length >= min && words.length <= max) return;
  const problem = words.length < min ? 'Something is missing' : `'${printable(words[max]!)}' is too much`;
  throw new BerthError('invalid', `${problem}: berth ${command.name} ${command.usage}`.trimEnd(), { hint: helpHint(command) });
}
