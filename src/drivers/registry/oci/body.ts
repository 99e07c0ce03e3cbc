/** Bodies of answers, read with a pace and a bound. Time that the reader takes for itself does not count. */
import type { IncomingMessage } from 'node:http';
import { BerthError } from '../../../model/errors.ts';
import { PassingFailure } from './passing-failure.ts';
import type { Pace } from './rules.ts';

/** Small rests are read, so that the connection can be used again; who has more to say is cut off. */
const DISCARD_BYTES = 64 * 1024;

export function cancelled(signal: AbortSignal | undefined): BerthError {
  return new BerthError('wrongState', 'It was cancelled.', { cause: signal?.reason });
}

/** Ends with an error (a {@link PassingFailure}) when the connection is cut or too slow. Closes the body when it is left early. */
export async function* paced(body: IncomingMessage, pace: Pace, signal: AbortSignal | undefined): AsyncGenerator<Buffer> {
  let waitedMs = 0;
  let bytes = 0;
  let failure: Error | undefined;
  const onError = (error: Error): void => void (failure = error);
  body.on('error', onError);
  try {
    for (;;) {
      if (signal?.aborted === true) throw cancelled(signal);
      const chunk = body.read() as Buffer | null;
      if (chunk !== null) {
        bytes += chunk.length;
        yield chunk;
        continue;
      }
      if (body.readableEnded && body.complete) return;
      if (failure !== undefined || body.destroyed || body.readableEnded) throw new PassingFailure(new BerthError('unavailable', 'The registry cut the connection.', { cause: failure }));
      const before = performance.now();
      if (!(await somethingNew(body, pace.idleMs))) throw tooSlow(`no byte came for ${pace.idleMs / 1000} s`);
      waitedMs += performance.now() - before;
      if (waitedMs < pace.windowMs) continue;
      if (bytes * 1000 < pace.minBytesPerSecond * waitedMs) throw tooSlow(`${bytes} bytes came in ${Math.round(waitedMs / 1000)} s`);
      waitedMs = 0;
      bytes = 0;
    }
  } finally {
    if (!body.complete) body.destroy();
    body.off('error', onError);
    body.on('error', () => undefined);
  }
}

function tooSlow(what: string): PassingFailure {
  return new PassingFailure(new BerthError('timeout', `The registry sends too slowly: ${what}.`, { hint: 'Try again: what came so far is kept.' }), { slow: true });
}

/** False when nothing happened in time. */
function somethingNew(body: IncomingMessage, idleMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const events = ['readable', 'end', 'error', 'close', 'aborted'] as const;
    const done = (inTime: boolean): void => {
      clearTimeout(timer);
      for (const event of events) body.off(event, came);
      resolve(inTime);
    };
    const came = (): void => done(true);
    const timer = setTimeout(() => done(false), idleMs);
    for (const event of events) body.on(event, came);
  });
}

/** `invalid` beyond `maxBytes`. */
export async function whole(body: IncomingMessage, maxBytes: number, what: string, pace: Pace, signal: AbortSignal | undefined): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of paced(body, pace, signal)) {
    length += chunk.length;
    if (length > maxBytes) throw new BerthError('invalid', `The registry sent ${what} of more than ${maxBytes} bytes.`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

export function discard(body: IncomingMessage): void {
  body.on('error', () => undefined);
  const length = Number(body.headers['content-length'] ?? Number.NaN);
  const { req } = body as IncomingMessage & { readonly req?: { readonly method?: string } };
  if (length <= DISCARD_BYTES || req?.method === 'HEAD') body.resume();
  else body.destroy();
}
