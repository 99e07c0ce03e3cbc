/** What works without a daemon: up, down, doctor, test, and the launcher's own `bundle`. */
import { BerthError } from '../model/errors.ts';
import { HOME, PINNED_BUN } from './home.ts';
import { printedProgress } from './progress.ts';
import { helpPage, USAGE, wantsHelp, type SetupCommand } from './usage.ts';

type Command = (words: readonly string[]) => Promise<number>;

/** Loaded one by one: doctor must not wait for what only up needs. */
const COMMANDS: Readonly<Record<string, Command>> = {
  async up(words) {
    const { up } = await import('./up.ts');
    const known = ['--yes', '-y', '--no-estate'];
    const unknown = words.find((word) => !known.includes(word));
    if (unknown !== undefined) throw new BerthError('invalid', `up does not know ${JSON.stringify(unknown)}.`, { hint: USAGE.up });
    await up({ home: HOME, yes: words.includes('--yes') || words.includes('-y'), estate: !words.includes('--no-estate') }, printedProgress(), (text) => void process.stdout.write(text));
    return 0;
  },
  async down(words) {
    const { down, parseDownArguments } = await import('./down.ts');
    await down(parseDownArguments(words), printedProgress());
    return 0;
  },
  async test(words) {
    const { parseTestArguments, runTestLanes } = await import('./test-run.ts');
    return runTestLanes({ home: HOME, ...parseTestArguments(words, process.cwd()) }, printedProgress());
  },
  async doctor(words) {
    const { examine, reportJson, reportText } = await import('./doctor/run-doctor.ts');
    const { hostView } = await import('./doctor/host-view.ts');
    const json = outputFormat(words) === 'json';
    const report = await examine(hostView());
    process.stdout.write(json ? reportJson(report) : reportText(report, process.stdout.isTTY === true && (process.env['NO_COLOR'] ?? '') === ''));
    return report.status === 'fail' ? 1 : 0;
  },
  async bundle(words) {
    const { bundle } = await import('./bundle.ts');
    const [room] = words;
    if (room !== 'cli' && room !== 'daemon') throw new BerthError('invalid', 'bundle takes cli or daemon.');
    // The launcher goes on with the sources when this fails: they say better than a bundler what is wrong with them.
    return bundle(room, { home: HOME, bun: PINNED_BUN }).then(() => 0, () => 1);
  },
};

function outputFormat(words: readonly string[]): 'json' | 'table' {
  const text = words.join(' ');
  if (text === '') return 'table';
  const match = /^(?:-o|--output)[ =]?(json|table)$/.exec(text);
  if (match === null) throw new BerthError('invalid', `doctor does not know ${JSON.stringify(text)}.`, { hint: USAGE.doctor });
  return match[1] as 'json' | 'table';
}

try {
  const [name = '', ...words] = process.argv.slice(2);
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command === undefined) throw new BerthError('invalid', `Unknown command ${JSON.stringify(name)}.`, { hint: 'up, down, doctor, test' });
  if (Object.hasOwn(USAGE, name) && wantsHelp(words)) process.stdout.write(helpPage(name as SetupCommand));
  else process.exitCode = await command(words);
} catch (error) {
  if (!(error instanceof BerthError)) throw error;
  process.stderr.write(`berth: ${error.message}\n${error.hint === undefined ? '' : `  hint: ${error.hint}\n`}`);
  process.exitCode = error.rule.exitCode;
}
