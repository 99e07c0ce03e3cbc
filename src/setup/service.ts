/** Runs the daemon: under systemd where it runs, else kept by a small process of ours (native/keep.c). */
import fs from 'node:fs';
import path from 'node:path';
import { startInBackground } from '../host/background.ts';
import { run } from '../host/run.ts';
import { BerthError } from '../model/errors.ts';
import { DEFAULT_PLACE, endProcesses, findDaemons, findKeepers, type Place } from './daemon-process.ts';
import { UNIT_FILE, UNIT_NAME } from './home.ts';

const LOG_BYTES = 10 * 1024 * 1024;
const SYSTEMCTL_TIMEOUT_MS = 90_000;

/** sd_booted(3). */
export function systemdRuns(): boolean {
  return fs.existsSync('/run/systemd/system');
}

export function isDefault(place: Place): boolean {
  return place.root === DEFAULT_PLACE.root && place.run === DEFAULT_PLACE.run;
}

/** Where the daemon's output goes when no journal takes it. */
export function logFileOf(place: Place): string {
  return path.join(place.root, 'daemon.log');
}

/** Starts the installed daemon; it may not answer yet when this resolves. */
export async function startService(copy: string, place: Place): Promise<void> {
  if (systemdRuns() && isDefault(place)) {
    const unit = await fs.promises.readFile(path.join(copy, 'packaging/systemd', UNIT_NAME), 'utf8');
    if ((await fs.promises.readFile(UNIT_FILE, 'utf8').catch(() => '')) !== unit) await fs.promises.writeFile(UNIT_FILE, unit, { mode: 0o644 });
    await systemctl('daemon-reload');
    await systemctl('enable', UNIT_NAME);
    await systemctl('restart', UNIT_NAME);
    return;
  }
  await fs.promises.mkdir(place.root, { recursive: true, mode: 0o711 });
  await startInBackground(path.join(copy, '.build/native/berth-native'), [
    'keep', logFileOf(place), String(LOG_BYTES), '--', path.join(copy, 'berth'), 'daemon', '--root', place.root, '--run', place.run,
  ]);
}

/** Stops the daemon of this place, whoever started it; instances go on. @returns how many processes were ended. */
export async function stopDaemons(place: Place): Promise<number> {
  let ended = 0;
  if (systemdRuns() && isDefault(place) && fs.existsSync(UNIT_FILE)) {
    ended += (await run('systemctl', ['is-active', '--quiet', UNIT_NAME], { allowFailure: true })).code === 0 ? 1 : 0;
    await systemctl('stop', UNIT_NAME);
  }
  const keepers = findKeepers(place);
  await endProcesses(keepers);
  const daemons = findDaemons(place);
  await endProcesses(daemons);
  return ended + keepers.length + daemons.length;
}

/** The unit goes as it came. */
export async function removeService(): Promise<void> {
  if (!fs.existsSync(UNIT_FILE)) return;
  if (systemdRuns()) await run('systemctl', ['disable', '--now', UNIT_NAME], { allowFailure: true, timeoutMs: SYSTEMCTL_TIMEOUT_MS });
  await fs.promises.rm(UNIT_FILE, { force: true });
  if (systemdRuns()) {
    await systemctl('daemon-reload');
    await run('systemctl', ['reset-failed', UNIT_NAME], { allowFailure: true });
  }
}

async function systemctl(...args: readonly string[]): Promise<void> {
  const answer = await run('systemctl', args, { allowFailure: true, timeoutMs: SYSTEMCTL_TIMEOUT_MS });
  if (answer.code !== 0) throw new BerthError('unavailable', `systemctl ${args.join(' ')} failed: ${answer.stderr.trim().slice(-500)}`, { hint: `journalctl -u ${UNIT_NAME}` });
}
