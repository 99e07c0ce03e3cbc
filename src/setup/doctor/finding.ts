/** What doctor says: data first, so that people, scripts and tests read the same thing. */
import type { RunResult } from '../../host/run.ts';

/** ok: as it should be · warn: works with less · fail: something that Berth needs does not work · info: good to know */
export type FindingStatus = 'ok' | 'warn' | 'fail' | 'info';

export interface Finding {
  /** Stable: `kernel.user-namespaces`. */
  readonly id: string;
  readonly title: string;
  readonly status: FindingStatus;
  /** What is there, in a few words. */
  readonly found: string;
  /** What that means for the user, one sentence. */
  readonly means: string;
  /** What to do about it; empty where there is nothing to do. */
  readonly fix: string;
}

/** The host as doctor sees it; stood in for in tests. */
export interface HostView {
  readonly isRoot: boolean;
  /** undefined: not there, or not readable. */
  readText(file: string): string | undefined;
  list(dir: string): readonly string[];
  /** What a link leads to, as it is written; undefined: not there, or no link. */
  readLink(file: string): string | undefined;
  exists(file: string): boolean;
  /** undefined: not installed, or it did not end in time. */
  run(file: string, args: readonly string[], input?: string): Promise<RunResult | undefined>;
}

export type Check = (host: HostView) => Promise<readonly Finding[]> | readonly Finding[];

/** A finding that is fine needs no fix. */
export function finding(id: string, title: string, status: FindingStatus, found: string, means: string, fix = ''): Finding {
  return { id, title, status, found, means, fix };
}
