/** What is really there, from what the monitor, crun and the kernel say; nothing is remembered for it. */
import fs from 'node:fs';
import { monitorIdentity } from '../../../host/monitor.ts';
import { isAlive } from '../../../host/process.ts';
import type { ObjectId } from '../../../model/ids.ts';
import type { ExitRecord, Observed } from '../driver.ts';
import { unitInfo } from './create-unit.ts';
import type { CrunHost } from './crun-host.ts';
import { readStatus } from './crun-status.ts';

const SIGKILL_CODE = 137;
/** A monitor whose process is gone writes its record next; when it does not within this time, it never will. */
const RECORD_MS = 5_000;
const LOOK_AGAIN_MS = 2;

export async function observeUnit(host: CrunHost, id: ObjectId): Promise<Observed> {
  const unit = host.paths.unit(id);
  const end = performance.now() + RECORD_MS;
  for (;;) {
    const exit = exitRecord(host, id);
    if (exit !== undefined) return { state: 'exited', exit };
    const process = readStatus(unit.state);
    const record = host.record(id);
    if (process === undefined || record === undefined) return { state: 'absent' };
    const monitor = monitorIdentity(unit.dir);
    if (isAlive(process)) {
      const info = unitInfo(process, monitor ?? { pid: 0, startTicks: 0 }, record);
      if (monitor === undefined) return { state: 'unsupervised', info };
      if (waits(host, unit.fifo, process.pid)) return { state: 'created', info };
      return { state: host.groups.frozen(id) ? 'paused' : 'running', info };
    }
    if (monitor === undefined || performance.now() > end) {
      const late = exitRecord(host, id); // written and the monitor ended between our two looks
      return { state: 'exited', exit: late ?? { exitCode: undefined, reason: 'unknown', finishedAtMs: Date.now() } };
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
  }
}

/** The name of the FIFO alone may be left of a crash: who waits at it is still crun. */
function waits(host: CrunHost, fifo: string, pid: number): boolean {
  if (!fs.existsSync(fifo)) return false;
  try {
    const runs = fs.readlinkSync(`/proc/${pid}/exe`);
    return runs === host.crun || runs === `${host.crun} (deleted)` || runs.startsWith('/memfd:');
  } catch {
    return true; // it ends right now; the next look says so
  }
}

/** The record of the monitor, with why. undefined: there is none. */
export function exitRecord(host: CrunHost, id: ObjectId): ExitRecord | undefined {
  const exit = host.exits.read(id);
  if (exit === undefined) return undefined;
  const { reason, ...record } = exit;
  const why = (reason as ExitRecord['reason'] | undefined) ?? reasonOf(host, id, exit.exitCode);
  // The number was the kernel's way to say which of them; nothing failed.
  return { ...record, reason: why, ...(why === 'reboot' || why === 'poweroff' ? { exitCode: 0 } : {}) };
}

/** How reboot(2) ends the first process of a pid namespace: SIGHUP for a restart, SIGINT for a halt. pid_namespaces(7). */
const REBOOTED = 129, POWERED_OFF = 130;

function reasonOf(host: CrunHost, id: ObjectId, exitCode: number): ExitRecord['reason'] {
  if (host.record(id)?.form === 'osContainer' && exitCode === REBOOTED) return 'reboot';
  if (host.record(id)?.form === 'osContainer' && exitCode === POWERED_OFF) return 'poweroff';
  if (exitCode <= 128 || exitCode > 192) return 'exited';
  // Also true when the kernel took a child before and somebody else killed the first process: told so is told enough.
  const oom = exitCode === SIGKILL_CODE && (fs.existsSync(host.paths.unit(id).oom) || host.groups.oomKills(id) > 0);
  return oom ? 'oom' : 'killed';
}
