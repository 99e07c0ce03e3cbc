/** Standard input and output by Node. */
import type { Stdio } from './stdio.ts';
import { leaveWhenUnread, rawTerminal, terminalSize } from './terminal.ts';

const RETRY_MS = 5;

type Fs = Pick<typeof import('node:fs'), 'writeSync'>;

export async function nodeStdio(): Promise<Stdio> {
  // Loaded here: Bun, which bundles this file too, would load them at every start.
  const [fs, tty] = await Promise.all([import('node:fs'), import('node:tty')]);
  return {
    out: (data) => write(fs, 1, data),
    err: (data) => write(fs, 2, data),
    async *input() {
      for await (const chunk of process.stdin) yield chunk as Uint8Array;
    },
    isTerminal: async (descriptor) => tty.isatty(descriptor),
    size: async () => (tty.isatty(1) ? terminalSize() : undefined),
    raw: rawTerminal,
  };
}

/** process.stdout would lose what is not written yet when the process exits. */
async function write(fs: Fs, descriptor: number, data: string | Uint8Array): Promise<void> {
  let rest = typeof data === 'string' ? Buffer.from(data) : data;
  while (rest.length > 0) {
    try {
      rest = rest.subarray(fs.writeSync(descriptor, rest));
    } catch (error) {
      leaveWhenUnread(error);
      // Somebody who shares the pipe made it non-blocking.
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      await new Promise((resolve) => { setTimeout(resolve, RETRY_MS); });
    }
  }
}
