/** What most calls of the command line do not need: loaded together when one of them is called. */
import type { Command, Context } from './command.ts';
import { adviseCommand } from './commands/advise.ts';
import { apply } from './commands/apply.ts';
import { attach, consoleCommand } from './commands/attach.ts';
import { cp } from './commands/cp.ts';
import { create, launch } from './commands/create.ts';
import { debugCommand } from './commands/debug.ts';
import { deleteCommand, rm } from './commands/delete.ts';
import { describe } from './commands/describe.ts';
import { audit, events } from './commands/events.ts';
import { explain } from './commands/explain.ts';
import { get } from './commands/get.ts';
import { kindCommand } from './commands/kind.ts';
import { lifecycleCommand } from './commands/lifecycle.ts';
import { logs } from './commands/logs.ts';
import { rename } from './commands/rename.ts';
import { login, logout } from './commands/login.ts';
import { pullCommand, pullForCommand, pushCommand } from './commands/registry.ts';
import { stats } from './commands/stats.ts';
import { systemCommand } from './commands/system.ts';
import { top } from './commands/top.ts';
import { update } from './commands/update.ts';
import { wait } from './commands/wait.ts';
import { why } from './commands/why.ts';
import { daemonClient } from './daemon-client.ts';
import { commandHelp, help } from './help.ts';
import { withNearestName } from './nearest-name.ts';
import { printError } from './print-error.ts';
import { progressLine } from './progress-line.ts';

const COMMANDS: Readonly<Record<string, Command>> = { apply, attach, console: consoleCommand, cp, create, launch, delete: deleteCommand, rm, describe, audit, events, explain, get, logs, rename, stats, top, update, wait, why, help, login, logout, pull: pullCommand('pull'), push: pushCommand('push') };
const LIFECYCLE = ['start', 'stop', 'restart', 'pause', 'resume', 'kill'];

function command(name: string, verb: string): Command {
  if (LIFECYCLE.includes(name)) return lifecycleCommand(name);
  if (name === 'debug') return debugCommand(verb);
  if (name === 'advise') return adviseCommand(verb);
  if (name === 'system') return systemCommand(verb);
  return COMMANDS[name] ?? kindCommand(name, verb);
}

const daemonVersion = (context: Context): Promise<unknown> => daemonClient(context).path('/v1/version');

export const COLD = { command, commandHelp, daemonVersion, printError, progressLine, pull: pullForCommand, withNearestName } as const;
