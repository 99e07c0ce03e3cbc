/** Our program inside a unit: where it is, and what it is asked about the unit's system. Its answers are the unit's word. */
import type { ExecInside, ExecPlan } from './driver.ts';

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

async function ask(words: readonly string[], { exec, capabilities, timeoutMs }: InsideOptions): Promise<string> {
  const plan: ExecPlan = {
    args: [PROGRAM_INSIDE, ...words], env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'], cwd: '/', user: { uid: 0, gid: 0, additionalGids: [] },
    terminal: false, stdin: false, noNewPrivileges: false, capabilities,
  };
  const session = await exec(plan);
  session.exit.catch(() => undefined);
  let said = '';
  const timer = setTimeout(() => { void session.close(); }, timeoutMs);
  try {
    for await (const chunk of session.output) if (said.length < MAX_SAID_BYTES) said += Buffer.from(chunk.data).toString('latin1');
    return said;
  } finally {
    clearTimeout(timer);
    await session.close();
  }
}
