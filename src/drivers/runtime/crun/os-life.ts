/** What an OS container's init is asked: is the system up, and to power off. Its answers are its own word. */
import fs from 'node:fs';
import path from 'node:path';
import { signalProcess } from '../../../host/process.ts';
import { BerthError } from '../../../model/errors.ts';
import type { ObjectId } from '../../../model/ids.ts';
import { OS_CAPABILITIES } from '../../../model/instance-defaults.ts';
import type { ExecPlan } from '../driver.ts';
import type { CrunHost } from './crun-host.ts';
import { execInUnit } from './exec-in-unit.ts';
import { observeUnit } from './observe-unit.ts';
import { INIT_PATH } from './oci-spec.ts';

const MAX_SAID_BYTES = 256;
const BOOT_STATES = ['running', 'degraded', 'starting'] as const;
/** A command that powers off may wait for the init, and that may never answer. */
const POWER_OFF_WAIT_MS = 10_000;

/** Signals by which an init powers off, by the name of its program. systemd(1) “Signals”, busybox init/init.c. */
const POWER_OFF_SIGNALS: Readonly<Record<string, string>> = { systemd: 'SIGRTMIN+3', busybox: 'SIGUSR2' };

/** Ours, constant. openrc-init hears its own command alone; the rest know one of these. */
const POWER_OFF_COMMAND = 'if [ -e /run/openrc/init.ctl ] && command -v openrc-shutdown >/dev/null; then exec openrc-shutdown -p now; fi; poweroff || shutdown -h now || init 0';

function rootExec(args: readonly string[]): ExecPlan {
  return {
    args, env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'], cwd: '/', user: { uid: 0, gid: 0, additionalGids: [] },
    terminal: false, stdin: false, noNewPrivileges: false, capabilities: OS_CAPABILITIES.map((name) => `CAP_${name}`),
  };
}

/** @throws wrongState when nothing runs. */
export async function powerOffUnit(host: CrunHost, id: ObjectId): Promise<void> {
  const seen = await observeUnit(host, id);
  if (!('info' in seen)) throw new BerthError('wrongState', 'Nothing runs that could be powered off.');
  const signal = POWER_OFF_SIGNALS[programOf(seen.info.process.pid)];
  if (signal !== undefined) {
    signalProcess(seen.info.process, signal);
    return;
  }
  // Others (System V, OpenRC) listen to their own command only.
  const session = await execInUnit(host, id, rootExec(['/bin/sh', '-c', POWER_OFF_COMMAND]));
  const late = new Promise<void>((resolve) => { setTimeout(resolve, POWER_OFF_WAIT_MS).unref(); });
  try {
    await Promise.race([session.exit.catch(() => undefined), drained(session.output), late]);
  } finally {
    await session.close();
  }
}

/** Base name of what the first process executes; the unit decides it, and gains nothing by lying. */
function programOf(pid: number): string {
  try {
    return path.basename(fs.readlinkSync(`/proc/${pid}/exe`).replace(/ \(deleted\)$/, ''));
  } catch {
    return '';
  }
}

async function drained(output: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of output) { /* said to nobody */ }
}

export async function unitBooted(host: CrunHost, id: ObjectId, timeoutMs: number): Promise<(typeof BOOT_STATES)[number]> {
  const session = await execInUnit(host, id, rootExec([INIT_PATH, 'ready', String(Math.ceil(timeoutMs / 1000))]));
  let said = '';
  const timer = setTimeout(() => { void session.close(); }, timeoutMs);
  try {
    for await (const chunk of session.output) if (said.length < MAX_SAID_BYTES) said += Buffer.from(chunk.data).toString('latin1');
  } finally {
    clearTimeout(timer);
    await session.close();
  }
  return BOOT_STATES.find((state) => said.startsWith(state)) ?? 'starting';
}
