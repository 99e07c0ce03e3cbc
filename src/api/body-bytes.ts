import type { Readable } from 'node:stream';
import { BerthError } from '../model/errors.ts';

/** The bytes of a request as they come. That who sends them goes away is no bug of ours: `unavailable`. */
export async function* bodyBytes(body: Readable): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of body) yield chunk as Uint8Array;
  } catch (cause) {
    throw cause instanceof BerthError ? cause : new BerthError('unavailable', 'The connection ended before all of it was here.', { cause });
  }
}
