/** NDJSON from a response. Empty lines are the daemon's sign of life. */
import { BerthError } from '../model/errors.ts';
import { ByteReader } from './byte-reader.ts';
import type { HttpResponse } from './http-exchange.ts';

const NEWLINE = Uint8Array.of(10);
const MAX_LINE_BYTES = 64 * 1024 * 1024;

export async function* jsonLines(response: Pick<HttpResponse, 'read'>): AsyncGenerator<unknown> {
  const reader = new ByteReader(() => response.read());
  for (;;) {
    const line = await reader.until(NEWLINE, MAX_LINE_BYTES);
    if (line === undefined) return;
    if (line.trim() === '') continue;
    try {
      yield JSON.parse(line);
    } catch (error) {
      throw new BerthError('unavailable', 'A line of the daemon’s answer is not JSON.', { cause: error });
    }
  }
}
