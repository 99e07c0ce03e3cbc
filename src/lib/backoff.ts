/** How long to wait before something that ended is started again. */

export const FIRST_BACKOFF_MS = 100;
export const MAX_BACKOFF_MS = 60_000;
/** Whoever ran this long was well: the next wait is the first one again. */
export const WELL_AFTER_MS = 10_000;

/** Set-up programs and updates reboot a system a few times in a row; one that goes on has a loop. */
export const FREE_REBOOTS = 3;

/** `previousMs` is the last wait, undefined when there was none; `ranMs` how long it ran since. */
export function nextBackoffMs(previousMs: number | undefined, ranMs: number): number {
  if (previousMs === undefined || ranMs >= WELL_AFTER_MS) return FIRST_BACKOFF_MS;
  return Math.min(Math.max(previousMs * 2, FIRST_BACKOFF_MS), MAX_BACKOFF_MS);
}
