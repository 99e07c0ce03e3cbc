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
export type QmpAsk = (command: string, args?: Readonly<Record<string, unknown>>, fd?: number) => Promise<unknown>;

/** One command after the other; QEMU talks to one at a time. */
export async function qmpTalk<T>(socketPath: string, work: (ask: QmpAsk) => Promise<T>): Promise<T> {
  const socket = await connectUnix(socketPath).catch((cause: unknown) => {
    throw new BerthError('unavailable', 'The machine does not answer.', { cause });
  });
  let asked: { readonly command: string; readonly answer: PromiseWithResolvers<unknown> } | undefined;
  let failed: BerthError | undefined;
  const fail = (error: BerthError): void => {
    failed ??= error;
    asked?.answer.reject(failed);
  };
  const take = (message: QmpMessage): void => {
    if (message.error !== undefined) asked?.answer.reject(new BerthError('internal', `QEMU refused '${asked.command}': ${printable(message.error.desc)}.`));
    else if (message.QMP !== undefined || message.return !== undefined) asked?.answer.resolve(message.return);
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
    asked = { command, answer };
    const timer = setTimeout(() => { fail(new BerthError('timeout', `QEMU did not answer '${command}' within ${TIMEOUT_MS} ms.`)); }, TIMEOUT_MS);
    try {
      say();
      return await answer.promise;
    } finally {
      clearTimeout(timer);
      asked = undefined;
    }
  };
  const ask: QmpAsk = (command, args = {}, fd) => heard(command, () => {
    const line = `${JSON.stringify({ execute: command, arguments: args })}\n`;
    if (fd === undefined) socket.write(line);
    else sendDescriptor(descriptorOfSocket(socket), line, fd);
  });
  try {
    await heard('greeting', () => undefined);
    await ask('qmp_capabilities');
    return await work(ask);
  } finally {
    socket.destroy();
  }
}

export function qmpCommand(socketPath: string, command: string, args: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
  return qmpTalk(socketPath, (ask) => ask(command, args));
}
