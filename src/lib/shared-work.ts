/**
 * One piece of work for all who want the same thing at the same time. Each may leave; the work itself is stopped when
 * the last one has left.
 */

interface Running<T> {
  readonly result: Promise<T>;
  readonly stop: AbortController;
  waiting: number;
}

export class SharedWork<K, T> {
  readonly #running = new Map<K, Running<T>>();

  /** Joins what runs under `key`, or starts it. */
  async do(key: K, start: (signal: AbortSignal) => Promise<T>, signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted();
    const work = this.#running.get(key) ?? this.#start(key, start);
    work.waiting++;
    let leave: (() => void) | undefined;
    const left = new Promise<never>((_resolve, reject) => {
      leave = () => reject(signal!.reason as Error);
      signal?.addEventListener('abort', leave, { once: true });
    });
    try {
      return await (signal === undefined ? work.result : Promise.race([work.result, left]));
    } finally {
      if (leave !== undefined) signal?.removeEventListener('abort', leave);
      if (--work.waiting === 0) {
        // Who comes now must not join work that is being stopped.
        if (this.#running.get(key) === work) this.#running.delete(key);
        work.stop.abort();
      }
    }
  }

  has(key: K): boolean {
    return this.#running.has(key);
  }

  #start(key: K, start: (signal: AbortSignal) => Promise<T>): Running<T> {
    const stop = new AbortController();
    const result = start(stop.signal);
    result.catch(() => undefined); // every one who waits hears of it; nobody may be left
    const work: Running<T> = { result, stop, waiting: 0 };
    this.#running.set(key, work);
    return work;
  }
}
