/** Time and chance come from outside, so that control is tested without either. */

export interface Clock {
  /** Wall clock, milliseconds since 1970; may jump. Only for showing. */
  nowMs(): number;
  /** Never goes back; for deadlines. */
  monotonicMs(): number;
  /** Calls `work` once, later; the returned function calls it off. */
  after(delayMs: number, work: () => void): () => void;
}

export interface Randomness {
  bytes(count: number): Uint8Array;
}

export function timestamp(clock: Clock): string {
  return new Date(clock.nowMs()).toISOString();
}
