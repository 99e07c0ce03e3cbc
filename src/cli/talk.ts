/** Commands that talk with a process; loaded together. */
import type { Command } from './command.ts';
import { exec, shell } from './commands/exec.ts';
import { run } from './commands/run.ts';

export const TALK: Readonly<Record<string, Command>> = { run, exec, shell };
