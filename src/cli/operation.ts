/** Long verbs from the command line: started, waited for with progress, and asked about again when the daemon restarts. */
import type { Answers } from '../client/answers.ts';
import type { CallInput, Client } from '../client/client.ts';
import { BerthError } from '../model/errors.ts';
import { isFinished, type Operation } from '../model/operation.ts';
import type { Context, Flag } from './command.ts';
import type { ProgressLine } from './progress-line.ts';
import type { Words } from './words.ts';

export const NO_WAIT: Flag = { name: 'no-wait', help: 'Do not wait: print the name of the operation.' };

type LongVerb = { [V in keyof Answers]: Answers[V] extends Operation ? V : never }[keyof Answers];

/** Most verbs are over by then, and then no progress is shown. */
const QUIET_MS = 1500;
/** A daemon that is being replaced answers again within a few seconds. */
const RECONNECT_MS = 30_000;
const RECONNECT_PAUSE_MS = 200;
/** What a shell reports for a process that SIGINT ended. */
export const INTERRUPTED_EXIT = 130;

/**
 * Starts a long verb. Answers the finished operation, or undefined when --no-wait printed its name.
 * @throws BerthError what the operation failed with.
 */
export async function longVerb(context: Context, client: Client, verb: LongVerb, input: CallInput, words: Words): Promise<Operation | undefined> {
  const query = words.on('no-wait') ? input.query : { ...input.query, waitMs: QUIET_MS };
  const operation = (await client.call(verb, { ...input, query })) as Operation;
  if (!words.on('no-wait')) return finish(context, client, operation);
  await context.stdio.out(`${operation.meta.name}\n`);
  return undefined;
}

/**
 * A long verb that ends with the one who waits for it: Ctrl-C takes it back, and the command ends with 130 when that is
 * done; a second one leaves at once.
 */
export async function interruptibleVerb(context: Context, client: Client, verb: LongVerb, input: CallInput, words: Words): Promise<Operation | undefined> {
  if (words.on('no-wait')) return longVerb(context, client, verb, { ...input, idempotencyKey: idempotencyKey() }, words);
  const name = idempotencyKey();
  let interrupts = 0;
  const interrupt = (): void => {
    if (++interrupts > 1) process.exit(INTERRUPTED_EXIT);
    void cancel();
  };
  // Refused when it is over, or has not begun: the one shows below, the other is repeated there.
  const cancel = (): Promise<unknown> => client.call('operation.cancel', { project: client.project, name }).catch(() => undefined);
  const leave = async (): Promise<never> => {
    await context.tell(`berth: ${verb} was cancelled.`);
    return process.exit(INTERRUPTED_EXIT);
  };
  const signals = ['SIGINT', 'SIGTERM'] as const;
  for (const signal of signals) process.on(signal, interrupt);
  try {
    const operation = (await client.call(verb, { ...input, idempotencyKey: name })) as Operation;
    if (interrupts > 0) await cancel();
    const finished = await finish(context, client, operation);
    // Too late to be taken back: what was to follow it does not.
    return interrupts > 0 ? await leave() : finished;
  } catch (error) {
    if (interrupts === 0) throw error;
    return await leave();
  } finally {
    for (const signal of signals) process.off(signal, interrupt);
  }
}

/** Waits for an operation and shows how far it is. */
export async function finish(context: Context, client: Client, started: Operation): Promise<Operation> {
  let operation = started;
  if (!isFinished(operation)) {
    const progress = await (await import('./cold.ts')).COLD.progressLine(context);
    try {
      operation = await follow(client, operation, progress);
    } finally {
      await progress.clear();
    }
  }
  const { error } = operation.status;
  if (error !== undefined) throw new BerthError(error.code, error.message, { hint: error.hint, fields: error.fields, details: error.details });
  if (operation.status.state === 'cancelled') throw new BerthError('wrongState', `${operation.spec.verb} of ${operation.spec.target.name} was cancelled.`);
  return operation;
}

async function follow(client: Client, started: Operation, progress: ProgressLine): Promise<Operation> {
  let last = started;
  let lostAt: number | undefined;
  for (;;) {
    try {
      for await (const value of client.lines('operation.wait', { project: started.meta.project, name: started.meta.name })) {
        last = value as Operation;
        lostAt = undefined;
        if (isFinished(last)) return last;
        await progress.show(last);
      }
    } catch (error) {
      if (!(error instanceof BerthError) || error.code !== 'unavailable') throw error;
      lostAt ??= performance.now();
      if (performance.now() - lostAt > RECONNECT_MS) throw error;
    }
    await new Promise((resolve) => { setTimeout(resolve, RECONNECT_PAUSE_MS); });
  }
}

/** Makes a create that is sent twice happen once; it becomes the name of the operation. */
export function idempotencyKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => (byte % 36).toString(36)).join('');
}
