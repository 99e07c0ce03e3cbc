/** `berth version`. Asks no daemon unless told to. */
import type { Command } from '../command.ts';
import { CLI_VERSION } from '../generated/version.ts';

export const version: Command = {
  name: 'version',
  summary: 'Show the version.',
  usage: '[--daemon] [-o json]',
  flags: [
    { name: 'daemon', help: 'Ask the daemon for its version too.' },
    { name: 'output', short: 'o', value: 'text|json', help: 'How to write it.' },
  ],
  words: { min: 0, max: 0 },
  async run(context, words) {
    const client = { version: CLI_VERSION, runtime: (globalThis as { Bun?: unknown }).Bun === undefined ? 'node' : 'bun' };
    const daemon = words.on('daemon') ? await (await import('../cold.ts')).COLD.daemonVersion(context) : undefined;
    if (words.text('output') === 'json') await context.stdio.out(`${JSON.stringify({ client, ...(daemon === undefined ? {} : { daemon }) })}\n`);
    else await context.stdio.out(`berth ${CLI_VERSION}\n${daemon === undefined ? '' : `daemon ${String((daemon as { version?: unknown }).version)}\n`}`);
    return 0;
  },
};
