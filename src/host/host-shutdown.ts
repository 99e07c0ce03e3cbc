/** Is it this process alone that is asked to end, or does the whole host go down? */
import fs from 'node:fs';
import { run } from './run.ts';

const TIMEOUT_MS = 10_000;

/** What systemd says while it stops everything: systemctl(1), is-system-running. False where another init runs. */
export async function hostGoesDown(): Promise<boolean> {
  if (!fs.existsSync('/run/systemd/system')) return false; // sd_booted(3)
  const { stdout } = await run('systemctl', ['is-system-running'], { allowFailure: true, timeoutMs: TIMEOUT_MS });
  return stdout.trim() === 'stopping';
}
