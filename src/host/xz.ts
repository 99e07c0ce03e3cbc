/** Unpacks xz, for which Node has no decoder, by a jailed job of the native program (native/xz.c). */
import { Writable } from 'node:stream';
import { runNativeJob } from './native-job.ts';

const TIMEOUT_MS = 60_000;

/** In pieces. Errors: `invalid` (no whole xz file), `exhausted` (more than `maxBytes` when unpacked), `unavailable` (no xz here). */
export async function unpackXz(packed: Uint8Array, maxBytes: number, program?: string): Promise<readonly Uint8Array[]> {
  const pieces: Buffer[] = [];
  const output = new Writable({ write(chunk: Buffer, _encoding, done) { pieces.push(chunk); done(); } });
  await runNativeJob({ args: ['xz', String(maxBytes), String(TIMEOUT_MS / 1000)], input: inPieces(packed), output, timeoutMs: TIMEOUT_MS, program });
  return pieces;
}

const PIECE_BYTES = 1024 * 1024;

async function* inPieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) yield bytes.subarray(at, at + PIECE_BYTES);
}
