/**
 * What a sweep leaves alone although no image names it: what somebody holds, for as long as he holds it; and what came
 * in a short while ago, so that a second attempt finds it. The clock is monotonic.
 */
import type { ContentLease } from '../driver.ts';

const KEPT_MS = 600_000;

export class Arrivals {
  readonly #since = new Map<string, number>();
  readonly #holders = new Map<string, number>();
  readonly #going = new Map<string, Promise<unknown>>();
  readonly #nowMs: () => number;

  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  add(key: string): void {
    this.#since.set(key, this.#nowMs());
  }

  /** From now on only use, or who holds it, keeps it. */
  settle(keys: Iterable<string>): void {
    for (const key of keys) this.#since.delete(key);
  }

  lease(): ContentLease {
    const held = new Set<string>();
    let over = false;
    return {
      hold: (...keys) => {
        for (const key of keys) {
          // Who left early may still be told of what comes in for others.
          if (over || held.has(key)) continue;
          held.add(key);
          this.#holders.set(key, (this.#holders.get(key) ?? 0) + 1);
        }
      },
      [Symbol.dispose]: () => {
        over = true;
        for (const key of held) {
          const left = this.#holders.get(key)! - 1;
          if (left === 0) this.#holders.delete(key);
          else this.#holders.set(key, left);
        }
        held.clear();
      },
    };
  }

  isHeld(key: string): boolean {
    return this.#holders.has(key);
  }

  isUnderWay(key: string): boolean {
    if (this.isHeld(key)) return true;
    const since = this.#since.get(key);
    if (since === undefined) return false;
    if (this.#nowMs() - since < KEPT_MS) return true;
    this.#since.delete(key);
    return false;
  }

  /** Between the decision that something goes and its end nobody may find it, or put it there anew. */
  async removing(key: string, remove: () => Promise<unknown>): Promise<void> {
    const done = remove().finally(() => this.#going.delete(key));
    this.#going.set(key, done);
    await done;
  }

  /** Resolves when what was being removed is removed. */
  async removed(key: string): Promise<void> {
    await this.#going.get(key)?.catch(() => undefined);
  }
}
