/** `berth wait`: until each instance is in one of the states; prints the exit code of each that ended. */
import type { Command } from '../command.ts';
import { daemonClient } from '../daemon-client.ts';
import { eachName } from '../each-name.ts';
import { durationValue } from '../instance-values.ts';

export const wait: Command = {
  name: 'wait',
  summary: 'Wait until instances end, and print their exit codes.',
  usage: '[flags] NAME…',
  flags: [
    { name: 'state', value: 'STATE[,STATE…]', help: 'Wait for one of these states; stopped or failed when missing.', also: ['for'] },
    { name: 'timeout', value: 'DURATION', help: 'Give up after this time (30s, 5m).' },
  ],
  words: { min: 1 },
  async run(context, words) {
    const client = daemonClient(context);
    const state = words.text('state');
    const timeout = words.text('timeout');
    const query = { ...(state === undefined ? {} : { state }), ...(timeout === undefined ? {} : { timeoutMs: durationValue('timeout', timeout) }) };
    return eachName(context, words.words, async (name) => {
      const answer = await client.call('instance.wait', { name, query });
      await context.stdio.out(`${answer.exitCode ?? answer.state}\n`);
    });
  },
};
