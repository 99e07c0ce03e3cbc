/** Several commands to QEMU's monitor in one conversation, for moments that count: sent at once, answered in order. */
import { BerthError } from '../../../model/errors.ts';
import { printable } from '../../../model/ids.ts';
import { connectUnix } from '../../../host/unix-connect.ts';

const MAX_BYTES = 256 * 1024;

export interface QmpCommand {
  readonly execute: string;
  readonly arguments?: Readonly<Record<string, unknown>>;
}

/** Resolves with the last answer. Errors: `unavailable`, `timeout`, `internal` with QEMU's own words. */
export async function qmpCommands(socketPath: string, commands: readonly QmpCommand[], timeoutMs: number, signal?: AbortSignal): Promise<unknown> {
  const socket = await connectUnix(socketPath).catch((cause: unknown) => {
    throw new BerthError('unavailable', 'The machine does not answer.', { cause });
  });
  const all = [{ execute: 'qmp_capabilities' }, ...commands];
  try {
    return await new Promise((resolve, reject) => {
      const timer = setTimeout(() => { reject(new BerthError('timeout', `QEMU did not answer '${all.at(-1)!.execute}' within ${timeoutMs} ms.`)); }, timeoutMs);
      const abort = (): void => { reject(signal!.reason as Error); };
      signal?.addEventListener('abort', abort, { once: true });
      if (signal?.aborted === true) abort();
      let text = '', bytes = 0, answers = 0;
      socket.setEncoding('utf8');
      socket.on('data', (chunk: string) => {
        bytes += chunk.length;
        if (bytes > MAX_BYTES) reject(new BerthError('unavailable', 'QEMU says more than it should.'));
        text += chunk;
        for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n')) {
          const message = parse(text.slice(0, at));
          text = text.slice(at + 1);
          if (message === undefined) reject(new BerthError('unavailable', 'QEMU answered something that is no JSON.'));
          else if (message.error !== undefined) reject(new BerthError('internal', `QEMU refused '${all[answers]?.execute}': ${printable(message.error.desc)}.`));
          else if (message.return !== undefined && ++answers === all.length) resolve(message.return);
        }
      });
      socket.on('error', (cause) => { reject(new BerthError('unavailable', 'The machine does not answer.', { cause })); });
      socket.on('close', () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', abort);
        reject(new BerthError('unavailable', 'The machine is gone.'));
      });
      socket.write(all.map((command) => `${JSON.stringify(command)}\n`).join(''));
    });
  } finally {
    socket.destroy();
  }
}

function parse(line: string): { readonly return?: unknown; readonly error?: { readonly desc?: unknown } } | undefined {
  try {
    return JSON.parse(line) as { readonly return?: unknown; readonly error?: { readonly desc?: unknown } };
  } catch {
    return undefined;
  }
}
