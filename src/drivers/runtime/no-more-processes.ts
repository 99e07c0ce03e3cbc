import { BerthError } from '../../model/errors.ts';

/** As a shell's: found, and not started. */
const NOT_STARTED = 126;

/** What an exec is answered when the kernel makes no further process for it, in every form. `limit`: the unit's own, where it is known. */
export function noMoreProcesses(limit?: number, cause?: unknown): BerthError {
  return new BerthError('exhausted', `The command could not be started: no further process is allowed inside${limit === undefined ? '' : ` (its limit is ${limit})`}.`, {
    hint: 'Raise the limit with `berth update NAME --pids-limit N`, or end what runs inside: `berth restart NAME`.', cause, details: { exitCode: NOT_STARTED },
  });
}
