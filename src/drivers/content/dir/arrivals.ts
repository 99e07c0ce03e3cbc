/**
 * What is being brought in and has no owner yet: a sweep leaves it alone until whoever brings it in is done, or so much
 * time has passed that nobody will be. The clock is monotonic.
 */
const KEPT_MS = 600_000;

export class Arrivals {
  readonly #since = new Map<string, number>();
  readonly #nowMs: () => number;

  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  add(key: string): void {
    this.#since.set(key, this.#nowMs());
  }

  /** From now on only use keeps it. */
  settle(keys: Iterable<string>): void {
    for (const key of keys) this.#since.delete(key);
  }

  isUnderWay(key: string): boolean {
    const since = this.#since.get(key);
    if (since === undefined) return false;
    if (this.#nowMs() - since < KEPT_MS) return true;
    this.#since.delete(key);
    return false;
  }
}
