/** How much was sent, on a terminal: an archive may take a while. */
import { formatBytes } from '../lib/bytes.ts';
import type { Context } from './command.ts';

const SHOW_EVERY_MS = 200;

export async function* withProgress(chunks: AsyncIterable<Uint8Array>, what: string, { stdio }: Pick<Context, 'stdio'>): AsyncGenerator<Uint8Array> {
  if (!(await stdio.isTerminal(2))) {
    yield* chunks;
    return;
  }
  let bytes = 0;
  let shownAt = performance.now();
  let isShown = false;
  try {
    for await (const chunk of chunks) {
      yield chunk;
      bytes += chunk.length;
      if (performance.now() - shownAt < SHOW_EVERY_MS) continue;
      shownAt = performance.now();
      isShown = true;
      await stdio.err(`\r\u001b[K${what}  ${formatBytes(bytes)}`);
    }
  } finally {
    if (isShown) await stdio.err('\r\u001b[K');
  }
}
