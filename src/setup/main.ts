/** What works without a daemon: up, down, doctor, test, and the launcher's own `bundle`. */
import { BerthError } from '../model/errors.ts';
import { HOME, PINNED_BUN } from './home.ts';
import { printedProgress } from './progress.ts';

type Command = (words: readonly string[]) => Promise<number>;

/** Loaded one by one: doctor must not wait for what only up needs. */
const COMMANDS: Readonly<Record<string, Command>> = {
  async test(words) {
    const { parseTestArguments, runTestLanes } = await import('./test-run.ts');
    return runTestLanes({ home: HOME, ...parseTestArguments(words, process.cwd()) }, printedProgress());
  },
  async bundle(words) {
    const { bundle } = await import('./bundle.ts');
    const [room] = words;
    if (room !== 'cli' && room !== 'daemon') throw new BerthError('invalid', 'bundle takes cli or daemon.');
    // The launcher goes on with the sources when this fails: they say better than a bundler what is wrong with them.
    return bundle(room, { home: HOME, bun: PINNED_BUN }).then(() => 0, () => 1);
  },
};

try {
  const [name = '', ...words] = process.argv.slice(2);
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command === undefined) throw new BerthError('invalid', `Unknown command ${JSON.stringify(name)}.`, { hint: 'up, down, doctor, test' });
  process.exitCode = await command(words);
} catch (error) {
  if (!(error instanceof BerthError)) throw error;
  process.stderr.write(`berth: ${error.message}\n${error.hint === undefined ? '' : `  hint: ${error.hint}\n`}`);
  process.exitCode = error.rule.exitCode;
}
