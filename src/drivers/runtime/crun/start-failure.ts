/** crun's sentences about a command that cannot be run, in our words: 127 not found, 126 found and not runnable. */
import { BerthError } from '../../../model/errors.ts';
import { printable } from '../../../model/ids.ts';
import type { ProcessPlan } from '../driver.ts';

export const NOT_FOUND = 127;
export const NOT_RUNNABLE = 126;

/** undefined: it is about something else. */
export function commandFailure(said: string): typeof NOT_FOUND | typeof NOT_RUNNABLE | undefined {
  // The command's own line feeds are in it.
  const text = said.toLowerCase().replaceAll(/\s/g, ' ');
  if (/executable file .*not found|exec(ve)? .*no such file|open executable: no such file/.test(text)) return NOT_FOUND;
  if (/exists but it is not executable|^the path .* is not a regular file|^cannot open .*: not a directory|open executable|executable file .*permission|exec(ve)?\b.*(permission denied|format error|is a directory)|exec format error|chdir /.test(text)) return NOT_RUNNABLE;
  return undefined;
}

/** clone(2) and fork(2) with EAGAIN: a limit on processes, the unit's own or the host's. */
export const NO_MORE_PROCESSES = /\b(clone|fork)\b.*Resource temporarily unavailable/i;

export function startFailure(error: unknown, { args, cwd }: Pick<ProcessPlan, 'args' | 'cwd'>, pidsLimit?: number): unknown {
  const said = error instanceof BerthError ? error.details?.['said'] : undefined;
  if (typeof said !== 'string') return error;
  if (NO_MORE_PROCESSES.test(said)) {
    const limit = pidsLimit === undefined ? '' : ` (its own limit is ${pidsLimit})`;
    return new BerthError('exhausted', `It could not be started: the kernel allows no further process${limit}.`, { hint: 'Raise --pids-limit; a start alone takes 3. If it is high enough, the host is out of process ids: `berth doctor`.', cause: error, details: { said } });
  }
  if (said.startsWith('chdir ')) {
    return new BerthError('invalid', `The working directory '${printable(cwd)}' cannot be entered.`, { cause: error, details: { exitCode: NOT_RUNNABLE, said } });
  }
  const command = args[0]!;
  switch (commandFailure(said)) {
    case NOT_FOUND:
      return new BerthError('notFound', `The command '${printable(command)}' is not in the image.`, { cause: error, details: { exitCode: NOT_FOUND, said } });
    case NOT_RUNNABLE:
      return new BerthError('invalid', `The command '${printable(command)}' cannot be run: ${printable(said)}`, { cause: error, details: { exitCode: NOT_RUNNABLE, said } });
    default:
      return error;
  }
}
