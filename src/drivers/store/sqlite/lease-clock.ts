/** Deadlines of leases on the monotonic clock, because the wall clock may jump by years. */

export interface LeaseClock extends Disposable {
  has(lease: string): boolean;
  start(lease: string, ttlMs: number): void;
  /** Gives a lease its whole time again; false when it is unknown or over. */
  keepAlive(lease: string): boolean;
  /** The lease is over for everybody from now on. Answers its time to live, or undefined when it was unknown or over. */
  end(lease: string): number | undefined;
}

interface Entry {
  readonly ttlMs: number;
  deadline: number;
  timer: NodeJS.Timeout;
}

const MAX_TIMER_MS = 2 ** 31 - 1;

/** `expired` is called once a lease; the lease is gone by then. */
export function leaseClock(expired: (lease: string) => void): LeaseClock {
  const entries = new Map<string, Entry>();
  // A timer is not moved by every keep-alive: when it fires too early it is armed again.
  const arm = (lease: string, waitMs: number): NodeJS.Timeout => setTimeout(() => {
    const entry = entries.get(lease)!;
    const leftMs = entry.deadline - performance.now();
    if (leftMs > 0) {
      entry.timer = arm(lease, leftMs);
      return;
    }
    entries.delete(lease);
    expired(lease);
  }, Math.min(Math.ceil(waitMs), MAX_TIMER_MS)).unref();

  return {
    has: (lease) => entries.has(lease),
    start(lease, ttlMs) {
      entries.set(lease, { ttlMs, deadline: performance.now() + ttlMs, timer: arm(lease, ttlMs) });
    },
    keepAlive(lease) {
      const entry = entries.get(lease);
      if (entry !== undefined) entry.deadline = performance.now() + entry.ttlMs;
      return entry !== undefined;
    },
    end(lease) {
      const entry = entries.get(lease);
      clearTimeout(entry?.timer);
      entries.delete(lease);
      return entry?.ttlMs;
    },
    [Symbol.dispose]() {
      for (const { timer } of entries.values()) clearTimeout(timer);
      entries.clear();
    },
  };
}
