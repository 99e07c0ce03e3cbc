/** Idempotency-Key: a verb that was asked twice under one key is done once. */
import type { Call } from './context.ts';

/** To be spread into a request. The journal checks its form. */
export function keyOf(call: Call): { idempotencyKey?: string } {
  const key = call.headers['idempotency-key'];
  return typeof key === 'string' ? { idempotencyKey: key } : {};
}
