/** Commands that take several names go on after a failure, and end with the first one's code. */
import { asBerthError } from '../model/errors.ts';
import type { Context } from './command.ts';
import { withNearestName } from './nearest-name.ts';
import { printError } from './print-error.ts';

export async function eachName(context: Context, names: readonly string[], act: (name: string) => Promise<void>): Promise<number> {
  let exitCode = 0;
  for (const name of names) {
    try {
      await act(name);
    } catch (error) {
      // Alone, it is main's to report.
      if (names.length === 1) throw error;
      const known = await withNearestName(asBerthError(error, `do that with '${name}'`), context);
      await printError(known, error, context.stdio);
      if (exitCode === 0) exitCode = known.rule.exitCode;
    }
  }
  return exitCode;
}
