/** start, stop, restart, pause, resume, kill: a verb on each of the named instances. */
import type { CallInput } from '../../client/client.ts';
import type { Command, Flag } from '../command.ts';
import { daemonClient } from '../daemon-client.ts';
import { eachName } from '../each-name.ts';
import { durationValue, signalValue } from '../instance-values.ts';
import { longVerb, NO_WAIT } from '../operation.ts';
import type { Words } from '../words.ts';

const TIME: Flag = { name: 'time', short: 't', value: 'SECONDS', help: 'How long it may take to end before it is killed.', also: ['timeout'] };
const SIGNAL: Flag = { name: 'signal', short: 's', value: 'SIGNAL', help: 'SIGKILL when missing.' };

const LONG: Readonly<Record<string, string>> = { start: 'Start instances.', stop: 'Stop instances.', restart: 'Stop and start instances.' };
const QUICK: Readonly<Record<string, string>> = { pause: 'Freeze instances.', resume: 'Unfreeze instances.', kill: 'Send a signal to instances.' };

/** Prints each name when its verb is done. */
export function lifecycleCommand(name: string): Command {
  const isLong = Object.hasOwn(LONG, name);
  const flags = isLong ? [...(name === 'start' ? [] : [TIME]), NO_WAIT] : name === 'kill' ? [SIGNAL] : [];
  return {
    name,
    summary: (isLong ? LONG[name] : QUICK[name])!,
    usage: `${flags.length === 0 ? '' : '[flags] '}NAME…`,
    flags,
    words: { min: 1 },
    async run(context, words) {
      const client = daemonClient(context);
      const query = queryOf(words);
      return eachName(context, words.words, async (instance) => {
        const input: CallInput = { name: instance, query };
        if (isLong) {
          if ((await longVerb(context, client, `instance.${name as 'start' | 'stop' | 'restart'}`, input, words)) === undefined) return;
        } else await client.call(`instance.${name as 'pause' | 'resume' | 'kill'}`, input);
        await context.stdio.out(`${instance}\n`);
      });
    },
  };
}

function queryOf(words: Words): Readonly<Record<string, string | number>> {
  const time = words.text('time');
  const signal = words.text('signal');
  return {
    ...(time === undefined ? {} : { graceMs: durationValue('time', time) }),
    ...(signal === undefined ? {} : { signal: signalValue('signal', signal) }),
  };
}
