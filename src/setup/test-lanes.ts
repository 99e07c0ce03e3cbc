/** The test lanes as data: which files, in which order, and what they need of the machine. */
import fs from 'node:fs';
import path from 'node:path';
import type { PackageUse } from './packages.ts';

export type LaneName = 'unit' | 'rules' | 'host' | 'fault' | 'e2e' | 'web' | 'bench' | 'long';

export interface Lane {
  readonly name: LaneName;
  /** Below it every *.test.ts belongs to the lane. */
  readonly directory: string;
  readonly needsRoot: boolean;
}

/** In the order in which they run: what fails fastest comes first. */
export const LANES: readonly Lane[] = [
  { name: 'unit', directory: 'src', needsRoot: false },
  { name: 'rules', directory: 'test/rules', needsRoot: false },
  { name: 'host', directory: 'test/host', needsRoot: true },
  { name: 'fault', directory: 'test/fault', needsRoot: true },
  { name: 'e2e', directory: 'test/e2e', needsRoot: true },
  { name: 'web', directory: 'test/web', needsRoot: true },
  { name: 'bench', directory: 'test/bench', needsRoot: true },
  { name: 'long', directory: 'test/long', needsRoot: true },
];

export const SELECTIONS = {
  fast: ['unit', 'rules'],
  all: ['unit', 'rules', 'host', 'fault', 'e2e', 'web', 'bench'],
  long: ['unit', 'rules', 'host', 'fault', 'e2e', 'web', 'bench', 'long'],
} as const satisfies Record<string, readonly LaneName[]>;

export type Selection = keyof typeof SELECTIONS;

export const TEST_PACKAGES: readonly PackageUse[] = ['run', 'vm', 'build', 'test'];

export function lanesOf(selection: Selection): readonly Lane[] {
  const names: readonly LaneName[] = SELECTIONS[selection];
  return LANES.filter((lane) => names.includes(lane.name));
}

/** Every test file of the lane, sorted by path. A lane without a directory yet is empty. */
export function filesOfLane(home: string, lane: Lane): readonly string[] {
  const directory = path.join(home, lane.directory);
  if (!fs.existsSync(directory)) return [];
  return fs.readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.test.ts'))
    .map((file) => path.join(directory, file))
    .sort();
}
