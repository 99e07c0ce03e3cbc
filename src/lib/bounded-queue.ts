/** A queue between one writer that never waits and one reader that may be slow. */

export interface BoundedQueue<T> extends AsyncIterable<T> {
  /** `weight` counts against the bound. Nothing happens after `end`, `fail` or an overflow. */
  push(item: T, weight?: number): void;
  /** The reader ends at once; what waits is dropped. */
  end(): void;
  /** The reader's next step throws; what waits is dropped. */
  fail(error: unknown): void;
  /** Total weight that waits for the reader. */
  readonly waiting: number;
  /** Ended, failed or overflown: nothing is taken any more. */
  readonly closed: boolean;
}

/**
 * When more than `maxWaiting` would wait, the queue fails with `overflow()`. One item alone is always taken, however
 * heavy, because no reader could have been fast enough for it.
 */
export function boundedQueue<T>(maxWaiting: number, overflow: () => Error): BoundedQueue<T> {
  let items: { item: T; weight: number }[] = [];
  let head = 0;
  let waiting = 0;
  let done: { error?: unknown } | undefined;
  let closed = false;
  let reader: PromiseWithResolvers<IteratorResult<T, undefined>> | undefined;

  function finish(state: { error?: unknown }): void {
    if (closed) return;
    closed = true;
    done = state;
    items = [];
    head = 0;
    waiting = 0;
    const pending = reader;
    reader = undefined;
    if (pending === undefined) return;
    if ('error' in state) pending.reject(state.error);
    else pending.resolve({ done: true, value: undefined });
    done = {};
  }

  function next(): Promise<IteratorResult<T, undefined>> {
    const first = items[head];
    if (first !== undefined) {
      waiting -= first.weight;
      head++;
      if (head === items.length || head > 1024) {
        items = items.slice(head);
        head = 0;
      }
      return Promise.resolve({ done: false, value: first.item });
    }
    if (done !== undefined) {
      const state = done;
      done = {};
      return 'error' in state ? Promise.reject(state.error) : Promise.resolve({ done: true, value: undefined });
    }
    reader = Promise.withResolvers();
    return reader.promise;
  }

  return {
    push(item, weight = 1) {
      if (closed) return;
      if (reader !== undefined) {
        const pending = reader;
        reader = undefined;
        pending.resolve({ done: false, value: item });
        return;
      }
      if (waiting > 0 && waiting + weight > maxWaiting) return finish({ error: overflow() });
      items.push({ item, weight });
      waiting += weight;
    },
    end: () => finish({}),
    fail: (error) => finish({ error }),
    get waiting() {
      return waiting;
    },
    get closed() {
      return closed;
    },
    [Symbol.asyncIterator]: () => ({
      next,
      return: () => {
        finish({});
        return Promise.resolve({ done: true, value: undefined });
      },
    }),
  };
}
