/** What a job writes, as it is written. A reader who leaves ends the job; a job that fails fails the reader. */
import { PassThrough } from 'node:stream';

const AHEAD_BYTES = 1024 * 1024;

export async function* jobOutput(job: (target: PassThrough, signal: AbortSignal) => Promise<unknown>, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
  const stop = new AbortController();
  const target = new PassThrough({ highWaterMark: AHEAD_BYTES });
  const done = job(target, signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal])).then(() => target.end(), (error: unknown) => target.destroy(error as Error));
  try {
    yield* target as AsyncIterable<Uint8Array>;
  } finally {
    stop.abort();
    target.destroy();
    await done;
  }
}

/** The first chunk, nothing when there is none. */
export async function firstChunk(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  for await (const chunk of chunks) return chunk;
  return new Uint8Array(0);
}
