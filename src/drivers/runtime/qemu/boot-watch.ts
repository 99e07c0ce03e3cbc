/**
 * How long a machine may take to come up. A clock on the wall cannot tell a machine that hangs from one that a busy host
 * lets run now and then: what is bounded is what it did. Pure but for what it is handed.
 */
import { BerthError } from '../../../model/errors.ts';

/** What the processes of a machine got and what they wanted, in milliseconds of one processor, since they began. */
export interface ProcessorTime {
  readonly ranMs: number;
  /** Ready to run, while others had the processors. */
  readonly waitedMs: number;
}

export interface BootBounds {
  /** That long neither running nor waiting for a processor, or that much processor time used, and no word of the agent: it hangs. */
  readonly bootMs: number;
  /** Whatever it does meanwhile. */
  readonly bootTotalMs: number;
}

export interface BootView {
  /** undefined: it is gone, which others tell. */
  readonly used: () => ProcessorTime | undefined;
  readonly now: () => number;
  /** Returns how to call it off. */
  readonly after: (delayMs: number, work: () => void) => () => void;
}

const LOOK_MS = 1_000;
/** An idle QEMU has timers; a machine that boots and gets no more than this of what it wants would take all day. */
const IDLE_SHARE = 0.02;

export const WALL: Omit<BootView, 'used'> = {
  now: () => performance.now(),
  after: (delayMs, work) => {
    const timer = setTimeout(work, delayMs);
    return () => { clearTimeout(timer); };
  },
};

/** The outcome of `work`, unless the machine hangs before. Errors: `timeout`, which says by which bound. */
export function whileItGetsOn<T>(work: Promise<T>, view: BootView, { bootMs, bootTotalMs }: BootBounds): Promise<T> {
  const begin = view.now(), none = { ranMs: 0, waitedMs: 0 }, first = view.used() ?? none;
  const everyMs = Math.min(LOOK_MS, bootMs / 4);
  return new Promise((resolve, reject) => {
    let seen = first, seenAt = begin, activeAt = begin;
    const problem = (at: number): string | undefined => {
      if (at - activeAt >= bootMs) return `it did nothing for ${seconds(bootMs)}`;
      if (seen.ranMs - first.ranMs >= bootMs) return `it used ${seconds(bootMs)} of processor time`;
      return at - begin >= bootTotalMs ? `${seconds(bootTotalMs)} are over` : undefined;
    };
    const look = (): void => {
      const at = view.now(), used = view.used();
      if (used !== undefined) {
        if (used.ranMs + used.waitedMs - seen.ranMs - seen.waitedMs >= IDLE_SHARE * (at - seenAt)) activeAt = at;
        seen = used;
      }
      seenAt = at;
      const why = problem(at);
      if (why === undefined) stop = view.after(everyMs, look);
      else reject(new BerthError('timeout', `The guest's agent did not answer: ${why}. Since its start ${seconds(at - begin)} went by; it ran for ${seconds(seen.ranMs - first.ranMs)} of them and waited ${seconds(seen.waitedMs - first.waitedMs)} for a processor.`));
    };
    let stop = view.after(everyMs, look);
    work.finally(() => { stop(); }).then(resolve, reject);
  });
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`;
}
