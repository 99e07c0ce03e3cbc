/** Texts that mean something to a path, a shell, a line of a file, a terminal, a header, a parser, or an option list. */
const LONG = 70_000;
/** Tried everywhere; of the others each place gets a part. */
const ALWAYS = 16;

export const HOSTILE_TEXTS: readonly string[] = [
  '../../../../etc/passwd', 'a\0b', 'a\r\nX-Injected: 1', '\x1b[2J', '-x', ',readonly=off', '%2e%2e%2fetc%2fpasswd', '$(id)', '__proto__', '/proc/self/fd/7', '\ud800', '․․', '', 'constructor', 'a\nb', 'x'.repeat(300),
  ' ', '.', '..', '../x', '/etc/passwd', 'a/../../b', '%2e%2e', '..%00', '\\..\\', 'file:///etc/passwd', 'C:../x',
  'a\tb', '\x1b]52;c;AAAA\x07', '\x7f', '\u0085', '\u009b31m', '\u2028', '\u202e', '\ufeff',
  '--help', '-', '--', '--rsyncable', 'zstd --foo', '-oProxyCommand=id', 'format=raw,file=/etc/shadow', 'fat:rw:/', 'json:{"driver":"file"}', 'a,b=c', 'a:b:c',
  '`id`', '${HOME}', ';id', '|id', "'", '"', '<img src=x onerror=alert(1)>', '{{7*7}}', '*', '~root', '#', '%n%s', '=',
  '１', 'раураl', 'a\u0301', 'ǅ', '💥', 'prototype', 'toString', 'null', 'true', '-1', '0x0', '1e999', '4294967296', ' 0',
  'é'.repeat(LONG), '../'.repeat(2000),
];

/** A part of the texts that differs from place to place; all of them with BERTH_TEST_LONG=1. */
export function hostileTexts(place: number, part = 6): readonly string[] {
  if (process.env['BERTH_TEST_LONG'] === '1') return HOSTILE_TEXTS;
  return HOSTILE_TEXTS.filter((_, at) => at < ALWAYS || at % part === place % part);
}
