/** A queue between a writer that can be made to wait and one reader: nothing is dropped, and little is held. */

export interface PullQueue<T> extends AsyncIterable<T> {
  /** False: enough is held, stop until `drained` is called. The item is taken either way. Nothing happens after `end`. */
  push(item: T, weight: number): boolean;
  /** What is held is still read; then the reader ends. */
  end(): void;
  /** The reader ends at once. */
  drop(): void;
}

/** `drained` is called when the reader took enough for the writer to go on; `finished` once, when the reader saw the end. */
export function pullQueue<T>(maxWeight: number, drained: () => void, finished: () => void = () => undefined): PullQueue<T> {
  let items: { readonly item: T; readonly weight: number }[] = [];
  let held = 0;
  let full = false;
  let ended = false;
  let told = false;
  let reader: PromiseWithResolvers<IteratorResult<T, undefined>> | undefined;

  function last(): IteratorResult<T, undefined> {
    if (!told) {
      told = true;
      finished();
    }
    return { done: true, value: undefined };
  }

  function next(): Promise<IteratorResult<T, undefined>> {
    const first = items.shift();
    if (first !== undefined) {
      held -= first.weight;
      if (full && held <= maxWeight / 2) {
        full = false;
        if (!ended) drained();
      }
      return Promise.resolve({ done: false, value: first.item });
    }
    if (ended) return Promise.resolve(last());
    reader = Promise.withResolvers();
    return reader.promise;
  }

  function end(): void {
    if (ended) return;
    ended = true;
    const waiting = reader;
    reader = undefined;
    waiting?.resolve(last());
  }

  return {
    push(item, weight) {
      if (ended) return false;
      if (reader !== undefined) {
        const waiting = reader;
        reader = undefined;
        waiting.resolve({ done: false, value: item });
        return true;
      }
      items.push({ item, weight });
      held += weight;
      full = held >= maxWeight;
      return !full;
    },
    end,
    drop() {
      items = [];
      held = 0;
      end();
    },
    [Symbol.asyncIterator]: () => ({ next, return: () => Promise.resolve({ done: true as const, value: undefined }) }),
  };
}
