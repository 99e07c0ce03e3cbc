/** Names of bytes, as images use them (OCI image specification, Digests). */
import { createHash } from 'node:crypto';

/** `sha256:` and 64 lower-case hex digits. */
export function digestOf(bytes: Uint8Array | string): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}
