/** Writes of the same turn of the event loop share one durable commit: N of them cost about one fsync. */
import { BerthError } from '../../../model/errors.ts';
import type { Tables } from './tables.ts';
import type { WatchBatch } from '../driver.ts';
import { isDiskBroken } from './errors.ts';

/** A write that waits for its commit. */
export interface Write<T> {
  readonly bytes: number;
  /** Runs inside the group's transaction with the newest revision so far; throws a BerthError only before it wrote anything. */
  readonly run: (newest: number) => { readonly batch?: WatchBatch | undefined; readonly answer: T };
}

export interface GroupCommit {
  /** Resolves when the write is on the disk. */
  write<T>(write: Write<T>): Promise<T>;
  /** Commits what waits, now. */
  flush(): void;
  /** Everything that waits, and that comes later, fails. */
  fail(error: unknown): void;
}

interface Waiting {
  readonly write: Write<unknown>;
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** A group stays small enough that the event loop goes on within a few milliseconds. */
const MAX_GROUP_WRITES = 128;
const MAX_GROUP_BYTES = 2 * 1024 * 1024;

export interface GroupCommitOptions {
  readonly tables: Tables;
  readonly newest: () => number;
  /** After the commit, before the writers hear of it. */
  readonly committed: (batches: readonly WatchBatch[], newest: number) => void;
  /** Turns an error of a failed commit into what the writers get; may call `fail`. */
  readonly failed: (error: unknown) => unknown;
}

export function groupCommit({ tables, newest, committed, failed }: GroupCommitOptions): GroupCommit {
  let queue: Waiting[] = [];
  let scheduled = false;
  let broken: { error: unknown } | undefined;

  function schedule(): void {
    if (scheduled || queue.length === 0) return;
    scheduled = true;
    setImmediate(() => {
      scheduled = false;
      commit(takeGroup());
      schedule();
    });
  }

  function takeGroup(): Waiting[] {
    let bytes = 0;
    let count = 0;
    while (count < queue.length && count < MAX_GROUP_WRITES && (count === 0 || bytes + queue[count]!.write.bytes <= MAX_GROUP_BYTES)) {
      bytes += queue[count++]!.write.bytes;
    }
    return queue.splice(0, count);
  }

  function commit(group: readonly Waiting[]): void {
    const batches: WatchBatch[] = [];
    const settle: (() => void)[] = [];
    let revision = newest();
    try {
      tables.begin();
      for (const { write, resolve, reject } of group) {
        let done: ReturnType<typeof write.run>;
        try {
          done = write.run(revision);
        } catch (error) {
          if (!(error instanceof BerthError)) throw error; // it may have written already
          settle.push(() => reject(error));
          continue;
        }
        if (done.batch !== undefined) {
          batches.push(done.batch);
          revision = done.batch.revision;
        }
        settle.push(() => resolve(done.answer));
      }
      tables.commit();
    } catch (error) {
      rollBack(error, group);
      return;
    }
    committed(batches, revision);
    for (const each of settle) each();
  }

  function rollBack(error: unknown, group: readonly Waiting[]): void {
    try {
      tables.rollback();
    } catch {
      // The first error says more; the next transaction begins anew or fails by itself.
    }
    if (group.length > 1 && !isDiskBroken(error)) {
      for (const each of group) commit([each]); // on a full disk, what is small may still fit
      return;
    }
    const told = failed(error);
    for (const { reject } of group) reject(told);
  }

  return {
    write<T>(write: Write<T>) {
      if (broken !== undefined) return Promise.reject(broken.error as Error);
      return new Promise<T>((resolve, reject) => {
        queue.push({ write, resolve: resolve as (answer: unknown) => void, reject });
        schedule();
      });
    },
    flush() {
      while (queue.length > 0) commit(takeGroup());
    },
    fail(error) {
      broken ??= { error };
      const dropped = queue;
      queue = [];
      for (const { reject } of dropped) reject(error);
    },
  };
}
