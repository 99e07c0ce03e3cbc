/** One watch on etcd: reconnects where it broke off, and keeps the past from outrunning a reader who is catching up. */
import { BerthError } from '../../../model/errors.ts';
import { boundedQueue, type BoundedQueue } from '../../../lib/bounded-queue.ts';
import { compacted, MAX_WAITING_EVENTS, slowReader, type WatchBatch } from '../driver.ts';
import type { Gateway } from './gateway.ts';
import { fromWireEvents, headerRevision, toWireRange, toWireRevision, type WireEvent } from './wire.ts';

/** While catching up, etcd is read no further than this many events ahead of the reader. */
const READ_AHEAD_EVENTS = 1000;
const FIRST_RETRY_MS = 50;
const LAST_RETRY_MS = 2000;
const GIVE_UP_MS = 30_000;

export interface EtcdWatchOptions {
  readonly gateway: Gateway;
  readonly namespace: string;
  readonly prefix: string;
  readonly afterRevision: number;
  /** Throws `compacted` when the changes after the revision are no longer all kept. */
  readonly checkKept: (revision: number) => Promise<void>;
  readonly signal: AbortSignal;
}

export async function* watchEtcd(options: EtcdWatchOptions): AsyncGenerator<WatchBatch, void, undefined> {
  const { signal } = options;
  if (signal.aborted) return;
  const queue = boundedQueue<WatchBatch>(MAX_WAITING_EVENTS, slowReader);
  const stop = new AbortController();
  const end = (): void => {
    queue.end();
    stop.abort();
  };
  signal.addEventListener('abort', end);
  let room: (() => void) | undefined;
  const pumping = pump(options, queue, stop.signal, () => new Promise((resolve) => { room = resolve; }));
  try {
    for await (const batch of queue) {
      yield batch;
      if (queue.waiting <= READ_AHEAD_EVENTS) room?.();
    }
  } finally {
    signal.removeEventListener('abort', end);
    end();
    room?.();
    await pumping;
  }
}

/** Never rejects: what goes wrong reaches the reader through the queue. */
async function pump(options: EtcdWatchOptions, queue: BoundedQueue<WatchBatch>, stop: AbortSignal, roomAgain: () => Promise<void>): Promise<void> {
  const { gateway, namespace, prefix } = options;
  let cursor = options.afterRevision;
  let checked = false;
  let retryMs = FIRST_RETRY_MS;
  let silentSince = performance.now();
  while (!stop.aborted && !queue.closed) {
    try {
      const request = { create_request: { ...toWireRange(namespace + prefix), start_revision: toWireRevision(cursor + 1) } };
      let newestAtStart = 0;
      for await (const message of gateway.stream('/v3/watch', request, stop)) {
        retryMs = FIRST_RETRY_MS;
        silentSince = performance.now();
        if (message['canceled'] === true) {
          if (message['compact_revision'] !== undefined && message['compact_revision'] !== '0') throw compacted(cursor);
          throw new BerthError('unavailable', `etcd ended the watch: ${String(message['cancel_reason'] ?? 'no reason given')}.`);
        }
        if (message['created'] === true) newestAtStart = headerRevision(message);
        for (const batch of fromWireEvents((message['events'] ?? []) as WireEvent[], namespace)) {
          // etcd keeps changes of the compacted revision itself, except deletions; the contract promises all or an error.
          if (!checked) await options.checkKept(options.afterRevision);
          checked = true;
          cursor = batch.revision;
          queue.push(batch, batch.events.length);
          if (cursor <= newestAtStart) while (queue.waiting > READ_AHEAD_EVENTS) await roomAgain();
          if (queue.closed) return;
        }
      }
    } catch (error) {
      if (stop.aborted) return;
      if (error instanceof BerthError && error.details?.['reason'] !== 'etcd') return queue.fail(error);
      if (performance.now() - silentSince > GIVE_UP_MS) {
        return queue.fail(new BerthError('unavailable', 'etcd broke off a watch and does not answer any more.', { cause: error, details: { reason: 'etcd' } }));
      }
    }
    await pause(retryMs, stop);
    retryMs = Math.min(retryMs * 2, LAST_RETRY_MS);
  }
}

function pause(ms: number, stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      stop.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    if (stop.aborted) done();
    else stop.addEventListener('abort', done);
  });
}
