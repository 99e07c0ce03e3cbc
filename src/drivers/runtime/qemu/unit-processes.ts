/** The processes of a unit: QEMU, its watcher (native/vm.c), their monitor. Each is known by more than its number. */
import fs from 'node:fs';
import { BerthError } from '../../../model/errors.ts';
import { lostMonitor, monitoredPid, monitorIdentity } from '../../../host/monitor.ts';
import { identify, isAlive, signalProcess, type ProcessIdentity } from '../../../host/process.ts';
import type { UnitPaths, UnitRecord } from './unit-record.ts';

const LOOK_AGAIN_MS = 5;

/** QEMU: the pid that the watcher wrote, if that process has the boot's nonce among its words. */
export function qemuIdentity(unit: UnitPaths, record: UnitRecord): ProcessIdentity | undefined {
  try {
    const pid = Number(fs.readFileSync(unit.qemuPid, 'latin1'));
    const identity = Number.isSafeInteger(pid) && pid > 1 ? identify(pid) : undefined;
    if (identity === undefined || !fs.readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(`berth.nonce=${record.nonce}`)) return undefined;
    return identity;
  } catch {
    return undefined;
  }
}

/**
 * QEMU first; the watcher then ends by itself and conmon after it. Whoever does not is ended too. `unrecorded`: nobody
 * wrote how it ended, so a monitor may live whose pid file is damaged. Errors: `timeout`.
 */
export async function endProcesses(unit: UnitPaths, record: UnitRecord | undefined, unrecorded: boolean, timeoutMs: number): Promise<void> {
  const qemu = record === undefined ? undefined : qemuIdentity(unit, record);
  const monitor = monitorIdentity(unit.dir) ?? (unrecorded && fs.existsSync(unit.dir) ? await lostMonitor(unit.dir) : undefined), watcher = watcherIdentity(unit);
  if (qemu !== undefined) signalProcess(qemu, 'SIGKILL');
  if (monitor !== undefined && await gone(monitor, timeoutMs)) return;
  for (const leftover of [watcher, monitor]) {
    if (leftover === undefined || !isAlive(leftover)) continue;
    signalProcess(leftover, 'SIGKILL');
    await gone(leftover, timeoutMs);
  }
  if (qemu !== undefined && !await gone(qemu, timeoutMs)) throw new BerthError('timeout', 'The machine could not be ended.');
}

function watcherIdentity(unit: UnitPaths): ProcessIdentity | undefined {
  const pid = monitoredPid(unit.dir), identity = pid === undefined ? undefined : identify(pid);
  try {
    return identity !== undefined && fs.readFileSync(`/proc/${identity.pid}/cmdline`, 'utf8').split('\0').includes(unit.dir) ? identity : undefined;
  } catch {
    return undefined;
  }
}

/** True as soon as the process has ended, false when it has not in time. */
export function gone(identity: ProcessIdentity, timeoutMs: number): Promise<boolean> {
  return comesTrue(() => !isAlive(identity), timeoutMs);
}

export async function comesTrue(condition: () => boolean, timeoutMs: number): Promise<boolean> {
  const end = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > end) return false;
    await new Promise((resolve) => { setTimeout(resolve, LOOK_AGAIN_MS); });
  }
  return true;
}
