/** QEMU's monitor (QMP): connect, ask, hang up. A machine's QEMU may be in its guest's hands: bounded, with a deadline. */
import { BerthError } from '../../../model/errors.ts';
import { printable } from '../../../model/ids.ts';
import { descriptorOfSocket, sendDescriptor } from '../../../host/descriptor-message.ts';
import { connectUnix } from '../../../host/unix-connect.ts';

const TIMEOUT_MS = 5_000;
const MAX_BYTES = 256 * 1024;

interface QmpMessage {
  readonly QMP?: unknown;
  readonly return?: unknown;
  readonly error?: { readonly desc?: unknown };
  readonly event?: unknown;
}

/** `fd` goes along with the command. Errors: `unavailable`, `timeout`, `internal` with QEMU's own words. */
type QmpAsk = (command: string, args?: Readonly<Record<string, unknown>>, fd?: number) => Promise<unknown>;

export interface QmpCommand {
  readonly execute: string;
  readonly arguments?: Readonly<Record<string, unknown>>;
}

interface Line extends Disposable {
  /** QEMU answers in the order in which it was asked: more than one may be under way. */
  readonly ask: QmpAsk;
  /** Resolves when QEMU has said who it is and takes commands. */
  readonly opened: Promise<unknown>;
}

/** `timeoutMs` is each answer's. */
async function dial(socketPath: string, timeoutMs: number, signal?: AbortSignal): Promise<Line> {
  const socket = await connectUnix(socketPath).catch((cause: unknown) => {
    throw new BerthError('unavailable', 'The machine does not answer.', { cause });
  });
  const asked: { readonly command: string; readonly answer: PromiseWithResolvers<unknown> }[] = [];
  let failed: Error | undefined;
  const fail = (error: Error): void => {
    failed ??= error;
    for (const { answer } of asked.splice(0)) answer.reject(failed);
  };
  const abort = (): void => { fail(signal!.reason as Error); };
  signal?.addEventListener('abort', abort, { once: true });
  if (signal?.aborted === true) abort();
  const take = (message: QmpMessage): void => {
    if (message.error === undefined && message.QMP === undefined && message.return === undefined) return;
    const next = asked.shift();
    if (message.error === undefined) next?.answer.resolve(message.return);
    else next?.answer.reject(new BerthError('internal', `QEMU refused '${next.command}': ${printable(message.error.desc)}.`));
  };
  let text = '', bytes = 0;
  socket.setEncoding('utf8');
  socket.on('data', (chunk: string) => {
    bytes += chunk.length;
    if (bytes > MAX_BYTES) fail(new BerthError('unavailable', 'QEMU says more than it should.'));
    text += chunk;
    for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n')) {
      const line = text.slice(0, at);
      text = text.slice(at + 1);
      try {
        take(JSON.parse(line) as QmpMessage);
      } catch (cause) {
        fail(new BerthError('unavailable', 'QEMU answered something that is no JSON.', { cause }));
      }
    }
  });
  socket.on('error', (cause) => { fail(new BerthError('unavailable', 'The machine does not answer.', { cause })); });
  socket.on('close', () => { fail(new BerthError('unavailable', 'The machine is gone.')); });
  const heard = async (command: string, say: () => void): Promise<unknown> => {
    if (failed !== undefined) throw failed;
    const answer = Promise.withResolvers<unknown>();
    asked.push({ command, answer });
    const timer = setTimeout(() => { fail(new BerthError('timeout', `QEMU did not answer '${command}' within ${timeoutMs} ms.`)); }, timeoutMs);
    try {
      say();
      return await answer.promise;
    } finally {
      clearTimeout(timer);
    }
  };
  const ask: QmpAsk = (command, args = {}, fd) => heard(command, () => {
    const line = `${JSON.stringify({ execute: command, arguments: args })}\n`;
    if (fd === undefined) socket.write(line);
    else sendDescriptor(descriptorOfSocket(socket), line, fd);
  });
  return {
    ask, opened: Promise.all([heard('greeting', () => undefined), ask('qmp_capabilities')]),
    [Symbol.dispose]() {
      signal?.removeEventListener('abort', abort);
      socket.destroy();
    },
  };
}

/** QEMU talks to one at a time. */
export async function qmpTalk<T>(socketPath: string, work: (ask: QmpAsk) => Promise<T>): Promise<T> {
  using line = await dial(socketPath, TIMEOUT_MS);
  await line.opened;
  return await work(line.ask);
}

export function qmpCommand(socketPath: string, command: string, args: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
  return qmpTalk(socketPath, (ask) => ask(command, args));
}

/** Several for moments that count: sent at once. Resolves with the last answer. Errors: those of each. */
export async function qmpCommands(socketPath: string, commands: readonly QmpCommand[], timeoutMs: number, signal?: AbortSignal): Promise<unknown> {
  using line = await dial(socketPath, timeoutMs, signal);
  const answers = await Promise.all([line.opened, ...commands.map((command) => line.ask(command.execute, command.arguments))]);
  return answers.at(-1);
}
