/** Our program inside a unit: where it is, and what it is asked about the unit's system. Its answers are the unit's word. */
import { BerthError } from '../../model/errors.ts';
import type { ExecInside, ExecPlan } from './driver.ts';
import { MAX_TABLE_BYTES, MAX_UNIT_PROCESSES, parseProcesses, type ToldProcesses } from './process-list.ts';

/** On a file system of ours, not the image's, in every form. */
export const PROGRAM_INSIDE = '/dev/.init';

const MAX_SAID_BYTES = 256;
const BOOT_STATES = ['running', 'degraded', 'starting'] as const;
export type BootState = (typeof BOOT_STATES)[number];

export interface InsideOptions {
  readonly exec: ExecInside;
  /** CAP_…: an init's own, since what is asked may have to run its commands. */
  readonly capabilities: readonly string[];
  readonly timeoutMs: number;
}

/** Resolves when the init has brought the system up; `starting` when the time was over before (native/os-ready.c). */
export async function askBooted(options: InsideOptions): Promise<BootState> {
  const said = await ask(['ready', String(Math.ceil(options.timeoutMs / 1000))], options);
  return BOOT_STATES.find((state) => said.startsWith(state)) ?? 'starting';
}

/** Asks the init to power off, in the way that it understands (native/os-ready.c). It may never answer. */
export async function askPowerOff(options: InsideOptions): Promise<void> {
  await ask(['off'], options);
}

/** What runs inside, by /proc (native/os-processes.c). @throws BerthError as `exec`, `timeout`, `unavailable` when it makes no sense. */
export async function askProcesses(options: InsideOptions): Promise<ToldProcesses> {
  const end = performance.now() + options.timeoutMs;
  const said = await ask(['processes'], options, { maxBytes: MAX_TABLE_BYTES, mustRun: true });
  if (performance.now() >= end) throw new BerthError('timeout', 'It did not answer in time.');
  const told = parseProcesses(said, MAX_UNIT_PROCESSES);
  if (told.processes.length === 0) throw new BerthError('unsupported', 'It was started by an earlier version, which could not tell.', { hint: 'Restart it.' });
  return told;
}

async function ask(words: readonly string[], { exec, capabilities, timeoutMs }: InsideOptions, { maxBytes = MAX_SAID_BYTES, mustRun = false } = {}): Promise<string> {
  const plan: ExecPlan = {
    args: [PROGRAM_INSIDE, ...words], env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'], cwd: '/', user: { uid: 0, gid: 0, additionalGids: [] },
    terminal: false, stdin: false, noNewPrivileges: false, capabilities,
  };
  const session = await exec(plan);
  let givenUp = false;
  session.exit.catch(() => undefined);
  const said: Buffer[] = [];
  let bytes = 0;
  const timer = setTimeout(() => { givenUp = true; void session.close(); }, timeoutMs);
  try {
    for await (const chunk of session.output) if (chunk.stream === 'stdout' && bytes < maxBytes) { said.push(Buffer.from(chunk.data)); bytes += chunk.data.length; }
    // It may never have run: why is for who asked to know.
    if (mustRun && bytes === 0 && !givenUp) await session.exit;
    return Buffer.concat(said).toString('utf8');
  } finally {
    clearTimeout(timer);
    await session.close();
  }
}
