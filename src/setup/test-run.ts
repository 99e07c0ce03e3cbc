/** `berth test`: prepares what the lanes need, then runs all of them as one node:test run, whose summary closes it. */
import os from 'node:os';
import path from 'node:path';
import { run as runTests } from 'node:test';
import { spec } from 'node:test/reporters';
import { BerthError } from '../model/errors.ts';
import { installPackages, missingPackages } from './apt.ts';
import { buildNative } from './native-build.ts';
import { packagesFor } from './packages.ts';
import type { Progress } from './progress.ts';
import { filesOfLane, lanesOf, SELECTIONS, TEST_PACKAGES, type Selection } from './test-lanes.ts';

/** A file that takes longer hangs: the slowest lane as a whole is planned with less. */
const FILE_TIMEOUT_MS = 900_000;
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
  return new BerthError('invalid', message, { hint: 'berth test [--lane fast|all|long] [FILE…]' });
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
  const concurrency = Math.max(2, Math.min(MAX_CONCURRENCY, os.availableParallelism()));
  const stream = runTests({ files: [...files], concurrency, timeout: FILE_TIMEOUT_MS });
  let failed = false;
  stream.on('test:fail', (event) => {
    if (event.todo === undefined || event.todo === false) failed = true;
  });
  return new Promise((resolve, reject) => {
    const printed = stream.compose(new spec());
    printed.on('error', reject);
    printed.on('end', () => resolve(failed ? 1 : 0));
    printed.pipe(process.stdout, { end: false });
  });
}
