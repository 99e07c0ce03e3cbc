/** The client that a command asks: of the daemon and the project that the command line names. */
import { Client } from '../client/client.ts';
import type { Context } from './command.ts';

export function daemonClient({ host, project }: Pick<Context, 'host' | 'project'>): Client {
  return new Client({ host, project });
}
