/** What a fake process can be told to do: its first argument is the name of one of these. */
import type { FakeProcess } from './fake-process.ts';

import { PROGRAM_INSIDE } from '../program-inside.ts';
import { copyFiles } from './copy-files.ts';

export interface FakeTimer {
  (delayMs: number, work: () => void): () => void;
}

export type FakeProgram = (process: FakeProcess, words: readonly string[], after: FakeTimer) => void | Promise<void>;

const CHUNK_BYTES = 16 * 1024;

export const PROGRAMS: Readonly<Record<string, FakeProgram>> = {
  true: (process) => process.exit(0),
  false: (process) => process.exit(1),
  /** exit CODE */
  exit: (process, [code]) => process.exit(Number(code)),
  /** later MS CODE */
  later: (process, [delayMs, code], after) => { after(Number(delayMs), () => process.exit(Number(code))); },
  /** Until a signal ends it. */
  sleep: () => undefined,
  /** Ends by SIGKILL alone. */
  stubborn: (process) => { process.onSignal = () => undefined; },
  /** graceful CODE: SIGTERM makes it end well. */
  graceful: (process, [code]) => { process.onSignal = (signal) => { if (signal === 'SIGTERM') process.exit(Number(code ?? 0)); }; },
  oom: (process) => process.exit(137, 'oom'),
  /** Its input, until that ends; or one file. */
  async cat(process, [file]) {
    if (file !== undefined) await process.write('stdout', process.place.files.get(file) ?? '');
    if (file !== undefined) return process.exit(process.place.files.has(file) ? 0 : 1);
    for await (const data of process.input) await process.write('stdout', data);
    process.exit(0);
  },
  async echo(process, words) {
    await process.write('stdout', `${words.join(' ')}\n`);
    process.exit(0);
  },
  async env(process) {
    for (const line of process.env) await process.write('stdout', `${line}\n`);
    process.exit(0);
  },
  /** Our own program: copy-out and copy-in, of files alone. */
  [PROGRAM_INSIDE]: copyFiles,
  /** flood BYTES: as fast as its reader takes them. */
  async flood(process, [bytes]) {
    for (let left = Number(bytes); left > 0 && process.end === undefined; left -= CHUNK_BYTES) await process.write('stdout', new Uint8Array(Math.min(CHUNK_BYTES, left)));
    process.exit(0);
  },
};

/** A name that no image has: `create` refuses it as a runtime refuses a missing program. */
export const MISSING_PROGRAM = 'missing';

/** 127: not there; 126: there and no program. */
export type FakeLookup = (name: string) => 126 | 127 | undefined;

export const lookUp: FakeLookup = (name) => (name === MISSING_PROGRAM ? 127 : undefined);

/** Unknown names sleep. */
export function runProgram(process: FakeProcess, after: FakeTimer, more: Readonly<Record<string, FakeProgram>> = {}): void {
  const [name = '', ...words] = process.args;
  const programs = { ...PROGRAMS, ...more };
  const program = Object.hasOwn(programs, name) ? programs[name]! : PROGRAMS['sleep']!;
  void program(process, words, after);
}
