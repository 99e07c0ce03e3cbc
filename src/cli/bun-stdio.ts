/** Standard input and output by Bun. */
import type { Stdio } from './stdio.ts';
import { leaveWhenUnread, rawTerminal, terminalSize } from './terminal.ts';

interface BunFile {
  stat(): Promise<{ readonly mode: number; readonly rdev: number }>;
  stream(): ReadableStream<Uint8Array>;
}
declare const Bun: {
  readonly stdin: BunFile;
  readonly stdout: BunFile;
  readonly stderr: BunFile;
  file(descriptor: number): BunFile;
  // Not a file's writer(): that one makes the pipe non-blocking for every process that shares it.
  write(target: BunFile, data: string | Uint8Array): Promise<number>;
};

const FILE_TYPE = 0o170000;
const CHARACTER_DEVICE = 0o020000;
/** Of linux/major.h: /dev/tty, the consoles, serial lines, and the range of pseudo-terminals. */
const isTerminalMajor = (major: number): boolean => major === 4 || major === 5 || major === 204 || (major >= 136 && major <= 143);

function isTerminalFile({ mode, rdev }: { readonly mode: number; readonly rdev: number }): boolean {
  return (mode & FILE_TYPE) === CHARACTER_DEVICE && isTerminalMajor(rdev >> 8 & 0xfff);
}

export function bunStdio(): Stdio {
  const writer = (target: () => BunFile) => {
    let last: Promise<unknown> = Promise.resolve();
    return (data: string | Uint8Array): Promise<void> => {
      // Writing nothing, Bun empties the file behind the descriptor, also one that was opened to be appended to.
      if (data.length === 0) return last.then(() => undefined);
      const written = last.then(() => Bun.write(target(), data)).then(() => undefined, (error: unknown) => {
        leaveWhenUnread(error);
        throw error;
      });
      last = written.catch(() => undefined);
      return written;
    };
  };
  const known = new Map<number, Promise<boolean>>();
  const isTerminal = (descriptor: 0 | 1 | 2): Promise<boolean> => {
    const answer = known.get(descriptor) ?? Bun.file(descriptor).stat().then(isTerminalFile, () => false);
    known.set(descriptor, answer);
    return answer;
  };
  return {
    out: writer(() => Bun.stdout),
    err: writer(() => Bun.stderr),
    async *input() {
      const reader = Bun.stdin.stream().getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        yield value;
      }
    },
    isTerminal,
    size: async () => ((await isTerminal(1)) ? terminalSize() : undefined),
    raw: rawTerminal,
  };
}
