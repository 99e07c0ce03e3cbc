/** `berth logs`: what the instance wrote, to the same of our two outputs. */
import { decodedFrames } from '../../client/frame-stream.ts';
import { FRAME } from '../../lib/frames.ts';
import { terminalSafe } from '../../lib/terminal-safe.ts';
import type { Command, Context } from '../command.ts';
import { daemonClient } from '../daemon-client.ts';
import { integerValue, refuse } from '../instance-values.ts';
import type { Words } from '../words.ts';

export const logs: Command = {
  name: 'logs',
  summary: 'Show the output of an instance.',
  usage: '[flags] NAME',
  flags: [
    { name: 'follow', short: 'f', help: 'Go on as it is written.' },
    { name: 'tail', short: 'n', value: 'LINES|all', help: 'Only the last lines.' },
    { name: 'timestamps', short: 't', help: 'Begin each line with its time.' },
    { name: 'since', value: 'TIME', help: 'Only what is newer: 10m, 2026-01-31T12:00:00Z or seconds since 1970.' },
    { name: 'raw', help: 'Pass control characters on to the terminal.' },
  ],
  words: { min: 1, max: 1 },
  async run(context, words) {
    const response = await daemonClient(context).open('instance.logs', { name: words.words[0]!, query: queryOf(words) });
    try {
      const [outFilter, errFilter] = await Promise.all([filterOf(1, context, words), filterOf(2, context, words)]);
      for await (const { type, payload } of decodedFrames(response)) {
        if (type === FRAME.stdout) await context.stdio.out(outFilter(payload));
        else if (type === FRAME.stderr) await context.stdio.err(errFilter(payload));
      }
    } finally {
      response.connection.close();
    }
    return 0;
  },
};

function queryOf(words: Words): Readonly<Record<string, string | number>> {
  const tail = words.text('tail');
  const since = words.text('since');
  if (tail !== undefined && tail !== 'all' && integerValue('tail', tail) < 0) refuse('tail', tail, 'not a number of lines');
  return {
    ...(words.on('follow') ? { follow: 1 } : {}), ...(words.on('timestamps') ? { timestamps: 1 } : {}),
    ...(tail === undefined || tail === 'all' ? {} : { tail: Number(tail) }), ...(since === undefined ? {} : { since }),
  };
}

/** Old output may say anything; it must not do anything with the terminal of whoever reads it. */
async function filterOf(descriptor: 1 | 2, { stdio }: Context, words: Words): Promise<(payload: Uint8Array) => Uint8Array | string> {
  if (words.on('raw') || !(await stdio.isTerminal(descriptor))) return (payload) => payload;
  const decoder = new TextDecoder();
  return (payload) => terminalSafe(decoder.decode(payload, { stream: true }));
}
