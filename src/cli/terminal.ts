/** The terminal's size and its raw mode: loaded only where there is a terminal. */
import type { TerminalSize } from './stdio.ts';

/** What a shell reports for a process that SIGPIPE ended. */
export const BROKEN_PIPE_EXIT = 141;

export async function terminalSize(): Promise<TerminalSize | undefined> {
  const { WriteStream } = await import('node:tty');
  for (const descriptor of [1, 2]) {
    try {
      const [columns, rows] = new WriteStream(descriptor).getWindowSize();
      if (columns > 0 && rows > 0) return { rows, columns };
    } catch {
      // Not a terminal: the other one may be.
    }
  }
  return undefined;
}

export async function rawTerminal(): Promise<() => void> {
  process.stdin.setRawMode(true);
  const restore = (): void => { process.stdin.setRawMode(false); };
  process.on('exit', restore);
  return () => {
    process.off('exit', restore);
    restore();
  };
}
