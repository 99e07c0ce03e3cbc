/** One command to QEMU's monitor (QMP): connect, ask, hang up. A machine's QEMU may be in its guest's hands: bounded, with a deadline. */
import { BerthError } from '../../../model/errors.ts';
import { printable } from '../../../model/ids.ts';
import { connectUnix } from '../../../host/unix-connect.ts';

const TIMEOUT_MS = 5_000;
const MAX_BYTES = 256 * 1024;

interface QmpMessage {
  readonly QMP?: unknown;
  readonly return?: unknown;
  readonly error?: { readonly desc?: unknown };
  readonly event?: unknown;
}

/** Errors: `unavailable`, `timeout`, `internal` with QEMU's own words. */
export async function qmpCommand(socketPath: string, command: string, args: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
  const socket = await connectUnix(socketPath).catch((cause: unknown) => {
    throw new BerthError('unavailable', 'The machine does not answer.', { cause });
  });
  try {
    return await new Promise((resolve, reject) => {
      const timer = setTimeout(() => { reject(new BerthError('timeout', `QEMU did not answer '${command}' within ${TIMEOUT_MS} ms.`)); }, TIMEOUT_MS);
      let text = '', bytes = 0;
      const queue: readonly unknown[] = [{ execute: 'qmp_capabilities' }, { execute: command, arguments: args }];
      let answers = -1;
      const take = (message: QmpMessage): void => {
        if (message.error !== undefined) reject(new BerthError('internal', `QEMU refused '${command}': ${printable(message.error.desc)}.`));
        else if (message.QMP !== undefined || message.return !== undefined) {
          answers += 1;
          if (answers < queue.length) socket.write(`${JSON.stringify(queue[answers])}\n`);
          else resolve(message.return);
        }
      };
      socket.setEncoding('utf8');
      socket.on('data', (chunk: string) => {
        bytes += chunk.length;
        if (bytes > MAX_BYTES) reject(new BerthError('unavailable', 'QEMU says more than it should.'));
        text += chunk;
        for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n')) {
          const line = text.slice(0, at);
          text = text.slice(at + 1);
          try {
            take(JSON.parse(line) as QmpMessage);
          } catch (cause) {
            reject(new BerthError('unavailable', 'QEMU answered something that is no JSON.', { cause }));
          }
        }
      });
      socket.on('error', (cause) => { reject(new BerthError('unavailable', 'The machine does not answer.', { cause })); });
      socket.on('close', () => {
        clearTimeout(timer);
        reject(new BerthError('unavailable', 'The machine is gone.'));
      });
    });
  } finally {
    socket.destroy();
  }
}
