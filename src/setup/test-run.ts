/** `berth test`: prepares what the lanes need, then runs all of them as one node:test run, whose summary closes it. */
import os from 'node:os';
import path from 'node:path';
import { finished } from 'node:stream/promises';
import { run as runTests } from 'node:test';
import { spec } from 'node:test/reporters';
import { BerthError } from '../model/errors.ts';
import { installPackages, missingPackages } from './apt.ts';
import { endOverdue, markTestRun } from './hung-files.ts';
import { buildNative } from './native-build.ts';
import { packagesFor } from './packages.ts';
import type { Progress } from './progress.ts';
import { filesOfLane, lanesOf, SELECTIONS, TEST_PACKAGES, type Selection } from './test-lanes.ts';
import { USAGE } from './usage.ts';

export interface Limits {
  /** One test. */
  readonly testMs: number;
  /** A file, with all that it started. */
  readonly fileMs: number;
  /** The whole run; what has not run by then counts as failed. */
  readonly runMs: number;
}

/** What takes longer hangs. A run is planned with a quarter of it. */
const LIMITS: Readonly<Record<Selection, Limits>> = {
  fast: { testMs: 120_000, fileMs: 300_000, runMs: 1_200_000 },
  all: { testMs: 600_000, fileMs: 1_200_000, runMs: 4_500_000 },
  long: { testMs: 14_400_000, fileMs: 14_400_000, runMs: 43_200_000 },
};
const LOOK_MS = 5000;
const MAX_CONCURRENCY = 4;

export interface TestOptions {
  readonly home: string;
  readonly selection: Selection;
  /** When given, these files alone run. */
  readonly files: readonly string[];
}

export function parseTestArguments(words: readonly string[], cwd: string): Pick<TestOptions, 'selection' | 'files'> {
  let selection: Selection = 'all';
  const files: string[] = [];
  for (let index = 0; index < words.length; index++) {
    const word = words[index]!;
    if (word === '--lane' || word.startsWith('--lane=')) {
      const value = word === '--lane' ? words[++index] : word.slice('--lane='.length);
      if (value === undefined || !Object.hasOwn(SELECTIONS, value)) throw usageError(`--lane takes one of ${Object.keys(SELECTIONS).join(', ')}.`);
      selection = value as Selection;
    } else if (word === '--yes' || word === '-y') continue;
    else if (word.startsWith('-')) throw usageError(`Unknown flag ${word}.`);
    else files.push(path.resolve(cwd, word));
  }
  return { selection, files };
}

function usageError(message: string): BerthError {
  return new BerthError('invalid', message, { hint: USAGE.test });
}

/** @returns the exit code of the run. */
export async function runTestLanes({ home, selection, files }: TestOptions, progress: Progress): Promise<number> {
  const lanes = lanesOf(selection);
  const needsRoot = files.length === 0 ? lanes.some((lane) => lane.needsRoot) : files.some((file) => needsRootFor(home, file));
  if (needsRoot) {
    if (process.getuid?.() !== 0) {
      throw new BerthError('forbidden', 'These test lanes make namespaces, mounts and networks: they need root.', { hint: 'sudo ./berth test, or ./berth test --lane fast' });
    }
    const missing = await missingPackages(packagesFor(TEST_PACKAGES));
    if (missing.length > 0) {
      await progress.step(`Installing Debian packages: ${missing.map((one) => one.name).join(' ')}`, () => installPackages(missing.map((one) => one.name), progress));
    }
    await progress.step('Compiling the native programs', () => buildNative(home));
  }
  const chosen = files.length > 0 ? files : lanes.flatMap((lane) => filesOfLane(home, lane));
  if (chosen.length === 0) throw new BerthError('notFound', 'No test file was found.');
  if (files.length === 0) {
    progress.note(lanes.map((lane) => `${lane.name} ${filesOfLane(home, lane).length}`).join(' · ') + ' files');
  }
  return runFiles(home, selection, chosen);
}

function needsRootFor(home: string, file: string): boolean {
  return lanesOf('long').some((lane) => lane.needsRoot && file.startsWith(path.join(home, lane.directory) + path.sep));
}

function runFiles(home: string, selection: Selection, files: readonly string[]): Promise<number> {
  process.chdir(home);
  process.env['BERTH_TEST_LANE'] = selection;
  return runBounded(files, LIMITS[selection]);
}

/** Runs the files as one node:test run that ends, whatever they do. @returns the exit code. */
export async function runBounded(files: readonly string[], { testMs, fileMs, runMs }: Limits, lookMs = LOOK_MS): Promise<number> {
  const concurrency = Math.max(2, Math.min(MAX_CONCURRENCY, os.availableParallelism()));
  const overdue = new AbortController(), mark = markTestRun();
  const stream = runTests({ files: [...files], concurrency, timeout: testMs, signal: overdue.signal });
  let failed = false;
  stream.on('test:fail', (event) => {
    if (event.todo === undefined || event.todo === false) failed = true;
  });
  const startedMs = performance.now();
  const looking = setInterval(() => {
    const nowMs = performance.now();
    for (const name of endOverdue(mark, fileMs)) {
      failed = true;
      process.stderr.write(`${name} was ended: it took longer than ${Math.round(fileMs / 1000)} s.\n`);
    }
    if (nowMs - startedMs < runMs || overdue.signal.aborted) return;
    process.stderr.write(`The run was ended: it took longer than ${Math.round(runMs / 1000)} s.\n`);
    endOverdue(mark, 0);
    overdue.abort();
  }, lookMs);
  try {
    const printed = stream.compose(new spec());
    printed.pipe(process.stdout, { end: false });
    await finished(printed, { writable: false });
    return failed || overdue.signal.aborted ? 1 : 0;
  } finally {
    clearInterval(looking);
  }
}
