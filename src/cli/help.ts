/** Help: the list of commands, and the page of one. */
import type { Command, Flag } from './command.ts';
import { COMMANDS, findCommand, LAUNCHED, loadCommand, type TableEntry } from './command-table.ts';
import { paint } from './paint.ts';
import { referencePage } from './reference-page.ts';
import type { Stdio } from './stdio.ts';
import { GLOBAL_FLAGS } from './words.ts';

const GROUPS: Readonly<Record<TableEntry['group'], string>> = {
  instances: 'Instances', kinds: 'Objects', manifests: 'Manifests', machine: 'This machine', other: 'More',
};

export const help: Command = {
  name: 'help',
  summary: 'Show help for a command.',
  usage: '[COMMAND…]',
  flags: [{ name: 'markdown', help: 'Every command on one page, as Markdown.' }],
  words: { min: 0, max: 2 },
  async run(context, words) {
    if (words.on('markdown')) await context.stdio.out(await referencePage());
    else if (words.words.length === 0) await context.stdio.out(await overview(context.stdio));
    else if (words.words.length === 1 && COMMANDS[words.words[0]!]?.verbs !== undefined && COMMANDS[words.words[0]!]!.alone !== true) await context.stdio.out(await kindOverview(words.words[0]!, context.stdio));
    else return commandHelp(await findCommand(words.words).load(), context.stdio);
    return 0;
  },
};

export async function commandHelp(command: Command, stdio: Stdio): Promise<number> {
  const { bold } = await paint(1, stdio, process.env);
  const parts = [`${command.summary}\n\n${bold('Usage:')} berth ${command.name} ${command.usage}`.trimEnd()];
  if (command.flags.length > 0) parts.push(`${bold('Flags:')}\n${flagLines(command.flags).join('\n')}`);
  parts.push(`${bold('Everywhere:')}\n${flagLines(GLOBAL_FLAGS).join('\n')}`);
  if (command.notes !== undefined) parts.push(command.notes.join('\n'));
  await stdio.out(`${parts.join('\n\n')}\n`);
  return 0;
}

export function flagLines(flags: readonly Flag[]): string[] {
  const left = flags.map(({ name, short, value, valueOptional, repeat }) => `  ${short === undefined ? '    ' : `-${short}, `}--${name}${value === undefined ? '' : valueOptional === true ? `[=${value}]` : ` ${value}`}${repeat === true ? ' …' : ''}`);
  const width = Math.min(40, Math.max(...left.map((one) => one.length)));
  return flags.map((flag, at) => (left[at]!.length > width ? `${left[at]!}\n${' '.repeat(width + 2)}${flag.help}` : `${left[at]!.padEnd(width + 2)}${flag.help}`));
}

async function overview(stdio: Stdio): Promise<string> {
  const { bold } = await paint(1, stdio, process.env);
  const width = 2 + Math.max(...[...Object.keys(COMMANDS), ...Object.keys(LAUNCHED)].map((name) => name.length));
  const line = (name: string, summary: string): string => `  ${name.padEnd(width)}${summary}`;
  const groups = Object.entries(GROUPS).map(([group, title]) => {
    const own = Object.entries(COMMANDS).filter(([, entry]) => entry.group === group).map(([name, entry]) => line(name, entry.summary));
    const launched = group === 'machine' ? Object.entries(LAUNCHED).map(([name, summary]) => line(name, summary)) : [];
    return `${bold(title)}\n${[...own, ...launched].join('\n')}`;
  });
  return `Berth runs app containers, OS containers, microVMs and VMs behind one command.\n\n${bold('Usage:')} berth COMMAND [flags] …\n\n${groups.join('\n\n')}\n\n\`berth help COMMAND\` says more. \`berth run --rm busybox echo hello\` is a first step.\n`;
}

async function kindOverview(name: string, stdio: Stdio): Promise<string> {
  const { bold } = await paint(1, stdio, process.env);
  const entry = COMMANDS[name]!;
  const commands = await Promise.all(entry.verbs!.map((verb) => loadCommand(name, verb)));
  const width = 2 + Math.max(...commands.map((one) => one.name.length));
  return `${entry.summary}\n\n${bold('Commands:')}\n${commands.map((one) => `  berth ${one.name.padEnd(width)}${one.summary}`).join('\n')}\n\n\`berth ${name} VERB --help\` says more.\n`;
}
