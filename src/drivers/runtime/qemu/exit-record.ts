/** How a unit ended, from what the watcher and the monitor wrote. */
import fs from 'node:fs';
import type { ExitReason, ExitRecord } from '../driver.ts';

const LINE = /^(\d{1,3}) (exited|killed|oom|poweroff|reboot|panic|unknown) (\d{1,3})\n$/;

export interface WatcherWords {
  readonly exitCode: number;
  readonly reason: ExitReason;
  /** Exit status of QEMU itself; 137 where the watcher ended it. */
  readonly qemuStatus: number;
  readonly finishedAtMs: number;
}

/** undefined: not ended, or the words were cut. */
export function readReason(file: string): WatcherWords | undefined {
  try {
    const match = LINE.exec(fs.readFileSync(file, 'latin1'));
    if (match === null) return undefined;
    return { exitCode: Number(match[1]), reason: match[2] as ExitReason, qemuStatus: Number(match[3]), finishedAtMs: Math.trunc(fs.statSync(file).mtimeMs) };
  } catch {
    return undefined;
  }
}

/**
 * `monitor` is conmon's record, there or not. QEMU that was killed while its control group ran out of memory ended for
 * that; a machine that vanished without a word of the agent leaves no code.
 */
export function exitRecord(words: WatcherWords | undefined, monitor: { readonly exitCode: number; readonly finishedAtMs: number } | undefined, hostOomKills: number): ExitRecord {
  if (words === undefined) {
    // The watcher itself was killed: its status says nothing about the workload.
    return { exitCode: undefined, reason: 'unknown', finishedAtMs: monitor?.finishedAtMs ?? Date.now() };
  }
  const finishedAtMs = monitor?.finishedAtMs ?? words.finishedAtMs;
  if (words.reason === 'unknown') return { exitCode: undefined, reason: 'unknown', finishedAtMs };
  if (words.reason === 'killed' && words.qemuStatus === 137 && hostOomKills > 0) return { exitCode: words.exitCode, reason: 'oom', finishedAtMs };
  return { exitCode: words.exitCode, reason: words.reason, finishedAtMs };
}
