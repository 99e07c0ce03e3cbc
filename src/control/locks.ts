/** One verb at a time for each object. Who comes second waits for a while, then is told who holds it. */
import { BerthError } from '../model/errors.ts';
import type { Clock } from './clock.ts';

interface Holder {
  readonly verb: string;
  readonly released: Promise<void>;
}

export class Locks {
  readonly #clock: Clock;
  readonly #holders = new Map<string, Holder>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  holder(id: string): string | undefined {
    return this.#holders.get(id)?.verb;
  }

  /** Returns the function that lets go. `patienceMs` undefined: waits for ever (the daemon's own work). */
  async acquire(id: string, verb: string, patienceMs?: number): Promise<() => void> {
    const deadline = patienceMs === undefined ? undefined : this.#clock.monotonicMs() + patienceMs;
    for (;;) {
      const holder = this.#holders.get(id);
      if (holder === undefined) break;
      const left = deadline === undefined ? undefined : deadline - this.#clock.monotonicMs();
      if (left !== undefined && left <= 0) {
        throw new BerthError('busy', `${verb} has to wait: ${holder.verb} is at work on it.`, { hint: 'Wait for that operation (`berth operation list`), or cancel it.', details: { holder: holder.verb } });
      }
      await this.#wait(holder.released, left);
    }
    let release!: () => void;
    const released = new Promise<void>((resolve) => { release = resolve; });
    this.#holders.set(id, { verb, released });
    return () => {
      this.#holders.delete(id);
      release();
    };
  }

  async hold<T>(id: string, verb: string, work: () => Promise<T>, patienceMs?: number): Promise<T> {
    const release = await this.acquire(id, verb, patienceMs);
    try {
      return await work();
    } finally {
      release();
    }
  }

  #wait(released: Promise<void>, leftMs: number | undefined): Promise<void> {
    if (leftMs === undefined) return released;
    return new Promise((resolve) => {
      const cancel = this.#clock.after(leftMs, resolve);
      void released.then(() => { cancel(); resolve(); });
    });
  }
}
