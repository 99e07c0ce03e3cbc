/** Two readers of one source. Neither runs far ahead of the other, so that little is held; one that leaves is not waited for. */

export interface TeeReader<T> extends AsyncIterable<T> {
  /** Leaves. The other one goes on alone; the source is closed when both have left. */
  close(): void;
}

export function tee<T>(source: AsyncIterable<T>, maxAhead = 8): readonly [TeeReader<T>, TeeReader<T>] {
  const iterator = source[Symbol.asyncIterator]();
  const queues: [T[], T[]] = [[], []];
  const open: [boolean, boolean] = [true, true];
  let end: { readonly error?: unknown } | undefined;
  let pulling = false;
  let changed = Promise.withResolvers<undefined>();

  function tell(): void {
    const { resolve } = changed;
    changed = Promise.withResolvers();
    resolve(undefined);
  }

  function pull(): void {
    if (pulling) return;
    pulling = true;
    iterator.next().then(({ done, value }) => {
      if (done === true) end = {};
      else for (const side of [0, 1] as const) if (open[side]) queues[side].push(value);
    }, (error: unknown) => { end = { error }; }).finally(() => {
      pulling = false;
      tell();
    });
  }

  function close(side: 0 | 1): void {
    if (!open[side]) return;
    open[side] = false;
    queues[side].length = 0;
    tell();
    if (!open[0] && !open[1]) iterator.return?.().catch(() => undefined);
  }

  async function next(side: 0 | 1): Promise<IteratorResult<T, undefined>> {
    const other = side === 0 ? 1 : 0;
    while (open[side]) {
      if (queues[side].length > 0) {
        const value = queues[side].shift()!;
        tell();
        return { done: false, value };
      }
      if (end !== undefined) {
        if ('error' in end) throw end.error;
        break;
      }
      if (!open[other] || queues[other].length < maxAhead) pull();
      await changed.promise;
    }
    return { done: true, value: undefined };
  }

  const reader = (side: 0 | 1): TeeReader<T> => ({
    close: () => close(side),
    [Symbol.asyncIterator]: () => ({
      next: () => next(side),
      return() {
        close(side);
        return Promise.resolve({ done: true, value: undefined });
      },
    }),
  });
  return [reader(0), reader(1)];
}
