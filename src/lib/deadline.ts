/** A point in time on the monotonic clock, handed down so that the parts of a job share one limit. */

export interface Deadline {
  /** Milliseconds left, never negative. */
  leftMs(): number;
  passed(): boolean;
  /** The promise's outcome, or `late()` thrown when the deadline comes first. The work itself goes on: abort it by its own means. */
  race<T>(promise: Promise<T>, late: () => Error): Promise<T>;
}

const MAX_TIMER_MS = 2 ** 31 - 1;

/** `now` answers milliseconds of a clock that only goes forward. */
export function deadlineIn(timeoutMs: number, now: () => number = () => performance.now()): Deadline {
  const end = now() + timeoutMs;
  const leftMs = (): number => Math.max(0, end - now());
  return {
    leftMs,
    passed: () => now() >= end,
    race<T>(promise: Promise<T>, late: () => Error): Promise<T> {
      if (leftMs() === Infinity) return promise;
      return new Promise((resolve, reject) => {
        let timer: NodeJS.Timeout | undefined;
        const wait = (): void => {
          timer = setTimeout(() => (now() >= end ? reject(late()) : wait()), Math.min(Math.ceil(leftMs()), MAX_TIMER_MS));
        };
        wait();
        promise.finally(() => clearTimeout(timer)).then(resolve, reject);
      });
    },
  };
}
