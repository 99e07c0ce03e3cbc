/** Calls our own command line, as a person would: the last steps of `up` prove that it works. */
import path from 'node:path';
import { runInForeground } from '../host/foreground.ts';
import { run } from '../host/run.ts';
import { BerthError } from '../model/errors.ts';
import { socketOf, type Place } from './daemon-process.ts';

const LONG_MS = 1_200_000;

export interface BerthCommand {
  /** @throws BerthError with the command's own words when it fails. */
  read(args: readonly string[]): Promise<string>;
  /** Its progress goes on line by line. */
  watch(args: readonly string[], onLine: (line: string) => void): Promise<void>;
}

export function berthCommand(copy: string, place: Place): BerthCommand {
  const program = path.join(copy, 'berth');
  const env = { BERTH_HOST: `unix:${socketOf(place)}`, NO_COLOR: '1' };
  const failed = (args: readonly string[], said: string): BerthError => new BerthError('unavailable', `berth ${args.join(' ')} failed: ${said}`, { hint: 'Run the same command again: what is done already is kept.' });
  return {
    async read(args) {
      const answer = await run(program, args, { env, allowFailure: true, timeoutMs: 60_000, maxOutputBytes: 16 * 1024 * 1024 });
      if (answer.code !== 0) throw failed(args, answer.stderr.trim().slice(-1000));
      return answer.stdout;
    },
    async watch(args, onLine) {
      const tail: string[] = [];
      const code = await runInForeground(program, args, {
        env, timeoutMs: LONG_MS,
        onLine: (line) => {
          tail.push(line);
          if (tail.length > 15) tail.shift();
          onLine(line);
        },
      });
      if (code !== 0) throw failed(args, tail.join('\n').slice(-1500));
    },
  };
}
