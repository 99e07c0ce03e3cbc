/** One boot of a machine, from an empty directory to a workload that waits for its start. */
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import { BerthError } from '../../../model/errors.ts';
import { prepareMonitorLog } from '../../../host/monitor-log.ts';
import { startMonitor } from '../../../host/monitor.ts';
import { processorTime, type ProcessIdentity } from '../../../host/process.ts';
import type { UnitInfo, UnitPlan } from '../driver.ts';
import { WALL, whileItGetsOn, type BootBounds } from './boot-watch.ts';
import type { Guest } from './guest.ts';
import { groupLimits, memoryMiB, virtualCpus, type WarmParts } from './machine.ts';
import type { MicroVmDeadlines, MicroVmRuntimeOptions } from './microvm-options.ts';
import type { Template } from './template-store.ts';
import { boundaryOf, writeRecord, type UnitPaths, type UnitRecord } from './unit-record.ts';
import { qemuIdentity } from './unit-processes.ts';
import { encodeLaunchPlan, type LaunchPlan } from './vm-plan.ts';

const MIB = 1024 * 1024;

export interface BootParts {
  readonly options: MicroVmRuntimeOptions;
  readonly deadlines: MicroVmDeadlines;
  readonly unit: UnitPaths;
  readonly exitDir: string;
  readonly record: UnitRecord;
  readonly guest: Guest;
  readonly launch: (cgroupFiles: readonly string[], warm: WarmParts | undefined) => LaunchPlan;
  readonly signal: AbortSignal | undefined;
  /** To resume from, in place of a boot. */
  readonly template?: Template | undefined;
}

export interface MachineIds {
  /** QEMU's. */
  readonly uid: number;
  /** First of 65,536 for those who show its directories, where it has any. */
  readonly idBase?: number | undefined;
}

export function bootRecord(plan: UnitPlan, ids: MachineIds, accelerator: 'kvm' | 'tcg', kernel: string | undefined, start: 'cold' | 'warm'): UnitRecord {
  return {
    ...ids, shares: plan.mounts.length, nonce: randomBytes(16).toString('hex'), accelerator, ...(kernel === undefined ? { foreign: true } : { kernel }), name: plan.name, start, terminal: plan.process.terminal, stdin: plan.stdin,
    memoryBytes: memoryMiB(plan) * MIB, memoryLimitBytes: memoryMiB(plan) * MIB, virtualCpus: virtualCpus(plan), log: plan.log,
  };
}

/** Errors of a boot that may go better the next time have `details.boot`. What was made stays: `remove` takes it away. */
export async function bootUnit(plan: UnitPlan, parts: BootParts): Promise<UnitInfo> {
  const { unit, record, guest, signal, template } = parts;
  const { timings } = parts.options;
  const { process, monitor } = await startMachine(plan, parts, template === undefined ? undefined : { memory: 'clone', ramFile: template.ramFile, stateFile: template.stateFile });
  timings?.('machine runs');
  const hangs = new AbortController(), ends = signal === undefined ? hangs.signal : AbortSignal.any([signal, hangs.signal]);
  try {
    await getsOn(guest.prepare({ id: plan.id, unit, record }, plan, { signal: ends, template }), process, parts.deadlines);
  } catch (error) {
    hangs.abort(error);
    throw error instanceof BerthError && (error.code === 'timeout' || error.code === 'unavailable') ? bootError(error, unit) : error;
  }
  signal?.throwIfAborted();
  timings?.('machine set up');
  fs.writeFileSync(unit.made, '');
  return { process, monitor, boundary: boundaryOf(record), accelerator: record.accelerator, kernel: record.kernel, start: record.start };
}

/** The outcome of a boot's work, unless this QEMU hangs meanwhile. Errors: `timeout`. */
export function getsOn<T>(work: Promise<T>, qemu: ProcessIdentity, bounds: BootBounds): Promise<T> {
  return whileItGetsOn(work, { ...WALL, used: () => processorTime(qemu) }, bounds);
}

/** Everything up to a QEMU that runs. */
export async function startMachine(plan: UnitPlan, parts: BootParts, warm?: WarmParts): Promise<{ readonly process: ProcessIdentity; readonly monitor: ProcessIdentity }> {
  const { options, deadlines, unit, record, signal } = parts;
  fs.mkdirSync(unit.dir, { recursive: warm?.memory === 'template', mode: 0o700 });
  writeRecord(unit.record, record);
  options.groups.create(plan.id, groupLimits(record, plan.resources));
  const joins = options.groups.joinFiles(plan.id);
  // A container's device list has no /dev/kvm; the machine's jail has no other device, and no right to make one.
  const launch = parts.launch(record.accelerator === 'kvm' ? joins.filter((file) => !file.includes('/devices/')) : joins, warm);
  fs.writeFileSync(unit.launchPlan, encodeLaunchPlan(options.guards?.launch?.(launch) ?? launch), { mode: 0o600 });
  fs.writeFileSync(unit.bundle, '{}');
  const log = prepareMonitorLog(unit.logDir, plan.log);
  const { monitor } = await startMonitor({
    conmon: options.conmon, id: plan.id, dir: unit.dir, program: options.nativeProgram, programArgs: ['vm'], exitDir: parts.exitDir,
    logFile: log.logFile, logSizeMaxBytes: log.logSizeMaxBytes, terminal: plan.process.terminal, stdin: plan.stdin,
  }, { timeoutMs: deadlines.prepareMs, signal });
  const process = qemuIdentity(unit, record);
  if (process === undefined) throw bootError(new Error('QEMU ended at once.'), unit);
  return { process, monitor };
}

/** With QEMU's own words, if it said any. */
export function bootError(cause: Error, unit: UnitPaths): BerthError {
  let said = '';
  try {
    said = fs.readFileSync(unit.complaints, 'utf8').trim().slice(-500);
  } catch {
    // QEMU said nothing
  }
  return new BerthError('timeout', `The machine did not come up: ${cause.message}${said === '' ? '' : ` QEMU said: ${said}`}`, { cause, details: { boot: true } });
}
