/** Whether whoever asked is still there. */
import type { Call } from './context.ts';

/** Aborts when the connection closes before the answer is out. The response closes with it; the request, as soon as its body was read. */
export function leftBy({ reply }: Call): AbortSignal {
  const abort = new AbortController();
  reply.raw.on('close', () => { if (!reply.raw.writableEnded) abort.abort(); });
  return abort.signal;
}
