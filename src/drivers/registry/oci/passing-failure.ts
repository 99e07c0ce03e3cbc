/** What may go well at the next attempt: a cut connection, an overloaded server, a limit of requests. */
import { BerthError } from '../../../model/errors.ts';

export class PassingFailure extends Error {
  /** What the caller is told when there is no next attempt. */
  readonly final: BerthError;
  /** What the server asks for. */
  readonly afterMs: number | undefined;
  /** Bytes came too slowly: a slow server is not asked as often as a cut one. */
  readonly slow: boolean;

  constructor(final: BerthError, { afterMs, slow = false }: { readonly afterMs?: number | undefined; readonly slow?: boolean } = {}) {
    super(final.message, { cause: final });
    this.final = final;
    this.afterMs = afterMs;
    this.slow = slow;
  }
}

/** RFC 9110 §10.2.3: seconds or a date. */
export function retryAfterMs(header: string | undefined, nowMs: number): number | undefined {
  if (header === undefined) return undefined;
  if (/^\d{1,9}$/.test(header.trim())) return Number(header.trim()) * 1000;
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.max(0, date - nowMs);
}

export interface RetryParts {
  readonly retries: number;
  readonly maxRetryAfterMs: number;
  readonly maxWaitMs: number;
  /** Resolves early, or throws, when the signal says so. */
  readonly wait: (ms: number, signal: AbortSignal | undefined) => Promise<void>;
  readonly random: () => number;
}

const FIRST_MS = 250;
const MAX_SLOW = 1;

/** Counts failures, waits between attempts, and throws what is final. */
export class Patience {
  readonly #parts: RetryParts;
  #failures = 0;
  #slow = 0;
  #waitedMs = 0;

  constructor(parts: RetryParts) {
    this.#parts = parts;
  }

  /** Something was won since the last failure: the next one counts as the first. */
  progressed(): void {
    this.#failures = 0;
  }

  async failed(error: unknown, signal: AbortSignal | undefined): Promise<void> {
    if (!(error instanceof PassingFailure)) throw error;
    const { retries, maxRetryAfterMs, maxWaitMs, wait, random } = this.#parts;
    if (error.slow && ++this.#slow > MAX_SLOW) throw error.final;
    if (++this.#failures > retries) throw error.final;
    const ms = error.afterMs ?? (this.#failures === 1 && !error.slow ? 0 : FIRST_MS * 2 ** (this.#failures - 1) * (0.5 + random()));
    if (ms > maxRetryAfterMs || this.#waitedMs + ms > maxWaitMs) throw error.final;
    this.#waitedMs += ms;
    await wait(ms, signal);
  }
}
