/** Asks on a terminal; where there is none, the answer is yes: a script meant what it said. */
import { createInterface } from 'node:readline/promises';

export async function askYes(question: string): Promise<boolean> {
  if (process.stdin.isTTY !== true || process.stderr.isTTY !== true) return true;
  const reader = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = (await reader.question(`${question} [Y/n] `)).trim();
    return answer === '' || /^y(es)?$/i.test(answer);
  } finally {
    reader.close();
  }
}
