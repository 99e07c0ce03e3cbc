/** Standard input and output by Node. */
import fs from 'node:fs';
import tty from 'node:tty';
import { BROKEN_PIPE_EXIT, type Stdio } from './stdio.ts';
import { rawTerminal, terminalSize } from './terminal.ts';

const RETRY_MS = 5;

export function nodeStdio(): Stdio {
  return {
    out: (data) => write(1, data),
    err: (data) => write(2, data),
    async *input() {
      for await (const chunk of process.stdin) yield chunk as Uint8Array;
    },
    isTerminal: async (descriptor) => tty.isatty(descriptor),
    size: async () => (tty.isatty(1) ? terminalSize() : undefined),
    raw: rawTerminal,
  };
}

/** process.stdout would lose what is not written yet when the process exits. */
async function write(descriptor: number, data: string | Uint8Array): Promise<void> {
  let rest = typeof data === 'string' ? Buffer.from(data) : data;
  while (rest.length > 0) {
    try {
      rest = rest.subarray(fs.writeSync(descriptor, rest));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EPIPE') process.exit(BROKEN_PIPE_EXIT);
      // Somebody who shares the pipe made it non-blocking.
      if (code !== 'EAGAIN') throw error;
      await new Promise((resolve) => { setTimeout(resolve, RETRY_MS); });
    }
  }
}
