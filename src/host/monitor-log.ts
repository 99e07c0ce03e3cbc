/**
 * The log of a monitored unit: bounded without a daemon, and nothing lost at a usual pace with one.
 *
 * conmon has one bound of its own (--log-size-max): when the next line would pass it, it opens LOG.tmp and renames it
 * over LOG, so all that was there is gone (ctr_logging.c, reopen_k8s_file). A second name for the same file saves it:
 *   log        being written
 *   log.keep   hard link to what `log` was when the daemon last looked: the same file, or the one before it
 *   log.1 …    older ones, 1 the youngest
 * So with no daemon there are at most log.keep and log, and `rotateMonitorLog` turns a log.keep that fell behind into
 * log.1. The sum never passes maxFiles × maxBytes: room for fewer than three files is shared by three smaller ones. conmon splits lines over 8 KiB (tag P): a line without end is bounded too.
 */
import fs from 'node:fs';
import path from 'node:path';

export interface LogBounds {
  /** Of one file. */
  readonly maxBytes: number;
  /** The one being written included; at least 1. */
  readonly maxFiles: number;
}

/** A line of conmon's is at most 8 KiB of text and 46 bytes before it. */
const LEAST_BYTES = 16 * 1024;

/**
 * Makes `dir` ready for a (new) monitor: an older run's log stays, appended to while it is less than half full.
 * Returns the path of the log and the bound to give to conmon, which counts from 0 whatever is in the file.
 */
export function prepareMonitorLog(dir: string, wished: LogBounds): { readonly logFile: string; readonly logSizeMaxBytes: number } {
  fs.mkdirSync(dir, { recursive: true, mode: 0o700 });
  const logFile = path.join(dir, 'log');
  const bounds = atLeastThree(wished);
  const { maxBytes } = bounds;
  rotateMonitorLog(dir, wished);
  let size = statOf(logFile)?.size ?? 0;
  if (size > maxBytes / 2) {
    shift(dir, bounds, logFile);
    fs.rmSync(path.join(dir, 'log.keep'), { force: true });
    size = 0;
  }
  fs.closeSync(fs.openSync(logFile, 'a', 0o600));
  keep(dir, logFile);
  return { logFile, logSizeMaxBytes: maxBytes - size };
}

/** To be called now and then (and when a follower finds the log anew). Cheap when nothing happened: two stats. */
export function rotateMonitorLog(dir: string, wished: LogBounds): void {
  const bounds = atLeastThree(wished);
  const logFile = path.join(dir, 'log'), keepFile = path.join(dir, 'log.keep');
  const log = statOf(logFile), kept = statOf(keepFile);
  if (log === undefined || kept?.ino === log.ino) return;
  if (kept !== undefined) shift(dir, bounds, keepFile);
  keep(dir, logFile);
}

/** Oldest first; the last one is being written. */
export function monitorLogFiles(dir: string): readonly string[] {
  let names: string[];
  try {
    names = fs.readdirSync(dir);
  } catch {
    return [];
  }
  const older = names.filter((name) => /^log\.[1-9]\d{0,3}$/.test(name)).map((name) => Number(name.slice(4))).sort((a, b) => b - a);
  const logFile = path.join(dir, 'log'), keepFile = path.join(dir, 'log.keep');
  const log = statOf(logFile), kept = statOf(keepFile);
  return [
    ...older.map((number) => path.join(dir, `log.${number}`)),
    ...(kept !== undefined && kept.ino !== log?.ino ? [keepFile] : []),
    ...(log === undefined ? [] : [logFile]),
  ];
}

/** With two files, of which one is that in which the monitor begins anew, nothing but the last lines would be there at times. */
function atLeastThree({ maxBytes, maxFiles }: LogBounds): LogBounds {
  return { maxBytes: Math.max(LEAST_BYTES, maxFiles < 3 ? Math.floor(maxBytes * maxFiles / 3) : maxBytes), maxFiles: Math.max(3, maxFiles) };
}

/** `file` becomes log.1 and the rest moves on; `log` and `log.keep` count as files, so two fewer are kept here. */
function shift(dir: string, bounds: LogBounds, file: string): void {
  const kept = bounds.maxFiles - 2;
  for (const name of fs.readdirSync(dir)) {
    const number = /^log\.([1-9]\d{0,3})$/.exec(name)?.[1];
    if (number !== undefined && Number(number) >= kept) fs.rmSync(path.join(dir, name), { force: true });
  }
  for (let number = kept - 1; number >= 1; number--) {
    const from = path.join(dir, `log.${number}`);
    if (statOf(from) !== undefined) fs.renameSync(from, path.join(dir, `log.${number + 1}`));
  }
  fs.renameSync(file, path.join(dir, 'log.1'));
}

function keep(dir: string, logFile: string): void {
  const temporary = path.join(dir, 'log.keep.new');
  fs.rmSync(temporary, { force: true });
  try {
    fs.linkSync(logFile, temporary);
    fs.renameSync(temporary, path.join(dir, 'log.keep'));
    // rename(2) of two names of one file does nothing and leaves both.
    fs.rmSync(temporary, { force: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

function statOf(file: string): fs.Stats | undefined {
  return fs.statSync(file, { throwIfNoEntry: false });
}
