/** What an OS container's init is asked: is the system up, and to power off. Its answers are its own word. */
import fs from 'node:fs';
import path from 'node:path';
import { signalProcess } from '../../../host/process.ts';
import { BerthError } from '../../../model/errors.ts';
import type { ObjectId } from '../../../model/ids.ts';
import { OS_CAPABILITIES } from '../../../model/instance-defaults.ts';
import { askBooted, askPowerOff, type BootState, type InsideOptions } from '../program-inside.ts';
import type { CrunHost } from './crun-host.ts';
import { execInUnit } from './exec-in-unit.ts';
import { observeUnit } from './observe-unit.ts';

/** What the init is asked to do may wait for it, and it may never answer. */
const POWER_OFF_WAIT_MS = 10_000;

/**
 * Signals by which an init powers off, by the name of its program: those need nothing of the unit, which may have no
 * process left to spare. systemd(1) “Signals”, busybox init/init.c.
 */
const POWER_OFF_SIGNALS: Readonly<Record<string, string>> = { systemd: 'SIGRTMIN+3', busybox: 'SIGUSR2' };

function inside(host: CrunHost, id: ObjectId, timeoutMs: number): InsideOptions {
  return { exec: (plan) => execInUnit(host, id, plan), capabilities: OS_CAPABILITIES.map((name) => `CAP_${name}`), timeoutMs };
}

/** @throws wrongState when nothing runs. */
export async function powerOffUnit(host: CrunHost, id: ObjectId): Promise<void> {
  const seen = await observeUnit(host, id);
  if (!('info' in seen)) throw new BerthError('wrongState', 'Nothing runs that could be powered off.');
  const signal = POWER_OFF_SIGNALS[programOf(seen.info.process.pid)];
  if (signal === undefined) await askPowerOff(inside(host, id, POWER_OFF_WAIT_MS));
  else signalProcess(seen.info.process, signal);
}

/** Base name of what the first process executes; the unit decides it, and gains nothing by lying. */
function programOf(pid: number): string {
  try {
    return path.basename(fs.readlinkSync(`/proc/${pid}/exe`).replace(/ \(deleted\)$/, ''));
  } catch {
    return '';
  }
}

export function unitBooted(host: CrunHost, id: ObjectId, timeoutMs: number): Promise<BootState> {
  return askBooted(inside(host, id, timeoutMs));
}
