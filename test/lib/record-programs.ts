/**
 * Loaded before a program (`--import`): writes what it starts to the file of BERTH_TEST_PROGRAMS, one JSON document a line.
 * All doors of node:child_process lead through these.
 */
import child_process from 'node:child_process';
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import path from 'node:path';

export interface StartedProgram {
  readonly file: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

const file = process.env['BERTH_TEST_PROGRAMS'];

if (file !== undefined) {
  for (const name of ['spawn', 'spawnSync', 'execFile', 'execFileSync', 'exec', 'execSync', 'fork'] as const) {
    const real = child_process[name] as (...all: unknown[]) => unknown;
    const recorded = (program: string, ...rest: unknown[]): unknown => {
      const args = Array.isArray(rest[0]) ? rest[0] as string[] : [];
      const options = rest.find((one) => typeof one === 'object' && one !== null && !Array.isArray(one)) as { env?: Record<string, string> } | undefined;
      fs.appendFileSync(file, `${JSON.stringify({ file: program, args, env: options?.env ?? {} } satisfies StartedProgram)}\n`);
      return real(program, ...rest);
    };
    Object.assign(child_process, { [name]: recorded });
  }
  syncBuiltinESMExports();
}

/** Environment of a program that is to be recorded. */
export function recordingTo(target: string): Record<string, string> {
  return { BERTH_TEST_PROGRAMS: target, NODE_OPTIONS: `--import=${path.join(import.meta.dirname, 'record-programs.ts')}` };
}

export function startedPrograms(target: string): StartedProgram[] {
  if (!fs.existsSync(target)) return [];
  return fs.readFileSync(target, 'utf8').split('\n').filter((line) => line !== '').map((line) => JSON.parse(line) as StartedProgram);
}
