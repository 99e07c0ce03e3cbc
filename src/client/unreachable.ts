/** What a failed connect means, and what to do about it. */
import { BerthError } from '../model/errors.ts';
import type { Endpoint } from './endpoint.ts';

const START = 'Start it with `sudo berth up`, or in the foreground with `berth daemon`; another daemon is chosen with --host or BERTH_HOST.';

export function unreachable(endpoint: Endpoint, error: unknown): BerthError {
  const socket = endpoint.socketPath;
  switch (errnoOf(error)) {
    case 'ENOENT':
      return new BerthError('unavailable', `No daemon answers: there is no socket ${socket}.`, { hint: START, cause: error });
    case 'ECONNREFUSED':
      return new BerthError('unavailable', `The daemon at ${socket} does not run.`, { hint: START, cause: error });
    case 'EACCES':
    case 'EPERM':
      return new BerthError('forbidden', `You may not use the socket ${socket}.`, { hint: 'Is your user in the group `berth`? `sudo usermod -aG berth $USER`, then log in again; or use sudo.', cause: error });
    default:
      return new BerthError('unavailable', `Could not connect to ${socket}: ${error instanceof Error ? error.message : String(error)}`, { hint: START, cause: error });
  }
}

/** The other side went away in the middle of an answer. */
export function connectionLost(cause?: unknown): BerthError {
  return new BerthError('unavailable', 'The daemon closed the connection before its answer was complete.', {
    hint: 'It may be restarting: instances go on, and the same command may succeed in a moment.', ...(cause === undefined ? {} : { cause }),
  });
}

function errnoOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : undefined;
}
