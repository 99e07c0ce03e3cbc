/** The real clock and the real chance. */
import { randomBytes } from 'node:crypto';
import type { Clock, Randomness } from '../control/clock.ts';

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(delayMs, work) {
    const timer = setTimeout(work, Math.min(Math.max(0, delayMs), 2 ** 31 - 1));
    return () => clearTimeout(timer);
  },
};

/** Drawn in blocks: a call of its own costs more than the bytes. */
export function systemRandomness(): Randomness {
  let block = randomBytes(4096);
  let used = 0;
  return {
    bytes(count) {
      if (used + count > block.length) {
        block = randomBytes(Math.max(4096, count));
        used = 0;
      }
      const bytes = block.subarray(used, used + count);
      used += count;
      return bytes;
    },
  };
}
