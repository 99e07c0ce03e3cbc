/** The terminal's size and its raw mode: loaded only where there is a terminal. */
import type { TerminalSize } from './stdio.ts';

/** What a shell reports for a process that SIGPIPE ended. */
const BROKEN_PIPE_EXIT = 141;
/** A pipe says EPIPE, a socket may say ECONNRESET. */
const NOBODY_READS = new Set(['EPIPE', 'ECONNRESET']);

/** Ends the process quietly when the one who read its output is gone. */
export function leaveWhenUnread(error: unknown): void {
  if (NOBODY_READS.has(String((error as { code?: unknown }).code))) process.exit(BROKEN_PIPE_EXIT);
}

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
  // Both runtimes leave one thing on: a line feed becomes two bytes, and a full-screen program's picture falls apart.
  await stty('-opost');
  const restore = (): void => { process.stdin.setRawMode(false); };
  process.on('exit', restore);
  return () => {
    process.off('exit', restore);
    restore();
  };
}

/** Without stty(1) the terminal stays as it is. */
async function stty(setting: string): Promise<void> {
  const { spawn } = await import('node:child_process');
  await new Promise<void>((resolve) => {
    spawn('stty', [setting], { stdio: ['inherit', 'ignore', 'ignore'] }).on('error', () => resolve()).on('close', () => resolve());
  });
}
