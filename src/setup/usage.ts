/** How what works without the command line is called: for `--help`, and for the hint of a word that was not known. */

export const USAGE = {
  up: 'berth up [--yes] [--no-estate]',
  down: 'berth down [--all] [--yes] [--root DIR --run DIR]',
  doctor: 'berth doctor [-o table|json]',
  test: 'berth test [--lane fast|all|long] [FILE…]',
} as const;

export type SetupCommand = keyof typeof USAGE;

const PAGES: Readonly<Record<SetupCommand, { readonly does: string; readonly flags: readonly (readonly [string, string])[]; readonly more?: string }>> = {
  up: {
    does: 'Set this machine up and start the daemon.',
    flags: [['-y, --yes', 'Install missing Debian packages without asking.'], ['    --no-estate', 'Without the images and instances of the example estate.']],
    more: 'It may be interrupted and called again: what is done is not done twice.',
  },
  down: {
    does: 'Stop the daemon; instances go on.',
    flags: [
      ['    --all', 'Remove instances, volumes, images, networks and all else that up made.'],
      ['-y, --yes', 'Do not ask before that.'],
      ['    --root DIR', 'The state of a daemon of your own, with --run; /var/lib/berth when missing.'],
      ['    --run DIR', 'Its directory of sockets; /run/berth when missing.'],
    ],
  },
  doctor: { does: 'Check this machine, and say how to mend what is wrong.', flags: [['-o, --output table|json', 'How to write it.']], more: 'Needs no daemon. Ends with 1 when something fails.' },
  test: { does: 'Run the tests.', flags: [['    --lane fast|all|long', 'fast needs no root; all when missing; long takes hours.']], more: 'With files, these alone.' },
};

/** Is help asked for? */
export function wantsHelp(words: readonly string[]): boolean {
  return words.includes('--help') || words.includes('-h');
}

export function helpPage(name: SetupCommand): string {
  const { does, flags, more } = PAGES[name];
  const width = Math.max('-h, --help'.length, ...flags.map(([flag]) => flag.length)) + 2;
  const lines = [...flags, ['-h, --help', 'Show help.'] as const].map(([flag, help]) => `  ${flag.padEnd(width)}${help}`);
  return [does, `Usage: ${USAGE[name]}`, `Flags:\n${lines.join('\n')}`, ...(more === undefined ? [] : [more])].join('\n\n') + '\n';
}
