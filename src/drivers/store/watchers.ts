/** Watches that have caught up, and are fed by the process that commits. */
import { boundedQueue, type BoundedQueue } from '../../lib/bounded-queue.ts';
import { MAX_WAITING_EVENTS, slowReader, type StoreEvent, type WatchBatch } from './driver.ts';

export class Watchers implements Disposable {
  readonly #all = new Set<{ readonly prefix: string; readonly queue: BoundedQueue<WatchBatch> }>();

  /** What is published from the first step on. It throws for who reads too slowly; `signal` ends it. */
  async *follow(prefix: string, signal: AbortSignal): AsyncGenerator<WatchBatch, void, undefined> {
    const queue = boundedQueue<WatchBatch>(MAX_WAITING_EVENTS, slowReader);
    const watcher = { prefix, queue };
    const end = (): void => queue.end();
    this.#all.add(watcher);
    signal.addEventListener('abort', end);
    try {
      yield* queue;
    } finally {
      this.#all.delete(watcher);
      signal.removeEventListener('abort', end);
    }
  }

  publish(batch: WatchBatch): void {
    for (const { prefix, queue } of this.#all) {
      const seen = batchWithin(batch, prefix);
      if (seen !== undefined) queue.push(seen, seen.events.length);
    }
  }

  [Symbol.dispose](): void {
    for (const { queue } of this.#all) queue.end();
  }
}

/** Its events below the prefix, if there are any. Readers may write into what they get: each has its own bytes. */
export function batchWithin({ revision, events }: WatchBatch, prefix: string): WatchBatch | undefined {
  const seen = events
    .filter((event) => (event.type === 'put' ? event.value.key : event.key).startsWith(prefix))
    .map((event): StoreEvent => (event.type === 'put' ? { type: 'put', value: { ...event.value, value: new Uint8Array(event.value.value) } } : event));
  return seen.length === 0 ? undefined : { revision, events: seen };
}
