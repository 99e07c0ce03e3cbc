/** Commands that people and their shells wait for most often; loaded together. */
import type { Command } from './command.ts';
import { completion } from './commands/completion.ts';
import { list, ps } from './commands/list.ts';

export const SHOW: Readonly<Record<string, Command>> = { list, ps, completion };
