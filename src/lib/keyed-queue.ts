/** Work in turn for each key, side by side for different keys. */

export interface KeyedQueue extends AsyncDisposable {
  /**
   * Runs the work when all earlier work of the key has ended, well or not. The work's signal aborts with `signal` and
   * with the queue. Work whose signal aborts while it waits never starts: the promise rejects with the signal's reason.
   */
  run<T>(key: string, work: (signal: AbortSignal) => Promise<T>, signal?: AbortSignal): Promise<T>;
  /** Whether something of the key runs or waits. */
  busy(key: string): boolean;
  /** Keys with work. */
  readonly size: number;
  /** Resolves when nothing runs or waits. */
  idle(): Promise<void>;
}

interface Job {
  /** Never rejects. Answers how to tell the outcome, which happens when the key is free again. */
  readonly start: () => Promise<() => void>;
}

/** Disposing aborts what runs, refuses what waits and resolves when all has ended. */
export function keyedQueue(): KeyedQueue {
  const waiting = new Map<string, Job[]>();
  const closed = new AbortController();
  let idle: PromiseWithResolvers<void> | undefined;

  async function work(key: string, jobs: Job[]): Promise<void> {
    for (let job = jobs.shift(); job !== undefined; job = jobs.shift()) {
      const tell = await job.start();
      if (jobs.length === 0) waiting.delete(key);
      tell();
      if (!waiting.has(key)) break;
    }
    if (waiting.size > 0) return;
    idle?.resolve();
    idle = undefined;
  }

  return {
    run<T>(key: string, task: (signal: AbortSignal) => Promise<T>, signal?: AbortSignal): Promise<T> {
      const stop = signal === undefined ? closed.signal : AbortSignal.any([signal, closed.signal]);
      if (stop.aborted) return Promise.reject(stop.reason as Error);
      const { promise, resolve, reject } = Promise.withResolvers<T>();
      const job: Job = {
        async start() {
          stop.removeEventListener('abort', leave);
          try {
            const answer = await task(stop);
            return () => resolve(answer);
          } catch (error) {
            return () => reject(error);
          }
        },
      };
      const leave = (): void => {
        const jobs = waiting.get(key);
        const index = jobs?.indexOf(job) ?? -1;
        if (index >= 0) jobs!.splice(index, 1);
        reject(stop.reason as Error);
      };
      stop.addEventListener('abort', leave, { once: true });
      const jobs = waiting.get(key);
      if (jobs === undefined) {
        const fresh = [job];
        waiting.set(key, fresh);
        void work(key, fresh);
      } else {
        jobs.push(job);
      }
      return promise;
    },
    busy: (key) => waiting.has(key),
    get size() {
      return waiting.size;
    },
    idle() {
      if (waiting.size === 0) return Promise.resolve();
      idle ??= Promise.withResolvers();
      return idle.promise;
    },
    async [Symbol.asyncDispose]() {
      closed.abort(new Error('The queue is closed.'));
      await this.idle();
    },
  };
}
