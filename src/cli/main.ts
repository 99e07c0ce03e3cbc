/** The command line: finds the command, loads it alone, runs it, and ends with the exit code of the error table. */
import { asBerthError, BerthError } from '../model/errors.ts';
import type { Command, Context } from './command.ts';
import { findCommand } from './command-table.ts';
import { openStdio, type Stdio } from './stdio.ts';
import { checkCount, parseWords, type Words } from './words.ts';

/** docker's code for “it was not the command that failed”. */
const NOT_THE_COMMAND = 125;

async function main(argv: readonly string[], stdio: Stdio): Promise<number> {
  let command: Command | undefined;
  let context: Context | undefined;
  try {
    const found = findCommand(argv);
    command = await found.load();
    const words = parseWords(found.rest, command);
    if (words.on('help')) return await (await import('./cold.ts')).COLD.commandHelp(command, stdio);
    checkCount(command, words.words);
    context = contextOf(words, found, stdio);
    return await command.run(context, words);
  } catch (error) {
    const { COLD } = await import('./cold.ts');
    const plain = asBerthError(error, `finish berth ${command?.name ?? argv[0] ?? ''}`);
    const known = context === undefined ? plain : await COLD.withNearestName(plain, context);
    await COLD.printError(known, error, stdio);
    return command?.runsCommand === true || argv[0] === 'run' || argv[0] === 'exec' ? commandExitCode(known) : known.rule.exitCode;
  }
}

/** 126 and 127 when the daemon says that it was the command that could not be started. */
function commandExitCode(error: BerthError): number {
  const code = error.details?.['exitCode'];
  return code === 126 || code === 127 ? code : NOT_THE_COMMAND;
}

function contextOf(words: Words, globals: { readonly host?: string | undefined; readonly project?: string | undefined }, stdio: Stdio): Context {
  const { env } = process;
  return {
    stdio,
    env,
    project: words.text('project') ?? globals.project ?? (env['BERTH_PROJECT'] || 'default'),
    host: words.text('host') ?? globals.host ?? env['BERTH_HOST'],
    tell: (text) => stdio.err(`${text}\n`),
  };
}

void openStdio().then((stdio) => main(process.argv.slice(2), stdio)).then((exitCode) => process.exit(exitCode));
