/** A clock that stands until the test moves it. Wall and monotonic time are apart, as they are on a host. */
import type { Clock } from '../../src/control/clock.ts';

interface Timer {
  readonly atMs: number;
  readonly work: () => void;
}

/** Turns of the event loop in which what a timer set off comes to rest. */
const TURNS = 8;

export class TestClock implements Clock {
  #wallMs: number;
  #monotonicMs = 0;
  #timers: Timer[] = [];

  constructor(wallMs = Date.parse('2026-03-01T12:00:00Z')) {
    this.#wallMs = wallMs;
  }

  nowMs(): number {
    return this.#wallMs;
  }

  monotonicMs(): number {
    return this.#monotonicMs;
  }

  after(delayMs: number, work: () => void): () => void {
    const timer: Timer = { atMs: this.#monotonicMs + Math.max(0, delayMs), work };
    this.#timers.push(timer);
    return () => { this.#timers = this.#timers.filter((one) => one !== timer); };
  }

  /** How long until the next timer; undefined when none waits. */
  get nextInMs(): number | undefined {
    return this.#timers.length === 0 ? undefined : Math.min(...this.#timers.map((timer) => timer.atMs)) - this.#monotonicMs;
  }

  /** How many timers wait. */
  get waiting(): number {
    return this.#timers.length;
  }

  /** Lets time pass: every timer that is due fires at its own moment, and what it sets off is waited for. */
  async advance(ms: number): Promise<void> {
    const endMs = this.#monotonicMs + ms;
    for (;;) {
      await settle();
      const due = this.#timers.filter((timer) => timer.atMs <= endMs).toSorted((a, b) => a.atMs - b.atMs)[0];
      if (due === undefined) break;
      this.#timers = this.#timers.filter((timer) => timer !== due);
      this.#pass(due.atMs - this.#monotonicMs);
      due.work();
    }
    this.#pass(endMs - this.#monotonicMs);
    await settle();
  }

  /** Somebody sets the wall clock; monotonic time knows nothing of it. */
  jump(ms: number): void {
    this.#wallMs += ms;
  }

  #pass(ms: number): void {
    this.#monotonicMs += ms;
    this.#wallMs += ms;
  }
}

/** Lets everything that can go on without time go on. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < TURNS; turn++) await new Promise((resolve) => setImmediate(resolve));
}
