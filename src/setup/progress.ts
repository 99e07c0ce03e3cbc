/** What a person sees while set-up works: one line for each step as it begins, and one when it took long. */

export interface Progress {
  /** Announces a step, runs it, and says how long it took when that was noticeable. */
  step<T>(title: string, work: () => Promise<T>): Promise<T>;
  /** A line of detail below the step. */
  note(line: string): void;
}

const NOTICEABLE_MS = 1000;

export function printedProgress(write: (text: string) => void = (text) => void process.stderr.write(text)): Progress {
  return {
    async step(title, work) {
      write(`• ${title}\n`);
      const start = performance.now();
      const result = await work();
      const tookMs = performance.now() - start;
      if (tookMs >= NOTICEABLE_MS) write(`  done in ${(tookMs / 1000).toFixed(1)} s\n`);
      return result;
    },
    note(line) {
      write(`  ${line}\n`);
    },
  };
}
