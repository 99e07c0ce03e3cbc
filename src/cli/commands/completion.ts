/** `berth completion SHELL` prints a script; the script calls `berth completion words -- …` for each tab. */
import { BerthError } from '../../model/errors.ts';
import type { Command } from '../command.ts';
import { SCRIPTS } from '../completion-scripts.ts';
import { completions } from '../completions.ts';

const SHELLS = ['bash', 'zsh', 'fish'];

export const completion: Command = {
  name: 'completion',
  summary: 'Print a completion script for bash, zsh or fish.',
  usage: 'bash|zsh|fish',
  flags: [],
  words: { min: 1 },
  passAfter: 1,
  dropSeparator: true,
  notes: ['bash: berth completion bash > /etc/bash_completion.d/berth', 'zsh:  berth completion zsh > "${fpath[1]}/_berth"', 'fish: berth completion fish > ~/.config/fish/completions/berth.fish'],
  async run(context, words) {
    const [shell = '', ...line] = words.words;
    if (shell === 'words') {
      await context.stdio.out((await completions(line, context)).map((one) => `${one}\n`).join(''));
      return 0;
    }
    if (!SHELLS.includes(shell)) throw new BerthError('invalid', `There is no completion for '${shell}'.`, { hint: `There are ${SHELLS.join(', ')}.` });
    await context.stdio.out(SCRIPTS[shell]!);
    return 0;
  },
};
